"""The snapshot: derived, never believed beyond what its stamps allow, free to be deleted."""

import os
import shutil
import threading
from contextlib import closing

import numpy as np
import pytest

from nearfield.core.store import Header
from nearfield.stores.sqlite import SQLiteStore, searcher, snapshot
from nearfield.stores.sqlite.snapshot import snapshot_path
from nearfield.testing.store_contract import make_entry

DIM = 8
QUERY = np.ones((1, DIM), np.float32)


def rows(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def open_store(path, snapshot_from_bytes=1):
    return SQLiteStore(path, snapshot_from_bytes=snapshot_from_bytes)


def answers(store):
    return [(hit.node.id, hit.score) for hit in store.query(QUERY, 50)[0].nodes]


def without_snapshot(path):
    with closing(open_store(path, 1 << 40)) as store:
        return answers(store)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "my.index"
    with closing(open_store(path)) as store:
        store.initialize(Header("f", DIM))
        store.add([make_entry(f"d{n}", rows(100, n)) for n in range(50)])
    return path


@pytest.fixture
def reads(monkeypatch):
    """Count the blocks that are read from the index."""
    from nearfield.stores.sqlite import view

    counted = []

    def counting(read):
        def counted_read(connection, block, *dim):
            counted.append(block.number)
            return read(connection, block, *dim)

        return counted_read

    monkeypatch.setattr(view, "read_vectors", counting(view.read_vectors))
    monkeypatch.setattr(snapshot, "read_vectors", counting(snapshot.read_vectors))
    monkeypatch.setattr(snapshot, "stored_vectors", counting(snapshot.stored_vectors))
    return counted


def test_a_small_index_is_one_file(path):
    assert without_snapshot(path)
    assert [file.name for file in path.parent.iterdir()] == ["my.index"]


def test_a_snapshot_is_made_by_the_first_search_and_used_by_the_next(path, reads):
    with closing(open_store(path)) as store:
        expected = answers(store)
    assert reads == [0, 1, 2, 3]
    assert snapshot_path(path).exists()
    with closing(open_store(path)) as store:
        assert answers(store) == expected
    assert reads == [0, 1, 2, 3]
    assert expected == without_snapshot(path)


def test_it_may_be_deleted_at_any_time(path):
    with closing(open_store(path)) as store:
        expected = answers(store)
        snapshot_path(path).unlink()
        assert answers(store) == expected
    with closing(open_store(path)) as store:
        assert answers(store) == expected


def test_a_small_change_is_read_beside_it(path, reads):
    with closing(open_store(path)) as store:
        answers(store)
        made = snapshot_path(path).stat().st_mtime_ns
        reads.clear()
        store.delete_nodes(["d12/1/0"])  # row 1200, in block 1
        store.upsert([make_entry("d13", rows(3, seed=99), version=2)])  # rows 1300 to 1399
        assert answers(store) == without_snapshot(path)
        assert reads[:1] == [1]
        assert reads.count(0) == 1  # by the store without a snapshot
        assert snapshot_path(path).stat().st_mtime_ns == made


def test_a_large_change_makes_a_new_one(path):
    with closing(open_store(path)) as store:
        answers(store)
        made = snapshot_path(path).stat().st_ino
        store.add([make_entry(f"e{n}", rows(100, 100 + n)) for n in range(40)])
        assert answers(store) == without_snapshot(path)
        assert snapshot_path(path).stat().st_ino != made


def test_that_of_another_index_is_not_believed(path, tmp_path):
    with closing(open_store(path)) as store:
        answers(store)
    other = tmp_path / "other.index"
    with closing(open_store(other)) as store:
        store.initialize(Header("f", DIM))
        store.add([make_entry(f"d{n}", -rows(100, n)) for n in range(50)])
        shutil.copy(snapshot_path(path), snapshot_path(other))
        assert answers(store) == without_snapshot(other)


def test_that_of_another_past_of_the_same_index_is_not_believed(path, tmp_path):
    """A backup put back and written on has the same count of changes, but other stamps."""
    backup = shutil.copy(path, tmp_path / "backup")
    with closing(open_store(path)) as store:
        store.delete_nodes(["d0/1/0"])
        answers(store)
    shutil.copy(backup, path)
    with closing(open_store(path)) as store:
        store.delete_nodes(["d0/1/1"])
        assert answers(store) == without_snapshot(path)


@pytest.mark.parametrize("spoil", [b"", b"junk", b'{"format": "nearfield-snapshot-1"}'])
def test_one_that_is_not_whole_is_made_again(path, spoil):
    snapshot_path(path).write_bytes(spoil)
    with closing(open_store(path)) as store:
        assert answers(store) == without_snapshot(path)
    assert snapshot_path(path).stat().st_size > 50 * 100 * DIM


def test_one_cut_short_is_made_again(path):
    with closing(open_store(path)) as store:
        expected = answers(store)
    whole = snapshot_path(path).stat().st_size
    os.truncate(snapshot_path(path), whole - 1)
    with closing(open_store(path)) as store:
        assert answers(store) == expected
    assert snapshot_path(path).stat().st_size == whole


def test_what_killed_writers_left_is_cleaned_up_after_a_while(path, tmp_path):
    old, new = (tmp_path / f"my.index-snapshot.{n}-aa.tmp" for n in (1, 2))
    for left in (old, new):
        left.touch()
    os.utime(old, (0, 0))
    with closing(open_store(path)) as store:
        answers(store)
    assert not old.exists()
    assert new.exists()


def test_a_search_without_changes_reads_no_vector_from_the_index(path, reads):
    with closing(open_store(path, 1 << 40)) as store:
        answers(store)
        reads.clear()
        answers(store)
        assert reads == []
        store.add([make_entry("e", rows(1))])
        answers(store)
        assert reads == []


def test_a_reader_that_began_before_does_not_replace_the_newer_view(path):
    with closing(open_store(path)) as store:
        header = store.header
        with store._connections.reading() as old:
            searcher.schema.read_state(old)
            store.add([make_entry("e", rows(1))])
            newest = answers(store)
            view = store._searcher._view
            assert store._searcher._view_of(old, header).state.change < view.state.change
            assert store._searcher._view is view
        assert answers(store) == newest


def test_a_large_snapshot_answers_before_the_disk_has_it(path, monkeypatch):
    """The disk is asked to wait: the answer does not, and the end of the program does."""
    sync, allowed = os.fsync, threading.Event()
    monkeypatch.setattr(snapshot, "SYNCED_ASIDE_FROM_BYTES", 1)
    monkeypatch.setattr(snapshot.os, "fsync", lambda file: allowed.wait() and sync(file))
    expected = without_snapshot(path)
    with open_store(path) as store:
        assert answers(store) == expected
        assert not snapshot_path(path).exists()
        allowed.set()
        (waited_for,) = [t for t in threading.enumerate() if t.name == "nearfield-snapshot-sync"]
        assert not waited_for.daemon
        waited_for.join()
        assert snapshot_path(path).exists()
        assert not list(path.parent.glob("*.tmp"))
        assert answers(store) == expected
    with open_store(path) as store:
        assert answers(store) == expected


def test_where_no_thread_can_be_had_a_large_snapshot_is_waited_for(path, monkeypatch):
    def refuse(thread):
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(snapshot, "SYNCED_ASIDE_FROM_BYTES", 1)
    monkeypatch.setattr(snapshot, "Thread", type("Refused", (threading.Thread,), {"start": refuse}))
    expected = without_snapshot(path)
    with open_store(path) as store:
        assert answers(store) == expected
        assert snapshot_path(path).exists()
        assert not list(path.parent.glob("*.tmp"))
