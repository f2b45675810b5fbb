"""``nearfield watch``, by real changes of real files, told by the system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from nearfield.core import VectorStoreIndex

pytestmark = pytest.mark.watch

NEARFIELD = Path(sys.executable).with_name("nearfield")
HANGS_AFTER_S = 120


@contextmanager
def watching(place, *words):
    """Run the command in a folder; give a call that waits for what it tells next."""
    with subprocess.Popen(
        [NEARFIELD, "watch", *words, "--json", "--settle", "0.1"],
        cwd=place,
        env={**os.environ, "PYTHONWARNINGS": "error:::nearfield"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        hung = threading.Timer(HANGS_AFTER_S, process.kill)
        hung.start()

        def told():
            line = process.stdout.readline()
            assert line, process.stderr.read()
            return json.loads(line)

        try:
            yield process, told
        finally:
            hung.cancel()
            if process.poll() is None:
                process.kill()


def counts(told):
    return {what: told[what] for what in ("added", "changed", "removed", "unchanged")}


def indexed(place):
    with VectorStoreIndex.open(place / "nearfield.index", read_only=True) as index:
        return sorted(index.ref_doc_info)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "a.txt").write_text("Dogs bark at strangers.")
    (tmp_path / "docs" / "deep" / "b.txt").write_text("Bread needs an hour to rise.")
    return tmp_path


def test_the_index_follows_new_changed_renamed_and_deleted_files(place):
    docs = place / "docs"
    with watching(place, "docs") as (process, told):
        assert counts(told()) == {"added": 2, "changed": 0, "removed": 0, "unchanged": 0}
        (docs / "c.txt").write_text("Mars is red.")
        assert counts(told()) == {"added": 1, "changed": 0, "removed": 0, "unchanged": 2}
        (docs / "a.txt").write_text("Dogs run.")
        assert counts(told()) == {"added": 0, "changed": 1, "removed": 0, "unchanged": 2}
        (docs / "c.txt").rename(docs / "deep" / "d.txt")
        assert counts(told()) == {"added": 1, "changed": 0, "removed": 1, "unchanged": 2}
        (docs / "deep" / "b.txt").unlink()
        assert counts(told()) == {"added": 0, "changed": 0, "removed": 1, "unchanged": 2}
        assert indexed(place) == ["docs/a.txt", "docs/deep/d.txt"]

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 0
    assert "Watching docs" in errors
    assert "Traceback" not in errors
    assert indexed(place) == ["docs/a.txt", "docs/deep/d.txt"]


def test_its_own_files_and_what_is_left_out_are_no_changes(place):
    """The index lies in the folder that is watched: writing it must not begin the next round."""
    with watching(place, ".", "--exclude", "*.log") as (process, told):
        assert told()["added"] == 2
        (place / "noise.log").write_text("one more line")
        (place / ".hidden").write_text("a secret")
        (place / "docs" / "c.txt").write_text("Mars is red.")
        assert counts(told()) == {"added": 1, "changed": 0, "removed": 0, "unchanged": 2}
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
    assert rest == ""
    assert indexed(place) == ["docs/a.txt", "docs/c.txt", "docs/deep/b.txt"]


def test_a_watched_file_may_be_replaced_by_another_of_its_name(place):
    """As editors save: under another name, then renamed."""
    with watching(place, "docs/a.txt") as (process, told):
        assert told()["added"] == 1
        for text in ("Dogs run.", "Dogs sleep."):
            (place / "docs" / "a.new").write_text(text)
            (place / "docs" / "a.new").replace(place / "docs" / "a.txt")
            assert counts(told()) == {"added": 0, "changed": 1, "removed": 0, "unchanged": 0}
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0
    assert indexed(place) == ["docs/a.txt"]


def test_a_path_that_is_not_there_is_refused_before_an_index_is_made(place):
    done = subprocess.run(
        [NEARFIELD, "watch", "nowhere"], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "There is no file or folder 'nowhere'" in done.stderr
    assert [file.name for file in place.iterdir()] == ["docs"]
