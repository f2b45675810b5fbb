"""Killed at any moment: what was acknowledged is there, and nothing is torn."""

import random
import signal
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from nearfield.stores.sqlite import SQLiteStore

PIECES = 150
DOCUMENTS = 5

WRITER = """
import os, signal, sys
from contextlib import nullcontext
import numpy as np
from nearfield.core.store import Header
from nearfield.stores.sqlite import SQLiteStore, bulk as bulks, fail_points
from nearfield.testing.store_contract import make_entry

bulks.MOVED_BYTES = 1  # the log is being moved whenever the kill comes
path, place = sys.argv[1:3]
first, last, times, pieces, documents, bulk = map(int, sys.argv[3:])
reached = 0

def die(name):
    global reached
    reached += name == place
    if reached == times:
        os.kill(os.getpid(), signal.SIGKILL)

fail_points.hook = die if place else None
store = SQLiteStore(path, snapshot_from_bytes=1)
store.initialize(Header("f", 4))
with store.bulk() if bulk else nullcontext(store) as writer:
    for version in range(first, last):
        entries = [
            make_entry(f"d{n}", np.full((pieces, 4), version), version=version,
                       metadata={"v": version})
            for n in range(version % 3, documents)
        ]
        writer.upsert(entries)
        if version - bulk >= first:  # in bulk, what the call before was given is there now
            print(version - bulk, flush=True)
        store.query(np.ones((1, 4), np.float32), 3)
store.close()
"""


def start(path, first=0, last=30, place="", times=0, bulk=False):
    numbers = map(str, (first, last, times, PIECES, DOCUMENTS, int(bulk)))
    arguments = [sys.executable, "-c", WRITER, str(path), place, *numbers]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def check_whole(path, acknowledged, under_way=1):
    """Every document has all pieces of one version, at least the last acknowledged one."""
    if not path.exists():
        assert acknowledged is None
        return
    with closing(SQLiteStore(path, snapshot_from_bytes=1)) as store:
        assert store.verify() == []
        pieces = {}
        for node, vector in store.nodes():
            version = node.metadata["v"]
            assert node.id.split("/")[1] == str(version)
            assert vector.tolist() == [version] * 4
            pieces.setdefault(node.document_id, []).append(version)
        for versions in pieces.values():
            assert versions == versions[:1] * PIECES
        if acknowledged is not None:
            newest = max(max(versions) for versions in pieces.values())
            assert acknowledged <= newest <= acknowledged + under_way
            (found,) = store.query(np.ones((1, 4), np.float32), 10_000)
            assert len(found.nodes) == store.count() == sum(map(len, pieces.values()))


PLACES = ["begun", "removed", "documents", "vectors", "words", "committing", "committed"]
PLACES += ["snapshot-written", "snapshot-renamed"]


@pytest.mark.parametrize("bulk", [False, True], ids=["alone", "in bulk"])
@pytest.mark.parametrize("place", PLACES)
def test_a_kill_at_a_named_place_tears_nothing(tmp_path, place, bulk):
    path = tmp_path / "my.index"
    with start(path, place=place, times=3 + bulk, bulk=bulk) as process:
        lines = process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    acknowledged = int(lines[-1])
    check_whole(path, acknowledged, under_way=1 + bulk)
    with start(path, first=acknowledged + 1, last=acknowledged + 3, bulk=bulk) as process:
        process.stdout.read()
    assert process.returncode == 0
    check_whole(path, acknowledged + 2)


def kill_at_random(path, dice, first, *, bulk):
    """Start a writer, kill it somewhere, and give what it acknowledged last."""
    after = dice.randrange(6)
    with start(path, first=first, last=first + 1000, bulk=bulk) as process:
        acknowledged = None
        for _ in range(after):
            acknowledged = int(process.stdout.readline())
        wait = threading.Event()
        wait.wait(dice.random() * 0.05)  # somewhere within the next write
        process.kill()
        rest = process.stdout.read().split()
    return int(rest[-1]) if rest else acknowledged


@pytest.mark.parametrize("bulk", [False, True], ids=["alone", "in bulk"])
@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_kills_at_random_moments_tear_nothing(tmp_path, kills, bulk):
    path, dice, known = tmp_path / "my.index", random.Random(kills), -1
    for _ in range(kills):
        acknowledged = kill_at_random(path, dice, known + 1, bulk=bulk)
        known = known if acknowledged is None else acknowledged
        check_whole(path, None if known < 0 else known, under_way=1 + bulk)
