"""What an embedding call did: texts, tokens, cuts, cache hits, requests, waits.

A report belongs to one call and is found through a context variable, so that
code far below (a tokenizer, a transport) can add to it without it being
handed down; worker threads started in a copied context add to the same one.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class EmbeddingReport:
    """Counts of one call, or totals of a model.

    Attributes:
        texts: Texts asked for.
        computed: Texts the model really computed: no duplicates, no cache hits.
        cache_hits: Different texts found in the cache.
        tokens: Tokens read by the model, or billed by the provider.
        truncated_texts: Texts longer than the model reads.
        truncated_tokens: Tokens cut from them.
        requests: Requests sent to a provider, retries included.
        retries: Requests sent again.
        waited_s: Seconds spent waiting for a limit or before a retry.
    """

    texts: int = 0
    computed: int = 0
    cache_hits: int = 0
    tokens: int = 0
    truncated_texts: int = 0
    truncated_tokens: int = 0
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **counts: float) -> None:
        """Add to the named counts; safe from several threads."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def as_dict(self) -> dict[str, float]:
        """Give the counts by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_lock"}

    def __getstate__(self) -> dict[str, float]:
        """Leave the lock behind when pickled or copied."""
        return self.as_dict()

    def __setstate__(self, state: dict[str, float]) -> None:
        """Take the counts, with a lock of its own."""
        self._lock = threading.Lock()
        for name, count in state.items():
            setattr(self, name, count)


_current: ContextVar[EmbeddingReport | None] = ContextVar("nearfield_report", default=None)


@contextmanager
def reporting(report: EmbeddingReport) -> Iterator[EmbeddingReport]:
    """Make ``report`` the one that :func:`count` adds to, within the block."""
    token = _current.set(report)
    try:
        yield report
    finally:
        _current.reset(token)


def count(**counts: float) -> None:
    """Add to the report of the call in progress, if there is one.

    Args:
        counts: Field names of :class:`EmbeddingReport` and what to add.
    """
    report = _current.get()
    if report is not None:
        report.add(**counts)
