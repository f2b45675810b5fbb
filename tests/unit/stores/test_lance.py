"""What the Lance store does beyond the contract: sizes, ANN, versions, syncing, locks."""

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from nearfield import VectorStoreIndex
from nearfield.core.filters import MetadataFilter, MetadataFilters
from nearfield.core.memory_store import MemoryStore
from nearfield.core.storage import exists, local_path, open_store
from nearfield.core.store import Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import (
    ConfigError,
    CorruptStoreError,
    ModelMismatchError,
    StoreError,
    StoreLockedError,
)
from nearfield.stores.lance import LanceStore, table
from nearfield.stores.lance.disk import WriteLock
from nearfield.testing.fake import FakeEmbedding
from nearfield.testing.store_contract import make_entry

pytestmark = pytest.mark.lance

DIM = 24


def vectors(rows, seed=0, clusters=20):
    """Give clustered vectors, as texts have."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((clusters, DIM))
    noise = rng.standard_normal((rows, DIM)) * 0.4
    return (centres[rng.integers(clusters, size=rows)] + noise).astype(np.float32)


def fill(store, rows=3000, metric=SimilarityMode.COSINE, seed=0):
    matrix = vectors(rows, seed)
    store.initialize(Header("f", DIM, metric))
    store.add(
        [
            make_entry(f"d{n}", matrix[10 * n : 10 * n + 10], metadata={"n": n, "odd": n % 2 == 1})
            for n in range(rows // 10)
        ]
    )
    return matrix


def found(answers):
    return [[(hit.node.id, hit.score) for hit in answer.nodes] for answer in answers]


@pytest.mark.parametrize("metric", list(SimilarityMode))
@pytest.mark.parametrize("exact_below", [0, 10**6])
def test_answers_are_those_of_the_memory_store(tmp_path, metric, exact_below):
    """From the copy in memory and streamed; with conditions; after changes; bit for bit."""
    with (
        closing(LanceStore(tmp_path / "i", exact_below=exact_below, ann=None)) as store,
        closing(MemoryStore()) as oracle,
    ):
        for one in (store, oracle):
            fill(one, 600, metric)
            one.upsert([make_entry("d3", vectors(7, seed=5), version=2, metadata={"n": 3})])
            one.delete(["d5", "d9"])
            one.delete_nodes(["d7/1/0"])
        queries = vectors(5, seed=8)
        for filters in (None, MetadataFilters([MetadataFilter("odd", value=True)])):
            answers = store.query(queries, 12, filters=filters)
            assert found(answers) == found(oracle.query(queries, 12, filters=filters))
            assert {answer.engine for answer in answers} == {"exact"}


HOSTILE = [
    ("n' OR 1=1 --", "x"), ("hash IS NULL", "'); DROP TABLE nodes; --"), ("", "\x00"),
    ("vector", "\ud800"), ("a.b[0]", '"\\'), ("%", "_%"), ("n", "'"), ("`key`", "${x}"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), HOSTILE)
@pytest.mark.parametrize("exact_below", [0, 10**6])
def test_conditions_are_values_never_code(tmp_path, key, value, exact_below):
    """Whatever stands in keys, values and ids, the same rows come as from the memory store."""
    with (
        closing(LanceStore(tmp_path / "i", exact_below=exact_below, ann=None)) as store,
        closing(MemoryStore()) as oracle,
    ):
        for one in (store, oracle):
            one.initialize(Header("f", DIM))
            matrix = vectors(3)
            facts = [{key: value}, {key: "other"}, {"n": 1}]
            names = [value or "v", f"{key}'; --", "plain"]
            for name, row, fact in zip(names, matrix, facts, strict=True):
                one.add([make_entry(name, row[None], metadata=fact)])
            filters = MetadataFilters([MetadataFilter(key or " ", value)])
            answer = found(one.query(matrix[:1], 9, filters=filters))
            hashes = one.content_hashes([value, f"{key}'; --", "' OR '1'='1"])
            gone = one.delete([value or "v", "' OR '1'='1"])
            if one is store:
                told = answer, hashes, gone, one.count()
        assert told == (answer, hashes, gone, oracle.count())


@pytest.mark.parametrize("kind", ["IVF_SQ", "IVF_RQ", "IVF_FLAT"])
def test_an_ann_index_reaches_the_recall_it_was_asked_for(tmp_path, kind):
    """Measured when built, told in the answer, kept with the table, true of other queries."""
    with closing(LanceStore(tmp_path / "i", exact_below=0, ann=None)) as store:
        matrix = fill(store)
        made = store.build_ann_index(kind, recall=0.95)
        assert made == store.ann_index
        assert made.recall >= 0.95
        queries = vectors(40, seed=3)
        answers = store.query(queries, 10)
        assert {answer.engine for answer in answers} == {kind.lower()}
        truth = (
            -(queries / np.linalg.norm(queries, axis=1)[:, None])
            @ (matrix / np.linalg.norm(matrix, axis=1)[:, None]).T
        )
        best = np.argsort(truth, axis=1)[:, :10]
        hits = [
            len({name for name, _ in one} & {f"d{r // 10}/1/{r % 10}" for r in rows})
            for one, rows in zip(found(answers), best, strict=True)
        ]
        assert np.mean(hits) / 10 >= 0.9
        exactly = store.query(matrix[:1], 1)[0].nodes[0]
        assert exactly.score == pytest.approx(1, abs=1e-12)
    with closing(LanceStore(tmp_path / "i", exact_below=0)) as again:
        assert again.ann_index == made


def test_an_ann_index_finds_what_conditions_leave_and_what_came_later(tmp_path):
    """Few that satisfy them, or none: exactly; new and replaced documents at once."""
    with closing(LanceStore(tmp_path / "i", exact_below=0, ann=None)) as store:
        fill(store)
        store.build_ann_index("IVF_SQ")
        query = vectors(1, seed=4)
        rare = MetadataFilters([MetadataFilter("n", 123)])
        (answer,) = store.query(query, 5, filters=rare)
        assert answer.engine == "exact"
        assert {hit.node.document_id for hit in answer.nodes} == {"d123"}
        half = MetadataFilters([MetadataFilter("odd", value=False)])
        (answer,) = store.query(query, 5, filters=half)
        assert answer.engine == "ivf_sq"
        assert all(hit.metadata["odd"] is False for hit in answer.nodes)
        store.upsert([make_entry("d1", query, version=2)])
        assert store.query(query, 1)[0].nodes[0].node_id == "d1/2/0"
        store.delete(["d1"])
        assert store.query(query, 1)[0].nodes[0].node.document_id != "d1"


def test_a_growing_table_gets_its_index_by_itself(tmp_path):
    """When it outgrows the exact size, and anew once it has doubled."""
    with closing(LanceStore(tmp_path / "i", exact_below=500, durable=False)) as store:
        fill(store, 400)
        assert store.query(vectors(1), 3)[0].engine == "exact"
        assert store.ann_index is None
        for size, seed in ((300, 1), (900, 2)):
            rows = vectors(size, seed)
            store.add([make_entry(f"more{seed}", rows)])
            assert store.ann_index.rows == store.count()
        assert store.query(vectors(1), 3)[0].engine == "ivf_sq"


def test_a_bad_recall_or_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="recall"):
        LanceStore(tmp_path / "i", recall=1.5)
    with pytest.raises(ConfigError, match="exact_below"):
        LanceStore(tmp_path / "i", exact_below=-1)
    with closing(LanceStore(tmp_path / "i")) as store:
        with pytest.raises(StoreError, match="new"):
            store.build_ann_index()
        fill(store, 30)
        with pytest.raises(ConfigError, match="too few"):
            store.build_ann_index()
        with pytest.raises(ConfigError, match="IVF_SQ"):
            store.build_ann_index("HNSW")


def test_many_small_writes_are_tidied_up(tmp_path, monkeypatch):
    """The files stay few, and answers the same."""
    monkeypatch.setattr(table, "FRAGMENTS_TO_COMPACT", 8)
    with closing(LanceStore(tmp_path / "i", durable=False)) as store:
        store.initialize(Header("f", DIM))
        matrix = vectors(30)
        for n, row in enumerate(matrix):
            store.add([make_entry(f"d{n}", row[None])])
            if n % 5 == 0:
                assert len(store.query(matrix[:1], 99)[0].nodes) == n + 1
        assert len(store._table.latest().data.get_fragments()) <= 8
        assert store.query(matrix[29:], 1)[0].nodes[0].node_id == "d29/1/0"
        store.optimize()
        assert len(store._table.latest().data.get_fragments()) == 1
        assert store.count() == 30
        names = [hit.text for hit in store.query(None, 5, mode="text", texts=["d17"])[0].nodes]
        assert names == ["d17 piece 0 version 1"]


def test_a_write_is_on_the_disk_when_it_returns(tmp_path, monkeypatch):
    """Every new file is synced, and the folders that name it; not when told otherwise."""
    synced, plain = [], os.fsync

    def noted(handle):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        plain(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with closing(LanceStore(tmp_path / "i")) as store:
        store.initialize(Header("f", DIM))
        store.add([make_entry("a", vectors(2))])
        store.upsert([make_entry("a", vectors(2), version=2)])
        files = {str(path) for path in (tmp_path / "i" / "nodes.lance").rglob("*")}
        assert files <= set(synced)
    synced.clear()
    with closing(LanceStore(tmp_path / "j", durable=False)) as store:
        fill(store, 30)
    assert synced == []


def test_a_second_writer_waits_and_is_told_in_the_end(tmp_path):
    with closing(LanceStore(tmp_path / "i", timeout_s=0.05)) as store:
        store.initialize(Header("f", DIM))
        with (
            WriteLock(tmp_path / "i", 1).held(),
            pytest.raises(StoreLockedError, match="somebody else"),
        ):
            store.add([make_entry("a", vectors(1))])
        store.add([make_entry("a", vectors(1))])


def test_a_read_only_store_writes_nothing(tmp_path):
    with pytest.raises(StoreError, match="no index"):
        LanceStore(tmp_path / "i", read_only=True)
    assert not (tmp_path / "i").exists()
    with closing(LanceStore(tmp_path / "i")) as store:
        fill(store, 30)
    before = sorted((tmp_path / "i").rglob("*"))
    with closing(LanceStore(tmp_path / "i", read_only=True)) as store:
        assert len(store.query(vectors(1), 3)[0].nodes) == 3
        for call in (
            lambda: store.delete(["d0"]),
            lambda: store.upsert([make_entry("x", vectors(1))]),
            lambda: store.update_facts({"a": 1}),
            store.optimize,
        ):
            with pytest.raises(StoreError, match="reading only"):
                call()
    assert sorted((tmp_path / "i").rglob("*")) == before


def test_a_content_hash_that_is_no_text_is_refused(tmp_path):
    with closing(LanceStore(tmp_path / "i")) as store:
        store.initialize(Header("f", DIM))
        entry = replace(make_entry("a", vectors(1)), content_hash="\ud800")
        with pytest.raises(ConfigError, match="lone surrogate"):
            store.add([entry])
        assert store.count() == 0


def test_a_table_of_somebody_else_is_refused(tmp_path):
    lance.write_dataset(pa.table({"x": [1]}), tmp_path / "i" / "nodes.lance")
    with pytest.raises(CorruptStoreError, match="no index"):
        LanceStore(tmp_path / "i")


def test_an_index_opens_by_its_address(tmp_path):
    """Made, told to be there, opened, and refused to another model."""
    address, fake_model = f"lance://{tmp_path}/i", FakeEmbedding(8)
    assert not exists(address)
    assert local_path(address) == tmp_path / "i"
    assert local_path("lance://s3://bucket/i") is None
    with pytest.raises(StoreError, match="There is no index"):
        VectorStoreIndex.open(address, embed_model=fake_model)
    with VectorStoreIndex(store=open_store(address), embed_model=fake_model) as index:
        index.insert_nodes([])
        index.store.initialize(index._header(8))
    assert exists(address)
    with VectorStoreIndex.open(address, embed_model=fake_model) as index:
        assert repr(index.store) == f"LanceStore('{tmp_path}/i')"
        with pytest.raises(ModelMismatchError):
            index.store.initialize(Header("another", 8))
