"""The engine within its process: float settings, forks, threads, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from nearfield.runtime.native import Head, NativeEngine

BIG = {"hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 384}


def test_numbers_below_the_normal_ones_survive(make_encoder, some_texts):
    """Fast-math libraries switch them off for the whole process."""
    NativeEngine(make_encoder(), Head()).encode(some_texts, threads=2)
    tiny = np.array([1e-40], np.float32)
    assert (tiny * np.float32(0.5))[0] > 0
    assert (tiny.astype(np.float64) * 1e-270)[0] > 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_encodes_on_threads_of_its_own(make_encoder, some_texts):
    engine = NativeEngine(make_encoder(**BIG), Head())
    expected = engine.encode(some_texts, threads=3)  # the parent's threads are running now
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = (
                0 if engine.encode(some_texts, threads=3).tobytes() == expected.tobytes() else 2
            )
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert engine.encode(some_texts, threads=3).tobytes() == expected.tobytes()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_while_others_encode_is_not_stuck(make_encoder, some_texts):
    """The pool's locks may be held at the fork by threads the child does not have."""
    engine = NativeEngine(make_encoder(**BIG), Head())
    expected = engine.encode(some_texts, threads=3).tobytes()
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            engine.encode(some_texts, threads=3)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(engine.encode(some_texts, threads=3).tobytes() != expected)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    finally:
        stop.set()
        busy.join()
    assert codes == [0] * 5


def test_other_threads_run_while_the_engine_computes(make_encoder):
    """The interpreter's lock is let go: another thread counts on meanwhile."""
    engine = NativeEngine(make_encoder(**BIG), Head(), threads=1)
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)  # hands the lock back at once

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # the lock changes hands only where it is given
    counter = threading.Thread(target=count)
    counter.start()
    try:
        before = counted[0]
        engine.encode([[5] * 250] * 20)
        after = counted[0]
    finally:
        stop.set()
        counter.join()
        sys.setswitchinterval(interval)
    assert after > before


END = """
import sys
sys.path.insert(0, {here!r})
import conftest, threading
from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.native import Head, NativeEngine
config = conftest.tiny_config(hidden_size=96, num_attention_heads=3, intermediate_size=384)
engine = NativeEngine(read_encoder(config, conftest.random_tensors(config)), Head())
texts = [[5, 6, 7] * 40] * 30
engine.encode(texts, threads=4)
def forever():
    while True:
        engine.encode(texts, threads=4)
if {daemon}:
    threading.Thread(target=forever, daemon=True).start()
    engine.encode(texts, threads=4)
print("end")
"""


@pytest.mark.parametrize("daemon", [False, True], ids=["idle", "a daemon still encoding"])
def test_a_process_ends_cleanly(daemon):
    code = END.format(here=os.path.dirname(__file__), daemon=daemon)  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
