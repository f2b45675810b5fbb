"""The embedding cache finds a vector only for the same model, input type and text."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.core.embeddings import BaseEmbedding
from nearfield.errors import StoreError


@pytest.fixture
def cache(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache.db")
    yield cache
    cache.close()


def vectors(n: int, dim: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def test_what_was_put_is_found_bit_for_bit(cache):
    kept = vectors(3)
    cache.put_many("model", "document", ["a", "b", "c"], kept)

    found = cache.get_many("model", "document", ["c", "nothing", "a"])

    assert sorted(found) == ["a", "c"]
    assert np.array_equal(found["c"], kept[2])


@pytest.mark.parametrize(
    ("fingerprint", "input_type", "text"),
    [("other", "document", "a"), ("model", "query", "a"), ("model", "document", "A")],
)
def test_another_model_input_type_or_text_is_not_found(cache, fingerprint, input_type, text):
    cache.put_many("model", "document", ["a"], vectors(1))

    assert cache.get_many(fingerprint, input_type, [text]) == {}


def test_parts_of_a_key_do_not_run_together(cache):
    cache.put_many("model", "document", ["xa"], vectors(1))

    assert cache.get_many("modeldocument", "x", ["a"]) == {}
    assert cache.get_many("model", "documentx", ["a"]) == {}


def test_lone_surrogates_can_be_keys(cache):
    cache.put_many("model", "document", ["\ud800"], vectors(1))

    assert list(cache.get_many("model", "document", ["\ud800"])) == ["\ud800"]


def test_the_least_recently_used_go_when_it_is_full(tmp_path):
    cache = EmbeddingCache(tmp_path / "small.db", max_bytes=50 * (16 + 4 + 32))
    for number in range(200):
        cache.put_many("model", "document", [f"text {number}"], vectors(1))

    info = cache.info()

    assert 0 < info.vectors <= 50
    assert info.size_bytes <= cache.max_bytes
    cache.close()


@pytest.mark.parametrize("damage", ["cast(zeroblob(16) || x'01020304' AS BLOB)", "'text'", "x'00'"])
def test_a_damaged_vector_is_not_found(cache, damage):
    cache.put_many("model", "document", ["a"], vectors(1))
    cache.close()
    with sqlite3.connect(cache.path) as connection:
        connection.execute(f"UPDATE vectors SET value = {damage}")
    connection.close()

    assert cache.get_many("model", "document", ["a"]) == {}


def test_a_damaged_vector_is_computed_anew_once(cache):
    model = Counting("m", cache=cache)
    model.encode(["a", "b"])
    with cache._open() as connection:
        connection.execute("UPDATE vectors SET value = x'00'")
    for _ in range(3):
        model.encode(["a", "b"])
    assert model.computed == 4
    assert cache.info().vectors == 2


def test_a_file_that_is_no_cache_says_what_to_do(tmp_path):
    path = tmp_path / "cache.db"
    path.write_bytes(b"not a database at all" * 100)

    with pytest.raises(StoreError, match="Delete it"):
        EmbeddingCache(path).info()


def test_a_full_disk_keeps_what_is_there_and_is_to_be_freed(full):
    full.required = True
    with pytest.raises(StoreError, match=r"full\. Free some space") as told:
        full.put_many("model", "document", ["more"], vectors(1, dim=100_000))
    assert "Delete" not in str(told.value)
    assert list(full.get_many("model", "document", ["a", "more"])) == ["a"]


@pytest.fixture
def full(cache):
    """A cache that holds one vector and has no room for more."""
    cache.put_many("model", "document", ["a"], vectors(1))
    pages = cache._connect().execute("PRAGMA page_count").fetchone()[0]
    cache._connect().execute(f"PRAGMA max_page_count = {pages}")
    return cache


def test_a_cache_held_by_another_process_is_to_be_tried_again(cache):
    cache.required = True
    cache._connect().execute("PRAGMA busy_timeout = 0")
    with held(cache.path), pytest.raises(StoreError, match=r"locked\. .* try again") as told:
        cache.put_many("model", "document", ["a"], vectors(1))
    assert "Delete" not in str(told.value)


@contextmanager
def held(path):
    """Hold a file as another process would that writes it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_cache_that_another_process_is_making_is_waited_for(tmp_path, monkeypatch):
    """SQLite itself does not wait, when the other writes before there is a log."""
    path = tmp_path / "cache.db"
    with held(path) as other:
        other.execute("CREATE TABLE begun (number)")
        monkeypatch.setattr(time, "sleep", lambda _: other.in_transaction and other.rollback())
        made = EmbeddingCache(path)
        made.put_many("model", "document", ["a"], vectors(1))
    assert made.info().vectors == 1
    made.close()


