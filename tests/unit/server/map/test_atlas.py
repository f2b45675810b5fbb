"""The map of a store that may change, drawn in the background."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.errors import CorruptStoreError
from nearfield.server.map import atlas as module
from nearfield.server.map.atlas import Atlas
from nearfield.server.map.picture import finish, sketch


def filled(n=60, dim=8):
    store = MemoryStore()
    store.initialize(Header("f", dim))
    vectors = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    store.add(
        [
            Entry(f"d{i}", "h", [Node(f"text {i}", f"n{i}", f"d{i}")], vectors[i : i + 1])
            for i in range(n)
        ]
    )
    return store


def wait(atlas):
    """Let the work under way end, and give what there is then."""
    atlas._work.join(60)
    return atlas.look()


@pytest.fixture
def gate(monkeypatch):
    """Hold the better layout back until it is let through."""
    opened, reached = threading.Event(), threading.Event()

    def held(picture, *, report):
        reached.set()
        assert opened.wait(30)
        report("layout", 0.5)
        return finish(picture, report=report)

    monkeypatch.setattr(module, "finish", held)
    held.open, held.reached = opened, reached
    yield held
    opened.set()


def test_nothing_is_drawn_before_somebody_looks():
    atlas = Atlas(filled())

    progress, picture = atlas.seen()

    assert (progress.state, picture, atlas._work) == ("building", None, None)


def test_components_come_at_once_and_the_layout_when_it_is_ready(gate):
    atlas = Atlas(filled())
    atlas.look()
    assert gate.reached.wait(30)

    early, sketched = atlas.look()
    gate.open.set()
    late, whole = wait(atlas)

    assert (early.state, sketched.layout) == ("pca", None)
    assert (late.state, late.share, late.stage) == ("layout", 1.0, "")
    assert whole.layout.shape == whole.pca.shape == (60, 2)
    np.testing.assert_array_equal(sketched.pca, whole.pca)
    assert early.version.rpartition("-")[0] == late.version.rpartition("-")[0]
    assert early.version != late.version


def test_the_same_map_is_given_until_the_store_changes():
    store = filled()
    atlas = Atlas(store)
    atlas.look()
    before, picture = wait(atlas)
    work = atlas._work

    assert atlas.look() == (before, picture)
    assert atlas._work is work

    store.delete(["d0"])
    _, old = atlas.look()
    after, new = wait(atlas)

    assert old is picture
    assert after.version != before.version
    assert len(new.points.ids) == 59


def test_a_change_stops_the_drawing_of_what_was(gate):
    store = filled()
    atlas = Atlas(store)
    atlas.look()
    assert gate.reached.wait(30)
    first = atlas._work

    store.delete(["d0"])
    atlas.look()
    gate.open.set()
    first.join(30)
    progress, picture = wait(atlas)

    assert not first.is_alive()
    assert progress.state == "layout"
    assert len(picture.points.ids) == 59


def test_closing_stops_the_drawing(gate):
    atlas = Atlas(filled())
    atlas.look()
    assert gate.reached.wait(30)
    work = atlas._work

    gate.open.set()
    atlas.close()

    assert not work.is_alive()


def test_it_stops_when_it_is_no_longer_wanted(gate):
    wanted = [True]
    atlas = Atlas(filled(), lambda: wanted[0])
    atlas.look()
    assert gate.reached.wait(30)

    wanted[0] = False
    gate.open.set()
    atlas._work.join(30)

    assert not atlas._work.is_alive()
    assert atlas.seen()[0].state == "pca"


def test_an_empty_index_is_said_to_be_empty():
    atlas = Atlas(MemoryStore())
    atlas.look()

    progress, picture = wait(atlas)

    assert (progress.state, picture) == ("failed", None)
    assert "empty" in progress.error


def test_damage_is_told(monkeypatch):
    def damaged(*_, **__):
        raise CorruptStoreError("Node 'x' is damaged.")

    monkeypatch.setattr(module, "sketch", damaged)
    atlas = Atlas(filled())
    atlas.look()

    assert wait(atlas)[0].error == "Node 'x' is damaged."


def test_what_went_wrong_inside_is_logged_and_not_told(monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(module, "sketch", broken)
    atlas = Atlas(filled())
    atlas.look()

    progress, _ = wait(atlas)

    assert progress.state == "failed"
    assert "secret" not in progress.error
    assert "secret" in caplog.text


def test_a_store_closed_under_the_work_is_no_failure(monkeypatch, caplog):
    wanted = [True]

    def closed(*_, **__):
        wanted[0] = False
        raise RuntimeError("closed")

    monkeypatch.setattr(module, "sketch", closed)
    atlas = Atlas(filled(), lambda: wanted[0])
    atlas.look()
    atlas._work.join(30)

    assert not caplog.records
    assert atlas.seen()[0].state == "building"


def test_one_node_has_a_map_too():
    picture = finish(sketch(filled(1), report=lambda *_: None), report=lambda *_: None)

    assert picture.layout.shape == (1, 2)
    assert picture.duplicates.pairs == []
    assert picture.outliers.points == []
