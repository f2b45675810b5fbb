"""What a map reads of an index."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import normalize
from nearfield.errors import StoreError
from nearfield.server.map import points as module
from nearfield.server.map.points import most_points, read_points
from nearfield.server.map.projection import Moments


def filled(n=300, dim=8, seed=0):
    store = MemoryStore()
    store.initialize(Header("f", dim))
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    for i in range(n):
        facts = {"kind": "ab"[i % 2]}
        node = Node(f"text {i} " + "x" * 1000, f"n{i}", f"d/{i % 3}/{i}", 0, -1, facts)
        store.add([Entry(node.document_id, "h", [node], vectors[i : i + 1])])
    return store, vectors


def silent(share):
    assert 0 <= share <= 1


@pytest.mark.parametrize("rows", [7, 4096])
def test_all_nodes_are_shown_in_the_order_of_writing(monkeypatch, rows):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
    store, vectors = filled()

    points = read_points(store, step=silent)

    assert points.ids == [f"n{i}" for i in range(300)]
    assert points.documents[4] == "d/1/4"
    assert (points.total, points.is_sample) == (300, False)
    np.testing.assert_allclose(points.vectors, normalize(vectors))
    assert {field.name for field in points.fields} == {"folder", "kind"}
    assert all(len(text) == module.TEXT_CHARACTERS for text in points.texts)


@pytest.mark.parametrize("rows", [7, 4096])
def test_of_too_many_a_sample_is_shown_on_the_axes_of_all(monkeypatch, rows):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
    store, vectors = filled()
    moments = Moments(8)
    moments.add(normalize(vectors))

    points = read_points(store, step=silent, limit=50)

    numbers = [int(name[1:]) for name in points.ids]
    assert len(numbers) == 50
    assert numbers == sorted(set(numbers))
    assert (points.total, points.is_sample) == (300, True)
    np.testing.assert_allclose(points.vectors, normalize(vectors[numbers]))
    np.testing.assert_allclose(points.axes.directions, moments.axes().directions, atol=1e-5)
    assert read_points(store, step=silent, limit=50).ids == points.ids


def test_nodes_removed_while_they_are_read_are_missing_and_no_more():
    store, _ = filled(20)
    store.count = lambda: 25

    points = read_points(store, step=silent)

    assert points.total == len(points.ids) == 20


def test_an_empty_index_has_no_map():
    with pytest.raises(StoreError, match="empty"):
        read_points(MemoryStore(), step=silent)


def test_memory_is_bounded_by_the_number_of_points():
    assert most_points(384) == module.MOST_POINTS
    assert most_points(4096) * 4096 * 4 <= module.MOST_BYTES
    assert most_points(10**12) == 1


def test_stopping_ends_the_reading_of_the_store(monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    store, _ = filled(40)
    ended = []
    nodes = store.nodes

    def watched(*given):
        try:
            yield from nodes(*given)
        finally:
            ended.append(True)

    def stop(share):
        raise KeyboardInterrupt

    store.nodes = watched
    with pytest.raises(KeyboardInterrupt):
        read_points(store, step=stop)
    assert ended