def test_what_was_used_is_found_where_its_use_cannot_be_noted(cache):
    cache.put_many("model", "document", ["a"], vectors(1))
    with cache._open() as connection:
        connection.execute("UPDATE vectors SET used_hour = 0")
    cache._connect().execute("PRAGMA busy_timeout = 0")
    with held(cache.path):
        assert list(cache.get_many("model", "document", ["a"])) == ["a"]


class Wide(BaseEmbedding):
    """A model of whose vectors each takes many pages."""

    def _encode(self, texts, input_type):
        return [[len(text)] * 50_000 for text in texts]


def test_a_model_whose_cache_is_full_goes_on_and_warns_once(full):
    model = Wide("m", cache=full, embed_batch_size=1)
    with pytest.warns(UserWarning, match=r"cache\.db cannot be used: .*full\. Free") as warned:
        assert model.encode(["a", "bc", "def"])[:, 0].tolist() == [1, 2, 3]
    assert len(warned) == 1
    assert list(full.get_many("model", "document", ["a"])) == ["a"]


def test_clearing_says_how_many_there_were(cache):
    cache.put_many("model", "document", ["a", "b"], vectors(2))

    assert cache.clear() == 2
    assert cache.info().size_bytes == 0


def test_it_can_be_pickled(cache):
    cache.put_many("model", "document", ["a"], vectors(1))

    copy = pickle.loads(pickle.dumps(cache))

    assert list(copy.get_many("model", "document", ["a"])) == ["a"]
    copy.close()


def test_a_forked_child_neither_uses_nor_closes_its_parents_connection(cache, monkeypatch):
    freed = []

    class Watched(sqlite3.Connection):
        def __del__(self):
            freed.append(id(self))

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Watched, **k))
    cache.put_many("model", "document", ["a"], vectors(1))
    monkeypatch.setattr(os, "getpid", lambda: 0)  # as a child sees itself

    assert list(cache.get_many("model", "document", ["a"])) == ["a"]
    cache.close()

    gc.collect()
    assert len(freed) == 1  # its own


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_uses_the_cache_is_not_stuck(cache):
    cache.put_many("model", "document", ["a"], vectors(1))
    with held_by_another_thread(cache._open):
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that hangs ends by a signal
            found = []
            try:
                found = list(cache.get_many("model", "document", ["a"]))
            finally:
                os._exit(found != ["a"])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(cache.get_many("model", "document", ["a"])) == ["a"]


@contextmanager
def held_by_another_thread(open_block):
    """Have another thread be within a block while this one goes on."""
    inside, done = threading.Event(), threading.Event()

    def hold():
        with open_block():
            inside.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _put_some(path, start):
    cache = EmbeddingCache(path)
    for number in range(start, start + 50):
        cache.put_many("model", "document", [str(number)], vectors(1, seed=number))
    cache.close()


def test_several_processes_may_write_at_once(cache):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put_some, args=(cache.path, n)) for n in (0, 50, 25)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    found = cache.get_many("model", "document", [str(n) for n in range(100)])

    assert len(found) == 100
    assert all(np.array_equal(found[str(n)], vectors(1, seed=n)[0]) for n in range(100))


class Counting(BaseEmbedding):
    """A model that counts the texts it computes."""

    computed = 0

    def _encode(self, texts, input_type):
        self.computed += len(texts)
        sign = -1.0 if input_type == "query" else 1.0
        return [[sign * len(text), len(self.model_name)] for text in texts]


def test_a_model_with_a_cache_computes_a_text_once(cache):
    model = Counting("m", cache=cache)
    first = model.encode(["one", "three"])
    again = model.encode(["three", "one", "seven"])

    assert model.computed == 3
    assert np.array_equal(again[:2], first[::-1])


def test_the_cache_keeps_queries_and_documents_and_models_apart(cache):
    model, other = Counting("m", cache=cache), Counting("other", cache=cache)

    document = model.encode(["same"])
    query = model.encode(["same"], input_type="query")
    foreign = other.encode(["same"])

    assert document[0, 0] == -query[0, 0]
    assert foreign[0, 1] != document[0, 1]


def test_a_folder_that_cannot_be_made_is_said_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "cache.db")
    with pytest.raises(StoreError, match="NEARFIELD_CACHE_DIR"):
        cache.get_many("model", "document", ["text"])
