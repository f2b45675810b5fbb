"""``nearfield eval``: which ids are ranked, and how deep."""

from __future__ import annotations

import json

import pytest

from nearfield.cli.main import run as nearfield
from nearfield.core import Document, VectorStoreIndex
from nearfield.core.registry import EMBEDDINGS, Registered

QUESTION = "red planet"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A long book of many pages that all come before the one page of another."""
    monkeypatch.setitem(
        EMBEDDINGS, "fake", Registered("nearfield.testing.fake:FakeEmbedding", "", "model_name")
    )
    pages = [Document(f"{QUESTION} {n}", {"book": "long"}, id=f"long#{n}") for n in range(450)]
    last = Document("something else entirely", {"book": "short"}, id="short#1")
    path = tmp_path / "my.index"
    documents = [*pages, last]
    VectorStoreIndex.from_documents(documents, embed_model="fake:one", path=path).close()
    return path


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
def test_ids_that_many_documents_carry_are_ranked_as_deep_as_others(index, tmp_path, capsys, mode):
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "1", "text": QUESTION}))
    (tmp_path / "qrels.tsv").write_text("1\tshort\t1\n")
    words = ("--queries", tmp_path / "queries.jsonl", "--qrels", tmp_path / "qrels.tsv")
    words += ("--index", index, "--model", "fake:one", "--id-key", "book", "--mode", mode)

    assert nearfield(["eval", *map(str, words), "--json"]) == 0

    scores = json.loads(capsys.readouterr().out)["scores"][mode]
    assert scores["recall_at_100"] == 1.0
    assert scores["mrr_at_10"] == 0.5
