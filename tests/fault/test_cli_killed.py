"""``nearfield index`` killed at any moment and run again ends like a run that was never killed.

The real program, the bundled model, real processes, SIGKILL.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nearfield.stores.sqlite import SQLiteStore

SEED = 20261123
WORDS = ["river", "stone", "lamp", "winter", "harbour", "window", "signal", "engine", "violin"]


def write_files(folder, count):
    """Write small files, no two alike."""
    rng = random.Random(SEED)
    for number in range(count):
        place = folder / f"part{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        sentence = " ".join(rng.choices(WORDS, k=12))
        (place / f"note{number}.txt").write_text(f"Note {number}. {sentence.capitalize()}.\n")


def command(folder, index):
    return [
        sys.executable,
        "-m",
        "nearfield",
        "index",
        str(folder),
        "--index",
        str(index),
        "--json",
    ]


def run(folder, index):
    """Index to the end."""
    done = subprocess.run(command(folder, index), capture_output=True, check=True, timeout=600)
    return json.loads(done.stdout)


def content(index):
    """Give all an index holds: ids, texts, places, vectors as bytes."""
    with SQLiteStore(index, read_only=True) as store:
        nodes = {
            node.id: (
                node.document_id,
                node.text,
                node.start,
                node.end,
                np.asarray(vector).tobytes(),
            )
            for node, vector in store.nodes()
        }
        return store.content_hashes(), nodes


def killed(folder, index, seconds):
    """Start indexing and kill it after a while; say whether it was still at work."""
    process = subprocess.Popen(
        command(folder, index), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def killed_runs_end_alike(tmp_path, *, files, kills):
    folder = tmp_path / "files"
    write_files(folder, files)
    whole = tmp_path / "whole.index"
    started = time.perf_counter()
    run(folder, whole)
    seconds = time.perf_counter() - started
    expected = content(whole)
    moments = random.Random(SEED)
    for number in range(kills):
        index = tmp_path / f"killed{number}.index"
        # From before the first import to about the last write.
        moment = moments.uniform(0.05, seconds)
        while not killed(folder, index, moment):
            # It ended first, on a machine now less busy: this was no kill.
            moment /= 2
            for file in tmp_path.glob(f"{index.name}*"):
                file.unlink()
        kept = 0
        if index.exists():
            with SQLiteStore(index) as store:
                kept = store.info().documents
                assert store.verify() == []
        again = run(folder, index)

        assert content(index) == expected
        assert again["unchanged"] == kept
        assert again["texts_embedded"] == files - kept


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    killed_runs_end_alike(tmp_path, files=300, kills=3)


@pytest.mark.soak
def test_twenty_kills_among_three_thousand_files(tmp_path):
    killed_runs_end_alike(tmp_path, files=3000, kills=20)
