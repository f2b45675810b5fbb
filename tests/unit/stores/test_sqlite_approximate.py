"""The approximate index: derived, measured, said so, and exact in what it tells of its finds."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, MissingDependencyError
from nearfield.stores.sqlite import SQLiteStore, approximate
from nearfield.stores.sqlite.approximate import approximate_path
from nearfield.stores.sqlite.snapshot import snapshot_path

pytestmark = pytest.mark.faiss

DIM = 16
COUNT = 6_000
METRICS = list(SimilarityMode)


def rows(count, seed):
    """Make vectors in groups, as those of texts are."""
    dice = np.random.default_rng(seed)
    middles = np.random.default_rng(9).standard_normal((40, DIM))
    near = middles[dice.integers(0, 40, count)] + 0.5 * dice.standard_normal((count, DIM))
    return near.astype(np.float32)


def entry(name, matrix, metadata=None):
    nodes = [
        Node(text="", id=f"{name}/{n}", document_id=name, metadata=metadata or {})
        for n in range(len(matrix))
    ]
    return Entry(name, "hash", nodes, matrix, metadata or {})


def open_store(path):
    return SQLiteStore(path, snapshot_from_bytes=1)


def filled(path, metric=SimilarityMode.COSINE):
    store = open_store(path)
    store.initialize(Header("f", DIM, metric))
    store.add([entry(f"d{n}", rows(500, n), {"n": n}) for n in range(COUNT // 500)])
    return store


def answers(store, queries, k=10):
    found = store.query(queries, k)
    return [[(hit.node.id, hit.score) for hit in one.nodes] for one in found]


def engines(store, queries, k=10, **options):
    return {one.engine for one in store.query(queries, k, **options)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my.index"


@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_the_share_it_promises_with_exact_scores(path, metric):
    queries = rows(50, 1000)
    with closing(filled(path, metric)) as store:
        exact = answers(store, queries)
        assert engines(store, queries) == {"exact"}
        made = store.build_ann_index(recall=0.9)
        found = answers(store, queries)
        assert engines(store, queries) == {"hnsw"}
    assert 0.9 <= made.recall <= 1
    pairs = list(zip(exact, found, strict=True))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in pairs]) >= 0.85
    for right, nearly in pairs:
        scores = dict(right)
        assert all(scores.get(name, score) == score for name, score in nearly)
        assert [score for _, score in nearly] == sorted((s for _, s in nearly), reverse=True)


def test_it_is_used_by_whoever_opens_the_index_next(path):
    queries = rows(5, 1000)
    with closing(filled(path)) as store:
        store.build_ann_index()
        expected = answers(store, queries)
    with closing(open_store(path)) as store:
        assert engines(store, queries) == {"hnsw"}
        assert answers(store, queries) == expected


def test_what_was_written_and_deleted_since_is_taken_into_account(path):
    with closing(filled(path)) as store:
        store.build_ann_index()
        query = rows(1, 3)[:1]
        (before,) = answers(store, query, 3)
        store.delete_nodes([before[0][0]])
        store.upsert([entry("new", np.concatenate([query, query * 2]))])
        (now,) = answers(store, query, 4)
        assert engines(store, query) == {"hnsw"}
        assert [name for name, _ in now[:2]] == ["new/0", "new/1"]
        assert now[2:] == before[1:3]


def test_filters_and_long_answers_are_exact(path):
    with closing(filled(path)) as store:
        store.build_ann_index()
        query = rows(1, 3)
        assert engines(store, query, filters={"n": 3}) == {"exact"}
        assert engines(store, query, 251) == {"exact"}


@pytest.mark.parametrize("loss", ["deleted", "cut", "flipped", "another", "no snapshot"])
def test_without_a_whole_file_of_its_snapshot_the_search_is_exact(path, loss, tmp_path):
    with closing(filled(path)) as store:
        store.build_ann_index()
    file = approximate_path(path)
    data = bytearray(file.read_bytes())
    if loss == "deleted":
        file.unlink()
    elif loss == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif loss == "flipped":
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    elif loss == "another":
        other = tmp_path / "other.index"
        with closing(filled(other)) as store:
            store.build_ann_index()
        file.write_bytes(approximate_path(other).read_bytes())
    else:
        with closing(open_store(path)) as store:  # what the next snapshot holds is not the same
            store.upsert([entry("new", rows(2000, 77))])
        snapshot_path(path).unlink()
    with closing(open_store(path)) as store:
        assert engines(store, rows(3, 1000)) == {"exact"}


def test_vectors_of_any_length_are_found(path):
    """Those that a graph cannot bear are compared one by one."""
    odd = np.full((1, DIM), 1e-30, np.float32)
    odd[0, 0] = 3e-30
    with closing(filled(path)) as store:
        store.add([entry("odd", np.concatenate([odd, rows(2000, 5)]))])
        store.build_ann_index()
        assert engines(store, odd) == {"hnsw"}
        assert answers(store, odd * np.float32(1e30), 1)[0][0] == ("odd/0", pytest.approx(1))


def test_a_small_index_and_a_recall_that_is_none_are_refused(path):
    with closing(SQLiteStore(path)) as store:
        store.initialize(Header("f", DIM))
        store.add([entry("a", rows(100, 1))])
        with pytest.raises(ConfigError, match="small enough"):
            store.build_ann_index()
    with closing(open_store(path)) as store:
        store.add([entry("b", rows(1000, 1))])
        for recall in (0, 1.01, float("nan")):
            with pytest.raises(ConfigError, match="recall"):
                store.build_ann_index(recall=recall)
    assert not approximate_path(path).exists()


def test_where_faiss_is_missing_the_search_is_exact_and_building_says_what_to_install(
    path, monkeypatch
):
    def missing(module, *, extra, purpose=None):
        message = f"{purpose or module} needs {module}: pip install 'nearfield[{extra}]'"
        raise MissingDependencyError(message, extra=extra, install="")

    with closing(filled(path)) as store:
        store.build_ann_index()
    monkeypatch.setattr(approximate, "require", missing)
    with closing(open_store(path)) as store:
        assert engines(store, rows(3, 1000)) == {"exact"}
        with pytest.raises(MissingDependencyError, match=r"nearfield\[faiss\]"):
            store.build_ann_index()
