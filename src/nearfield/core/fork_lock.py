"""A lock that a forked child finds open.

A fork copies a lock as it is, but not the thread that holds it: in the child it
would stay closed for ever. What such a lock guards must not be believed to be
whole in the child; here it is database connections, which the child leaves alone.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

if TYPE_CHECKING:
    from types import TracebackType


class ForkLock:
    """A lock as :class:`threading.Lock`, made anew in every forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _all.add(self)

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock.

        Args:
            timeout: How many seconds to wait at most; without end when negative.

        Returns:
            Whether it was taken.
        """
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Give the lock back; in a child that was forked while it was held, do nothing."""
        if self._lock.locked():
            self._lock.release()

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self.release()

    def renew(self) -> None:
        """Forget who held it; called in a child, which has one thread then."""
        self._lock = threading.Lock()


_all: WeakSet[ForkLock] = WeakSet()


def _renew_all() -> None:
    for lock in _all:
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
