"""A job's events reach every listener of its context; bars are for terminals only."""

from __future__ import annotations

import io

import pytest

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.progress import ProgressEvent, on_progress, progress


class Counting(BaseEmbedding):
    """A model that gives each text's length."""

    def _encode(self, texts, input_type):
        return [[float(len(text))] for text in texts]


def test_a_listener_hears_every_step_and_the_end():
    events: list[ProgressEvent] = []
    with on_progress(events.append), progress(3, "Work") as job:
        job.advance()
        job.advance(2)

    assert [(e.label, e.done, e.total, e.finished) for e in events] == [
        ("Work", 1, 3, False),
        ("Work", 3, 3, False),
        ("Work", 3, 3, True),
    ]


def test_the_end_is_told_when_the_job_fails():
    events: list[ProgressEvent] = []
    with pytest.raises(ZeroDivisionError), on_progress(events.append), progress(3, "Work"):
        raise ZeroDivisionError

    assert events[-1].finished


def test_nobody_hears_after_the_block():
    events: list[ProgressEvent] = []
    with on_progress(events.append):
        pass
    with progress(1, "Work") as job:
        job.advance()

    assert events == []


def test_embedding_tells_how_many_texts_are_done():
    events: list[ProgressEvent] = []
    with on_progress(events.append):
        Counting(embed_batch_size=2).encode(["a", "bb", "ccc", "a"])

    assert [e.done for e in events] == [2, 3, 3]


def test_the_time_left_follows_the_speed_so_far():
    assert ProgressEvent("x", 2, 6, elapsed_s=1.0).remaining_s == 2.0
    assert ProgressEvent("x", 0, 6, elapsed_s=1.0).remaining_s is None
    assert ProgressEvent("x", 2, None, elapsed_s=1.0).remaining_s is None


def test_no_bar_is_drawn_where_stderr_is_no_terminal(capsys):
    Counting().get_text_embedding_batch(["a"], show_progress=True)

    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    Counting().get_text_embedding_batch(["a"], show_progress=True)

    assert "Embedding" in screen.getvalue()
