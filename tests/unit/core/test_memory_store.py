"""What is particular to the store in memory; the rest is in the contract."""

from contextlib import closing

import numpy as np
import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header, VectorStore
from nearfield.core.vector_table import VectorTable
from nearfield.testing.store_contract import make_entry

DIM = 4
QUERY = np.ones((1, DIM), np.float32)


def rows(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


@pytest.fixture
def store():
    with closing(MemoryStore()) as store:
        store.initialize(Header("f", DIM))
        yield store


def test_it_is_a_store(store):
    assert isinstance(store, VectorStore)


def test_room_is_made_again_when_a_quarter_is_gone(store):
    store.add([make_entry(f"d{n}", rows(3, n), metadata={"n": n}) for n in range(100)])
    before = {hit.node.id: hit.score for hit in store.query(QUERY, 300)[0].nodes}
    assert [hit.text for hit in store.query(None, 1, mode="text", texts=["d99"])[0].nodes]
    store.delete([f"d{n}" for n in range(0, 100, 2)])
    assert len(store._records) == len(store._table) == 150
    after = {hit.node.id: hit.score for hit in store.query(QUERY, 300)[0].nodes}
    assert after == {name: s for name, s in before.items() if int(name.split("/")[0][1:]) % 2}
    found = store.query(None, 3, mode="text", texts=["d99"], filters={"n": 99})[0].nodes
    assert {hit.node.document_id for hit in found} == {"d99"}
    store.delete_nodes(["d1/1/1"])
    assert [node.id for node, _ in store.nodes(["d1/1/2", "d1/1/0"])] == ["d1/1/0", "d1/1/2"]
    store.upsert([make_entry("d1", rows(1), version=2)])
    assert store.count() == 49 * 3 + 1


def test_iteration_gives_one_version_whatever_is_written_meanwhile(store):
    store.add([make_entry(f"d{n}", rows(3, n)) for n in range(10)])
    nodes, documents = store.nodes(), store.documents()
    assert next(nodes)[0].id == "d0/1/0"
    assert next(documents)[0] == "d0"
    store.delete([f"d{n}" for n in range(10)])
    assert len(list(nodes)) == 29
    assert len(list(documents)) == 9


def test_an_embedding_that_a_node_carries_is_not_kept_twice(store):
    node = Node(text="x", id="n", document_id="d", embedding=[1.0] * DIM)
    store.add([Entry("d", "h", [node], QUERY)])
    ((kept, vector),) = store.nodes()
    assert kept.embedding is None
    assert vector.tolist() == [1] * DIM


def test_a_closed_store_is_empty(store):
    store.add([make_entry("d", rows(3))])
    store.close()
    store.close()
    assert store.count() == 0
    assert store.query(QUERY, 3)[0].nodes == []


def test_a_segment_never_changes_once_given():
    table = VectorTable()
    table.append(rows(100))
    given = table.segment()
    copy = given.vectors.copy()
    table.strike([0, 5])
    table.append(rows(500, 1))
    table.compact()
    table.append(rows(1000, 2))
    assert given.live is None
    assert np.array_equal(given.vectors, copy)
    assert len(table) == 1598
