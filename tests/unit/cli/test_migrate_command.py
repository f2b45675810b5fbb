"""``nearfield migrate``, run in this process with models made of arithmetic."""

import json

import pytest

from nearfield.cli.main import run
from nearfield.core import Document, VectorStoreIndex
from nearfield.core.registry import EMBEDDINGS, Registered
from nearfield.testing.fake import FakeEmbedding


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An index made by the model ``fake:old``."""
    fake = Registered("nearfield.testing.fake:FakeEmbedding", "arithmetic", "model_name")
    monkeypatch.setitem(EMBEDDINGS, "fake", fake)
    place = tmp_path / "my.index"
    documents = [Document(f"Text {n}.", id=f"d{n}") for n in range(3)]
    old = FakeEmbedding(model_name="old")
    VectorStoreIndex.from_documents(documents, path=place, embed_model=old).close()
    return place


def model_of(path):
    with VectorStoreIndex.open(path, check_model=False) as index:
        return index.store.header.model_name


def test_to_forth_back_and_forgotten(path, capsys):
    assert run(["migrate", str(path), "--to", "fake:new"]) == 0
    assert "moved from old to new: 3 texts embedded" in capsys.readouterr().out
    assert model_of(path) == "new"
    assert run(["migrate", str(path), "--to", "fake:new"]) == 0
    assert "already" in capsys.readouterr().out
    assert run(["migrate", str(path), "--rollback"]) == 0
    assert "moved back from new to old: 0 texts embedded" in capsys.readouterr().out
    assert model_of(path) == "old"
    assert run(["migrate", str(path), "--forget"]) == 0
    assert "nothing to forget" in capsys.readouterr().out


def test_json_tells_all(path, capsys):
    assert run(["migrate", str(path), "--to", "fake:new", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["former_model"], told["model"], told["nodes"]) == ("old", "new", 3)
    assert run(["migrate", str(path), "--forget", "--shrink", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] is True
    assert run(["migrate", str(path), "--rollback"]) == 1
    assert "no migration to roll back" in capsys.readouterr().err


def test_going_back_takes_the_former_model_by_name(path, capsys):
    assert run(["migrate", str(path), "--to", "fake:new"]) == 0
    with VectorStoreIndex.open(path, FakeEmbedding(model_name="new")) as index:
        index.insert(Document("Later.", id="later"))
    assert run(["migrate", str(path), "--rollback"]) == 1
    assert "--model" in capsys.readouterr().err
    assert run(["migrate", str(path), "--rollback", "--model", "fake:old"]) == 0
    assert model_of(path) == "old"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--to", "fake:new", "--rollback"],
        ["--to", "fake:new", "--model", "fake:old"],
        ["--rollback", "--shrink"],
    ],
)
def test_a_command_that_says_nothing_or_too_much_is_wrong_usage(path, words, capsys):
    assert run(["migrate", str(path), *words]) == 2
    assert model_of(path) == "old"


def test_an_index_that_is_not_there_is_said(tmp_path, capsys):
    assert run(["migrate", str(tmp_path / "none"), "--to", "bundled"]) == 1
    assert "There is no index" in capsys.readouterr().err


def test_another_model_is_refused_and_the_way_out_is_named(path, capsys):
    assert run(["search", "text", "--index", str(path), "--model", "fake:new"]) == 1
    assert "nearfield migrate" in capsys.readouterr().err
