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
import numpy as np
from nearfield.core.store import Header
from nearfield.stores.sqlite import SQLiteStore, fail_points
from nearfield.testing.store_contract import make_entry

path, place = sys.argv[1:3]
first, last, times, pieces, documents = map(int, sys.argv[3:])
reached = 0

def die(name):
    global reached
    reached += name == place
    if reached == times:
        os.kill(os.getpid(), signal.SIGKILL)

fail_points.hook = die if place else None
store = SQLiteStore(path, snapshot_from_bytes=1)
store.initialize(Header("f", 4))
for version in range(first, last):
    entries = [
        make_entry(f"d{n}", np.full((pieces, 4), version), version=version, metadata={"v": version})
        for n in range(version % 3, documents)
    ]
    store.upsert(entries)
    print(version, flush=True)
    store.query(np.ones((1, 4), np.float32), 3)
store.close()
"""


def start(path, first=0, last=30, place="", times=0):
    numbers = map(str, (first, last, times, PIECES, DOCUMENTS))
    arguments = [sys.executable, "-c", WRITER, str(path), place, *numbers]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def check_whole(path, acknowledged):
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
            assert newest in {acknowledged, acknowledged + 1}
            (found,) = store.query(np.ones((1, 4), np.float32), 10_000)
            assert len(found.nodes) == store.count() == sum(map(len, pieces.values()))


PLACES = ["begun", "removed", "documents", "vectors", "words", "committing", "committed"]
PLACES += ["snapshot-written", "snapshot-renamed"]


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_at_a_named_place_tears_nothing(tmp_path, place):
    path = tmp_path / "my.index"
    with start(path, place=place, times=3) as process:
        lines = process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    acknowledged = int(lines[-1]) if lines else None
    check_whole(path, acknowledged)
    with start(path, first=acknowledged + 1, last=acknowledged + 3) as process:
        process.stdout.read()
    assert process.returncode == 0
    check_whole(path, acknowledged + 2)


def kill_at_random(path, dice, first):
    """Start a writer, kill it somewhere, and give what it acknowledged last."""
    after = dice.randrange(6)
    with start(path, first=first, last=first + 1000) as process:
        acknowledged = None
        for _ in range(after):
            acknowledged = int(process.stdout.readline())
        wait = threading.Event()
        wait.wait(dice.random() * 0.05)  # somewhere within the next write
        process.kill()
        rest = process.stdout.read().split()
    return int(rest[-1]) if rest else acknowledged


def test_kills_at_random_moments_tear_nothing(tmp_path):
    path, dice, known = tmp_path / "my.index", random.Random(1), -1
    for _ in range(4):
        acknowledged = kill_at_random(path, dice, known + 1)
        known = known if acknowledged is None else acknowledged
        check_whole(path, None if known < 0 else known)


@pytest.mark.soak
def test_a_hundred_kills_tear_nothing(tmp_path):
    path, dice, known = tmp_path / "my.index", random.Random(2), -1
    for _ in range(100):
        acknowledged = kill_at_random(path, dice, known + 1)
        known = known if acknowledged is None else acknowledged
        check_whole(path, None if known < 0 else known)
