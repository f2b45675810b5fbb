"""Large batches, whose rows are written many with a statement, hold what small ones do."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from nearfield.core.store import Header
from nearfield.errors import StoreError
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry

DIM = 8
VECTORS = np.random.default_rng(0).standard_normal((5, DIM)).astype(np.float32)
TEXTS = {
    "plain": "a plain fox",
    "accents": "un café près d'un fox",
    "no spaces": "信息检索系统",
    "no UTF-8": "lone \ud800 fox",
    "empty": "",
}


def documents(count, text="a plain fox"):
    entries = [make_entry(f"d{n}", VECTORS, metadata={"number": n}) for n in range(count)]
    return [
        replace(entry, nodes=[replace(node, text=text) for node in entry.nodes])
        for entry in entries
    ]


@pytest.fixture
def store(tmp_path):
    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(Header("f", DIM))
        yield store


def content(store):
    return [(node, vector.tolist()) for node, vector in store.nodes()]


@pytest.mark.parametrize("count", [1, 25, 26, 130])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_batch_of_any_size_reads_back_and_is_sound(store, count, text):
    entries = documents(count, text)
    store.add(entries)
    assert [node for node, _ in content(store)] == [
        node for entry in entries for node in entry.nodes
    ]
    assert store.verify() == []


def test_texts_of_every_kind_are_found_by_their_words_in_one_batch(store):
    kinds = [documents(1, text)[0] for text in TEXTS.values()]
    store.add(
        [
            replace(
                entry,
                document_id=name,
                nodes=[
                    replace(node, id=f"{name}{node.id}", document_id=name) for node in entry.nodes
                ],
            )
            for name, entry in zip(TEXTS, kinds, strict=True)
        ]
        + documents(100)
    )
    for word, found in [("cafe", {"accents"}), ("检索", {"no spaces"}), ("lone", {"no UTF-8"})]:
        hits = store.query(None, 10, mode="text", texts=[word])[0].nodes
        assert {hit.node.document_id for hit in hits} == found
    assert store.verify() == []


def test_a_node_id_taken_amid_a_large_batch_is_named_and_nothing_is_written(store):
    store.add(documents(1))
    before = content(store)
    entries = documents(101)[1:]
    taken = replace(entries[60].nodes[0], id=before[0][0].id)
    entries[60] = replace(entries[60], nodes=[taken, *entries[60].nodes[1:]])
    with pytest.raises(StoreError, match="already belongs to document 'd0'"):
        store.add(entries)
    assert content(store) == before
