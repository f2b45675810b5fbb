"""A bounded hand-over between two threads that either side can end cleanly."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class AbandonedError(Exception):
    """The receiver wants no more; the sender should stop."""


class Channel(Generic[T]):
    """Items on their way from one thread to another, at most ``capacity`` of them.

    The sender calls :meth:`put`, then :meth:`finish`; the receiver iterates, and
    calls :meth:`abandon` when it wants no more. A failure of either side reaches
    the other: the sender's after the items before it, the receiver's at once.

    Args:
        capacity: How many items may wait.
    """

    def __init__(self, capacity: int = 1) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._abandoned = False
        self._failure: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand an item over; wait while the channel is full.

        Raises:
            AbandonedError: The receiver has gone.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise AbandonedError
            self._items.append(item)
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Say that nothing more comes, and why, if something went wrong."""
        with self._changed:
            self._finished = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    def abandon(self, failure: BaseException | None = None) -> None:
        """Say that nothing more is wanted; what waits is dropped."""
        with self._changed:
            self._abandoned = True
            self._failure = self._failure or failure
            self._items.clear()
            self._changed.notify_all()

    def feed(self, items: Iterable[T]) -> None:
        """Send all items, until their end, a failure, or the receiver's leave."""
        try:
            for item in items:
                self.put(item)
        except AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - goes to the thread that waits for it
            self.finish(error)
        else:
            self.finish()

    def check(self) -> None:
        """Raise the failure of either side, if there was one."""
        if self._failure is not None:
            raise self._failure

    def __iter__(self) -> Iterator[T]:
        """Give the items in order, then raise the sender's failure if there is one."""
        while True:
            with self._changed:
                while not self._items and not self._finished:
                    self._changed.wait()
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        self.check()
