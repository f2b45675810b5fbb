"""``nearfield map``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from nearfield.cli import map as module
from nearfield.cli.main import group
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.stores.sqlite import SQLiteStore


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "some.index"
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    vectors[1] = vectors[0]
    with SQLiteStore(path) as store:
        store.initialize(Header("f", 8))
        for i in range(40):
            node = Node(f"text number {i}", f"n{i}", f"d{i}")
            store.add([Entry(f"d{i}", "h", [node], vectors[i : i + 1])])
    return path


def run(*words):
    return CliRunner().invoke(group, ["map", *map(str, words)])


def test_the_map_is_written_and_summed_up(index, tmp_path):
    out = tmp_path / "out.html"

    result = run(index, "--out", out)

    assert result.exit_code == 0, result.output
    assert "40 nodes, 1 near-duplicates" in result.output
    page = out.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "text number 39" in page
    assert '"title":"some"' in page
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_the_same_index_gives_the_same_places(index, tmp_path):
    pages = []
    for name in ("a.html", "b.html"):
        run(index, "--out", tmp_path / name)
        pages.append(tmp_path.joinpath(name).read_text("utf-8").split('"layout":"')[1])

    assert pages[0] == pages[1]


def test_json_tells_the_facts(index, tmp_path):
    result = run(index, "--out", tmp_path / "out.html", "--json", "--sample", 25)

    facts = json.loads(result.stdout)
    assert (facts["points"], facts["nodes"], facts["recall"]) == (25, 40, 1.0)
    assert facts["size_bytes"] == (tmp_path / "out.html").stat().st_size


def test_texts_are_cut_as_told(index, tmp_path):
    run(index, "--out", tmp_path / "out.html", "--characters", 0, "--title", "A <b>title")

    page = (tmp_path / "out.html").read_text("utf-8")
    assert "text number" not in page
    assert "A \\u003cb\\u003etitle" in page


def test_too_many_nodes_are_refused_until_a_sample_is_asked_for(index, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_POINTS", 30)

    refused = run(index, "--out", tmp_path / "out.html")
    sampled = run(index, "--out", tmp_path / "out.html", "--sample", 30)

    assert refused.exit_code == 1
    assert "40 nodes" in refused.output
    assert "--sample 30" in refused.output
    assert sampled.exit_code == 0
    assert "30 of 40 nodes" in sampled.output


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_place_that_cannot_be_written_is_named_before_a_map_is_drawn(
    index, tmp_path, monkeypatch, folder
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("nearfield.server.map.picture.sketch", None)
    result = run(index, "--out", tmp_path / folder / "out.html")

    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_an_index_that_is_not_there_is_named(tmp_path):
    result = run(tmp_path / "none.index")

    assert result.exit_code == 1
    assert "no index" in result.output
