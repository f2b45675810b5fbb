"""Several processes, or threads, or forks, on one index file."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from nearfield.core.store import Header
from nearfield.errors import StoreError, StoreLockedError
from nearfield.stores.sqlite import SQLiteStore, fail_points
from nearfield.testing.store_contract import make_entry

HEADER = Header("f", 4)

WRITER = """
import sys
import numpy as np
from nearfield.core.store import Header
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry

path, me = sys.argv[1], int(sys.argv[2])
with SQLiteStore(path, snapshot_from_bytes=40_000) as store:
    store.initialize(Header("f", 4))
    for version in range(20):
        names = [f"own-{me}-{version}", "shared", f"pair-{version % 3}"]
        store.upsert([
            make_entry(name, np.full((200, 4), me + 1), version=100 * me + version,
                       metadata={"v": 100 * me + version})
            for name in names
        ])
"""

READER = """
import json, sys
import numpy as np
from nearfield.stores.sqlite import SQLiteStore

path = sys.argv[1]
torn, seen = [], 0
with SQLiteStore(path, create=False, snapshot_from_bytes=40_000) as store:
    while sys.stdin.readline().strip() != "stop":
        (found,) = store.query(np.ones((1, 4), np.float32), 100_000)
        documents = {}
        for hit in found.nodes:
            documents.setdefault(hit.node.document_id, []).append(hit.metadata["v"])
        seen = max(seen, len(documents))
        torn += [name for name, v in documents.items() if v != v[:1] * 200]
        print("went", flush=True)
print(json.dumps({"torn": torn, "seen": seen}))
"""


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], text=True, **options
    )


def test_two_write_and_a_third_reads_whole_versions_only(tmp_path):
    path = tmp_path / "my.index"
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
    reader = python(READER, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writers = [python(WRITER, path, me) for me in range(2)]
    with reader, writers[0], writers[1]:
        while any(writer.poll() is None for writer in writers):
            reader.stdin.write("go\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "went\n"
        reader.stdin.write("go\nstop\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "went\n"
        told = json.loads(reader.stdout.readline())
    assert [process.returncode for process in (*writers, reader)] == [0, 0, 0]
    assert told == {"torn": [], "seen": 2 * 20 + 1 + 3}
    with closing(SQLiteStore(path)) as store:
        assert store.verify() == []
        assert store.count() == 200 * (2 * 20 + 1 + 3)


def test_one_store_sees_at_once_what_another_wrote(tmp_path):
    path, query = tmp_path / "my.index", np.ones((1, 4), np.float32)
    with closing(SQLiteStore(path)) as one, closing(SQLiteStore(path)) as other:
        one.initialize(HEADER)
        for n in range(3):
            one.add([make_entry(f"d{n}", np.full((1, 4), n + 1))])
            assert len(other.query(query, 9)[0].nodes) == n + 1
            other.upsert([make_entry(f"d{n}", np.full((2, 4), n + 1), version=2)])
            assert len(one.query(query, 9)[0].nodes) == n + 2
            other.delete([f"d{n}"])
            other.add([make_entry(f"e{n}", np.ones((1, 4)))])
            assert len(one.query(query, 9)[0].nodes) == n + 1


HOLDER = """
import sys
from nearfield.stores.sqlite import SQLiteStore, fail_points
from nearfield.testing.store_contract import make_entry

def hold(place):
    if place == "begun":
        print("held", flush=True)
        sys.stdin.readline()

fail_points.hook = hold
with SQLiteStore(sys.argv[-1]) as store:
    store.add([make_entry("theirs", [[1, 1, 1, 1]])])
"""


def test_a_writer_that_cannot_wait_is_told_who_writes(tmp_path):
    path = tmp_path / "my.index"
    (tmp_path / "holder.py").write_text(HOLDER, encoding="utf-8")
    with closing(SQLiteStore(path, timeout_s=0.05)) as store:
        store.initialize(HEADER)
        with subprocess.Popen(
            [sys.executable, "holder.py", "postgresql://me:hunter2@db.example/docs", str(path)],
            cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as holder:  # fmt: skip
            assert holder.stdout.readline() == "held\n"
            expected = f"process {holder.pid} " if sys.platform == "linux" else "another process"
            with pytest.raises(StoreLockedError, match=expected) as told:
                store.add([make_entry("ours", [[1, 1, 1, 1]])])
            assert "hunter2" not in str(told.value)  # what a program was given may be a secret
            assert store.count() == 0  # a reader is not kept waiting
            holder.stdin.write("\n")
            holder.stdin.flush()
        store.add([make_entry("ours", [[1, 1, 1, 1]])])
        assert list(store.content_hashes()) == ["theirs", "ours"]


def test_two_processes_may_make_the_same_index_at_once(tmp_path):
    path = tmp_path / "my.index"
    writers = [python(WRITER, path, me) for me in range(2)]
    for writer in writers:
        assert writer.wait() == 0
    with closing(SQLiteStore(path)) as store:
        assert store.verify() == []


def test_a_forked_child_reads_and_writes_with_connections_of_its_own(tmp_path):
    path = tmp_path / "my.index"
    query = np.ones((1, 4), np.float32)
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        store.add([make_entry("parent", query)])
        store.query(query, 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.add([make_entry("child", query)])
                status = 0 if len(store.query(query, 9)[0].nodes) == 2 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.add([make_entry("again", query)])
        assert list(store.content_hashes()) == ["parent", "child", "again"]
        assert store.verify() == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_writes_is_not_stuck(tmp_path):
    query = np.ones((1, 4), np.float32)
    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(HEADER)
        store.add([make_entry("parent", query)])
        inside, forked = threading.Event(), threading.Event()

        def write():
            # Both locks may be held by a thread at a fork.
            with store._connections.writing(), store._connections._lock:
                inside.set()
                forked.wait()

        writer = threading.Thread(target=write)
        writer.start()
        inside.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that hangs ends by a signal
            status = 1
            try:
                found = len(store.query(query, 9)[0].nodes)
                store.close()
                status = 0 if found == 1 else 2
            finally:
                os._exit(status)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        forked.set()
        writer.join()
        assert code == 0
        store.add([make_entry("again", query)])
        assert store.verify() == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_amid_a_batch_in_bulk_is_told_that_it_cannot_know(tmp_path, monkeypatch):
    vector = np.ones((1, 4), np.float32)
    inside, forked = threading.Event(), threading.Event()

    def pause(place):
        if place == "committing":
            inside.set()
            forked.wait()

    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(HEADER)
        with store.bulk() as bulk:
            monkeypatch.setattr(fail_points, "hook", pause)
            bulk.add([make_entry("parent", vector)])
            inside.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a child that hangs ends by a signal
                status = 1
                try:
                    bulk.add([make_entry("child", vector)])
                except StoreError as error:
                    status = 0 if "forked" in str(error) else 2
                finally:
                    os._exit(status)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            forked.set()
        assert code == 0
        assert list(store.content_hashes()) == ["parent"]
        assert store.verify() == []


def test_a_closed_store_says_so(tmp_path):
    store = SQLiteStore(tmp_path / "my.index")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.count()
    with pytest.raises(StoreError, match="closed"):
        store.initialize(HEADER)


def test_what_is_being_read_may_be_closed(tmp_path):
    with SQLiteStore(tmp_path / "my.index") as store:
        store.initialize(HEADER)
        store.add([make_entry("a", np.ones((3, 4)))])
        nodes = store.nodes()
        assert next(nodes)[0].id == "a/1/0"
    assert [node.id for node, _ in nodes] == ["a/1/1", "a/1/2"]
