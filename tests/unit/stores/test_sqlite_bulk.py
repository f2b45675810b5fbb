"""Batch after batch: each whole, one ahead of the disk, and failures that reach the caller."""

import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest

from nearfield.core.store import Header
from nearfield.errors import StoreError
from nearfield.stores.sqlite import SQLiteStore, fail_points
from nearfield.stores.sqlite import bulk as bulk_module
from nearfield.testing.store_contract import make_entry

DIM = 8


def batch(number, documents=40, version=1):
    """Make documents of 30 nodes: a batch is more than a block of vectors."""
    rng = np.random.default_rng(number)
    return [
        make_entry(
            f"b{number}d{n}",
            rng.standard_normal((30, DIM)).astype(np.float32),
            version=version,
            metadata={"batch": number, "place": n % 3},
        )
        for n in range(documents)
    ]


def content(store):
    return [(node, vector.tolist()) for node, vector in store.nodes()]


def opened(path):
    store = SQLiteStore(path)
    store.initialize(Header("f", DIM))
    return closing(store)


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "my.index") as store:
        yield store


@pytest.fixture
def fail_at(monkeypatch):
    """Let the second arrival at a place fail."""

    def fail(place):
        reached = []

        def hook(name):
            reached.append(name)
            if name == place and reached.count(place) == 2:
                raise OSError("no more paper")

        monkeypatch.setattr(fail_points, "hook", hook)

    return fail


def test_batches_in_bulk_are_what_they_are_one_by_one(store, tmp_path):
    with opened(tmp_path / "other.index") as other, store.bulk() as bulk:
        for number in range(4):
            other.add(batch(number))
            bulk.add(batch(number))
        other.upsert([*batch(3, 20, version=2), *batch(4)])
        bulk.upsert([*batch(3, 20, version=2), *batch(4)])
        other.upsert(batch(5))
        bulk.upsert(batch(5))
        bulk.add([])
        expected, header = content(other), other.header
    assert content(store) == expected
    assert store.header == header
    assert store.verify() == []


def test_a_call_returns_when_the_batch_before_is_there(store):
    with store.bulk() as bulk:
        for number in range(3):
            bulk.add(batch(number, 1))
            assert store.count() >= 30 * number
    assert store.count() == 90


def test_another_may_write_between_two_batches(store):
    with opened(store.path) as other, store.bulk() as bulk:
        bulk.add(batch(0))
        other.add(batch(1))
        bulk.add(batch(2))
        assert other.delete(["b2d7"]) == 1
        bulk.add(batch(3))
    assert {node.document_id for node, _ in content(store)} == {
        f"b{number}d{n}" for number in range(4) for n in range(40)
    } - {"b2d7"}
    assert store.verify() == []


def test_the_same_store_may_delete_between_two_batches(store):
    with store.bulk() as bulk:
        bulk.add(batch(0))
        assert store.delete(["b0d39", "b0d38"]) == 2
        bulk.add(batch(1))
    assert len(store.content_hashes()) == 78
    assert store.verify() == []


def test_a_batch_that_is_refused_is_as_if_not_given(store):
    with store.bulk() as bulk:
        bulk.add(batch(0))
        with pytest.raises(StoreError, match="already there"):
            bulk.add([*batch(1), *batch(0, 1)])
        bulk.add(batch(2))
    assert len(store.content_hashes()) == 80
    assert store.verify() == []


def test_the_next_call_says_that_a_batch_could_not_be_ended_and_writes_nothing(store, fail_at):
    fail_at("committing")
    with store.bulk() as bulk:
        bulk.add(batch(0))
        bulk.add(batch(2))
        with pytest.raises(OSError, match="no more paper"):
            bulk.add(batch(3))
        bulk.add(batch(4))
    assert {node.metadata["batch"] for node, _ in content(store)} == {0, 4}
    assert store.verify() == []


def test_a_batch_that_fails_amid_its_rows_says_so_itself(store, fail_at):
    fail_at("words")
    with store.bulk() as bulk:
        bulk.add(batch(0))
        with pytest.raises(OSError, match="no more paper"):
            bulk.add(batch(1))
        bulk.add(batch(2))
    assert {node.metadata["batch"] for node, _ in content(store)} == {0, 2}
    assert store.verify() == []


def test_the_end_says_that_the_last_batch_could_not_be_ended(store, fail_at):
    fail_at("committing")

    def write():
        with store.bulk() as bulk:
            bulk.add(batch(0))
            bulk.add(batch(1))

    with pytest.raises(OSError, match="no more paper"):
        write()
    assert {node.metadata["batch"] for node, _ in content(store)} == {0}
    store.add(batch(1))
    assert store.verify() == []


def test_what_was_given_is_written_though_the_caller_fails(store):
    def write():
        with store.bulk() as bulk:
            bulk.add(batch(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert store.count() == 1200


def test_the_log_is_moved_into_the_file_while_batches_are_written(store, monkeypatch):
    monkeypatch.setattr(bulk_module, "MOVED_BYTES", 1)
    before = store.path.stat().st_size
    with store.bulk() as bulk:
        for number in range(6):
            bulk.add(batch(number))
    vectors = 1200 * DIM * 4  # of the first batch at least, though one thread at a time moves
    assert store.path.stat().st_size > before + vectors
    assert store.count() == 6 * 1200
    assert store.verify() == []


def test_a_log_that_cannot_be_moved_is_no_matter(store, monkeypatch):
    monkeypatch.setattr(bulk_module, "MOVED_BYTES", 1)
    with closing(sqlite3.connect(store.path)) as reader, store.bulk() as bulk:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM state").fetchall()
        for number in range(6):
            bulk.add(batch(number))
    assert store.count() == 6 * 1200
    assert store.verify() == []


def test_where_no_thread_can_be_started_the_caller_ends_each_batch(store, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with store.bulk() as bulk:
        for number in range(3):
            bulk.add(batch(number, 1))
            assert store.count() == 30 * number
    assert store.count() == 90


def test_a_store_closed_amid_a_batch_has_it(store):
    bulk = store.bulk()
    bulk.add(batch(0))
    store.close()
    with opened(store.path) as again:
        assert again.count() == 1200
        assert again.verify() == []
