"""An index copied into another store holds the same, and proves it."""

from contextlib import closing

import numpy as np
import pytest

from nearfield.core.copying import copy_index
from nearfield.core.memory_store import MemoryStore
from nearfield.core.storage import save_store
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, ModelMismatchError, StoreError
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry

HEADER = Header("fingerprint-1", 8, SimilarityMode.DOT_PRODUCT, "model-1", {"chunk_size": 9})


def filled(store, documents=30, pieces=5):
    rng = np.random.default_rng(3)
    store.initialize(HEADER)
    store.add(
        [
            make_entry(f"d{n}", rng.standard_normal((pieces, 8)), metadata={"n": n, "é": "\ud800"})
            for n in range(documents)
        ]
    )
    store.add([Entry("empty", "h", [], np.zeros((0, 8), np.float32), {"kept": True})])
    return store


def contents(store):
    return (
        [(node, vector.tobytes()) for node, vector in store.nodes()],
        dict(store.documents()),
        store.content_hashes(),
        store.header,
    )


@pytest.fixture
def source():
    return filled(MemoryStore())


def test_a_copy_holds_the_same_nodes_vectors_documents_and_header(source, tmp_path):
    with closing(SQLiteStore(tmp_path / "copy.index")) as target:
        report = copy_index(source, target)
        assert contents(target) == contents(source)
        assert (report.documents, report.nodes, report.copied) == (31, 150, 31)
        assert report.agreement == 1
        back = MemoryStore()
        assert copy_index(target, back).checksum == report.checksum
        assert contents(back) == contents(source)


class Broken(MemoryStore):
    """Fails at its third write."""

    writes = 0

    def upsert(self, entries):
        self.writes += 1
        if self.writes == 3:
            raise StoreError("full")
        super().upsert(entries)


def test_a_copy_that_stopped_goes_on_with_what_is_missing(monkeypatch, source):
    monkeypatch.setattr("nearfield.core.copying.WINDOW_NODES", 20)
    target = Broken()
    with pytest.raises(StoreError, match="full"):
        copy_index(source, target)
    assert target.count() == 40
    report = copy_index(source, target)
    assert (report.documents, report.copied) == (31, 31 - 8)
    assert contents(target) == contents(source)
    assert copy_index(source, target).copied == 0


class WrittenMeanwhile(MemoryStore):
    """Lets somebody else write once, between two of the things that are read."""

    def __init__(self, write):
        super().__init__()
        self.write = write

    def documents(self):
        write, self.write = self.write, lambda _: None
        write(self)
        return super().documents()


WRITES = {
    "changed": lambda store: store.upsert([make_entry("d3", np.ones((2, 8)), version=2)]),
    "removed": lambda store: store.delete(["d3"]),
    "added": lambda store: store.add([make_entry("new", np.ones((2, 8)))]),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_source_written_meanwhile_is_told_and_the_same_again_copies_it_whole(write, tmp_path):
    source = filled(WrittenMeanwhile(WRITES[write]))
    with closing(SQLiteStore(tmp_path / "copy.index")) as target:
        with pytest.raises(StoreError, match="Run the same again"):
            copy_index(source, target)
        known = source.content_hashes()
        for name, content in target.content_hashes().items():
            assert known[name] == content  # nothing there claims to be what it is not
        copy_index(source, target)
        assert dict(target.documents()) == dict(source.documents())
        assert target.content_hashes() == source.content_hashes()
        assert target.count() == source.count()


class ChangedAndChangedBack(MemoryStore):
    """Lets somebody else change a document before its nodes are read, and back afterwards."""

    changed = 0

    def nodes(self, node_ids=None):
        self.changed += 1
        if self.changed > 1:
            yield from super().nodes(node_ids)
            return
        before = filled(MemoryStore())
        self.upsert([make_entry("d3", np.ones((5, 8)), metadata={"n": 3, "é": "\ud800"})])
        yield from super().nodes(node_ids)
        vectors = np.stack([row for node, row in before.nodes() if node.document_id == "d3"])
        self.upsert([make_entry("d3", vectors, metadata={"n": 3, "é": "\ud800"})])


def test_a_document_changed_and_changed_back_while_it_is_copied_is_told():
    source, target = filled(ChangedAndChangedBack()), MemoryStore()
    with pytest.raises(StoreError, match="such as 'd3'"):
        copy_index(source, target)
    assert "d3" not in target.content_hashes()
    copy_index(source, target)
    assert sorted(contents(target)[0], key=repr) == sorted(contents(source)[0], key=repr)


def test_nor_is_a_file_saved_with_what_was_changed_and_changed_back(tmp_path):
    with pytest.raises(StoreError, match="such as 'd3'"):
        save_store(filled(ChangedAndChangedBack()), tmp_path / "saved.index")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_saved_from_a_store_that_is_written_meanwhile(tmp_path):
    source = filled(WrittenMeanwhile(WRITES["changed"]))
    with pytest.raises(StoreError, match="Run the same again"):
        save_store(source, tmp_path / "saved.index")
    assert list(tmp_path.iterdir()) == []
    save_store(source, tmp_path / "saved.index")
    with closing(SQLiteStore(tmp_path / "saved.index")) as saved:
        assert saved.content_hashes() == source.content_hashes()


def test_what_has_changed_since_is_copied_again(source):
    target = MemoryStore()
    copy_index(source, target)
    source.upsert([make_entry("d3", np.ones((2, 8)), version=2)])
    source.update_facts({"learnt": 1})
    assert copy_index(source, target).copied == 1
    assert contents(target)[3] == source.header
    assert target.content_hashes()["d3"] == "hash-2"


def test_a_target_of_another_model_is_refused_and_left_alone(source):
    target = MemoryStore()
    target.initialize(Header("fingerprint-2", 8, SimilarityMode.DOT_PRODUCT))
    with pytest.raises(ModelMismatchError, match="fingerprint-2"):
        copy_index(source, target)
    assert target.count() == 0


def test_a_target_that_holds_something_else_is_refused(source):
    target = MemoryStore()
    target.initialize(HEADER)
    target.add([make_entry("mine", np.ones((1, 8)))])
    with pytest.raises(ConfigError, match="'mine'"):
        copy_index(source, target)
    assert target.count() == 1


def test_a_new_store_has_nothing_to_copy():
    with pytest.raises(ConfigError, match="nothing to copy"):
        copy_index(MemoryStore(), MemoryStore())


def test_a_copy_that_lost_or_changed_something_is_told(source):
    class Lossy(MemoryStore):
        def nodes(self, node_ids=None):
            for node, vector in super().nodes(node_ids):
                yield node, vector + np.float32(1e-6)

    with pytest.raises(StoreError, match="checksum"):
        copy_index(source, Lossy())


def test_a_copy_that_answers_otherwise_is_told(source):
    class Forgetful(MemoryStore):
        def query(self, vectors, top_k, **options):
            return super().query(-vectors, top_k, **options)

    with pytest.raises(StoreError, match="sampled queries"):
        copy_index(source, Forgetful())


@pytest.mark.pgvector
def test_an_index_goes_to_postgresql_and_back(source, postgres, tmp_path):
    from nearfield.stores.pgvector import PGVectorStore

    with closing(PGVectorStore(postgres, index="copied")) as target:
        report = copy_index(source, target)
        assert contents(target) == contents(source)
        with closing(SQLiteStore(tmp_path / "back.index")) as back:
            assert copy_index(target, back).checksum == report.checksum
            assert contents(back) == contents(source)
        target.drop()
