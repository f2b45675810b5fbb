"""How far a job is: one stream of events, from which bars, logs and windows are fed."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a job is.

    Attributes:
        label: What is being done.
        done: Units finished.
        total: Units in all, or ``None`` while not known.
        elapsed_s: Seconds since the beginning.
        finished: The last event of the job, even when it failed.
    """

    label: str
    done: int
    total: int | None
    elapsed_s: float
    finished: bool = False

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the speed so far; ``None`` while nothing can be said."""
        if self.total is None or not self.done:
            return None
        return self.elapsed_s / self.done * max(self.total - self.done, 0)


Listener = "Callable[[ProgressEvent], None]"

_listeners: ContextVar[tuple[Any, ...]] = ContextVar("nearfield_progress", default=())


@contextmanager
def on_progress(listener: Callable[[ProgressEvent], None]) -> Iterator[None]:
    """Hear of all progress made within a block, by whatever thread or task it starts.

    Args:
        listener: Called with each event; what it raises stops the job.
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


@dataclass(slots=True)
class Progress:
    """A job under way; made by :func:`progress`."""

    label: str
    total: int | None
    _hear: tuple[Any, ...]
    _began: float = field(default_factory=time.perf_counter)
    _done: int = 0

    def advance(self, count: int = 1) -> None:
        """Say that ``count`` more units are finished."""
        self._done += count
        self._tell(finished=False)

    def expect(self, total: int) -> None:
        """Say how many units there are, once that is known."""
        self.total = total
        self._tell(finished=False)

    def _tell(self, *, finished: bool) -> None:
        if not self._hear:
            return
        elapsed = time.perf_counter() - self._began
        event = ProgressEvent(self.label, self._done, self.total, elapsed, finished)
        for listener in self._hear:
            listener(event)


@contextmanager
def progress(total: int | None, label: str, *, show: bool = False) -> Iterator[Progress]:
    """Follow a job: its events go to all listeners, and to a bar if one is asked for.

    Args:
        total: Units in all, or ``None`` while not known.
        label: What is being done.
        show: Draw a bar on stderr, if that is a terminal.

    Yields:
        The job, to be advanced.
    """
    hear = _listeners.get()
    if show and sys.stderr.isatty():
        with _bar(label, total) as draw:
            yield from _follow(Progress(label, total, (*hear, draw)))
    else:
        yield from _follow(Progress(label, total, hear))


def _follow(job: Progress) -> Iterator[Progress]:
    try:
        yield job
    finally:
        job._tell(finished=True)  # noqa: SLF001 - this module's own class


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[ProgressEvent], None]]:
    # Imported here: drawing is rare, and rich costs more than all of core.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as drawing:
        task = drawing.add_task(label, total=total)
        yield lambda event: drawing.update(task, completed=event.done, total=event.total)
