"""A Lance index killed while it is written, and written by several processes at once."""

import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from nearfield.core.store import Header
from nearfield.stores.lance import LanceStore
from nearfield.testing.object_store import ObjectServer
from nearfield.testing.store_contract import make_entry

pytestmark = [pytest.mark.lance, pytest.mark.slow]

PIECES, DOCUMENTS = 40, 5

WRITER = """
import sys
import numpy as np
from nearfield.core.store import Header
from nearfield.stores.lance import LanceStore
from nearfield.testing.object_store import ObjectServer
from nearfield.testing.store_contract import make_entry

path, first, last, pieces, documents = sys.argv[1], *map(int, sys.argv[2:])
with LanceStore(path) as store:
    store.initialize(Header("f", 4))
    print("ready", flush=True)
    for version in range(first, last):
        store.upsert([
            make_entry(f"d{n}", np.full((pieces, 4), version), version=version,
                       metadata={"v": version})
            for n in range(version % 3, documents)
        ])
        print(version, flush=True)
"""


def start(path, first, last):
    numbers = map(str, (first, last, PIECES, DOCUMENTS))
    arguments = [sys.executable, "-c", WRITER, str(path), *numbers]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def versions_in(path):
    """Check that no document is torn and no id doubled; give each document's version."""
    with closing(LanceStore(path, read_only=True)) as store:
        pieces, ids = {}, []
        for node, vector in store.nodes():
            assert vector.tolist() == [node.metadata["v"]] * 4
            pieces.setdefault(node.document_id, []).append(node.metadata["v"])
            ids.append(node.id)
        assert len(ids) == len(set(ids)) == store.count()
        assert all(versions == versions[:1] * PIECES for versions in pieces.values())
        (found,) = store.query(np.ones((1, 4), np.float32), 10_000)
        assert sorted(hit.node.id for hit in found.nodes) == sorted(ids)
        assert list(store.content_hashes()) == [name for name, _ in store.documents()]
        return {name: versions[0] for name, versions in pieces.items()}


def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path):
    """Six times over the same index, each killed a little later in its work."""
    path, first = tmp_path / "index", 0
    for round_number in range(6):
        with start(path, first, first + 1000) as writer:
            assert writer.stdout.readline() == "ready\n"
            acknowledged = None
            for _ in range(1 + 2 * round_number):
                acknowledged = int(writer.stdout.readline())
            delay = threading.Timer(0.002 * round_number, writer.kill)
            delay.start()
            for line in writer.stdout:  # what it still acknowledged before it died
                acknowledged = int(line)
            delay.join()
        there = versions_in(path)
        assert max(there.values()) in {acknowledged, acknowledged + 1}
        newest = max(there.values())
        for name, version in there.items():  # each in its newest version, from the last three
            number = int(name[1:])
            assert version == max(v for v in range(newest - 2, newest + 1) if v % 3 <= number)
        first = newest + 1


def test_two_processes_that_write_the_same_documents_double_nothing(tmp_path):
    """Each write waits for the other; the last one of each document stands, whole."""
    path = tmp_path / "index"
    with closing(LanceStore(path)) as store:
        store.initialize(Header("f", 4))
    writers = [start(path, 1000 * me, 1000 * me + 25) for me in range(2)]
    for writer in writers:
        with writer:
            writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert set(versions_in(path)) == {f"d{n}" for n in range(DOCUMENTS)}


def test_two_processes_that_write_to_an_object_store_tear_and_double_nothing(monkeypatch):
    """Nothing keeps them apart: the later of two commits starts again, and replaces all."""
    with ObjectServer() as server:
        for name, value in server.options().items():
            monkeypatch.setenv(name.upper().replace("ALLOW", "AWS_ALLOW"), value)
        path = "s3://bucket/index"
        with closing(LanceStore(path)) as store:
            store.initialize(Header("f", 4))
        writers = [start(path, 1000 * me, 1000 * me + 10) for me in range(2)]
        for writer in writers:
            with writer:
                writer.communicate()
        assert [writer.returncode for writer in writers] == [0, 0]
        assert set(versions_in(path)) == {f"d{n}" for n in range(DOCUMENTS)}


def test_two_writers_without_a_lock_double_nothing_either(tmp_path, monkeypatch):
    """As in an object store: the declared key makes the later of two commits start again."""
    path = tmp_path / "index"
    with closing(LanceStore(path)) as store:
        store.initialize(Header("f", 4))
    failures = []

    def write(me):
        try:
            with closing(LanceStore(path, durable=False)) as own:
                own._table._lock = None
                for version in range(12):
                    rows = np.full((PIECES, 4), 100 * me + version)
                    facts = {"v": 100 * me + version}
                    own.upsert([make_entry("d0", rows, version=0, metadata=facts)])
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(me,)) for me in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(versions_in(path)) == {"d0"}
