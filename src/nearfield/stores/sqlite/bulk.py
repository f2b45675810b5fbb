"""Batch after batch into an index: one is finished while the next one is prepared.

Each batch is a transaction as any other. Its end, which waits for the disk, is left to a thread,
while the caller's checks the next batch and turns it into rows, and only then waits for the one
before. The thread makes a single call: each more would wait until Python lets it go on. Another
thread moves SQLite's log into the file meanwhile, which else a commit would do.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Protocol, Self

from nearfield.errors import StoreError
from nearfield.stores.sqlite.writing import Batch, read_numbers

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from nearfield.core.store import Entry
    from nearfield.core.store_checks import CheckedEntry
    from nearfield.stores.sqlite.connection import Connections
    from nearfield.stores.sqlite.writing import Numbers

MOVED_BYTES = 16 << 20
"""How much is written, counted in vectors and texts, before the log is moved once more."""


class WriteBatch(Protocol):
    """Writes a batch within the transaction that is open."""

    def __call__(self, connection: sqlite3.Connection, batch: Batch, *, replacing: bool) -> Numbers:
        """Give the numbers of what comes next."""


class Bulk:
    """Writes batches, each in one transaction, and is one batch ahead of the disk.

    A call returns when the batch of the call *before* is on the disk; the end of the ``with``
    block waits for the last. A batch that cannot be written is as if it had not been given;
    where only its end fails (a full disk), the next call says so, or the end of the block.
    For one thread at a time. :meth:`SQLiteStore.bulk` makes it.
    """

    def __init__(
        self,
        connections: Connections,
        check: Callable[[Sequence[Entry]], list[CheckedEntry]],
        write: WriteBatch,
    ) -> None:
        self._connections = connections
        self._check = check
        self._write_batch = write
        self._next: Numbers | None = None
        self._last: _Ending | None = None
        self._mover: threading.Thread | None = None
        self._unmoved = 0

    def __enter__(self) -> Self:
        """Give the writer, whose batches are all on the disk at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the last batch."""
        try:
            self._wait()
        finally:
            if self._mover is not None:
                self._mover.join()

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, in one transaction.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            NearfieldError: As for :meth:`SQLiteStore.add`, or what kept the batch before
                from being written; then neither is.
        """
        self._write(entries, replacing=False)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Write documents, each replacing the one of its id whole, in one transaction.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            NearfieldError: As for :meth:`SQLiteStore.upsert`, or what kept the batch before
                from being written; then neither is.
        """
        self._write(entries, replacing=True)

    def _write(self, entries: Sequence[Entry], *, replacing: bool) -> None:
        checked = self._check(entries)
        if not checked:
            return
        batch = None if self._next is None else Batch(checked, self._next)
        self._wait()
        self._move_log()
        with ExitStack() as stack:
            connection = stack.enter_context(self._connections.writing())
            if batch is None:
                batch = Batch(checked, read_numbers(connection))
            self._next = self._write_batch(connection, batch, replacing=replacing)
            # From here on the transaction, and the right to write, are the thread's.
            self._last = _Ending(stack.pop_all())
        self._last.start()
        self._unmoved += batch.size_bytes

    def _move_log(self) -> None:
        """Let a thread move the log, where it is worth it and none is at it."""
        at_it = self._mover is not None and self._mover.is_alive()
        if self._unmoved >= MOVED_BYTES and not at_it:
            mover = threading.Thread(target=self._connections.move_log, name="nearfield-log")
            with suppress(RuntimeError):  # no thread to be had: a commit will do it
                mover.start()
                self._mover, self._unmoved = mover, 0

    def _wait(self) -> None:
        """Wait for the batch before, and raise what went wrong with it."""
        if self._last is not None:
            self._last.join()
            last, self._last = self._last, None
            if last.failure is not None:
                self._next = None
                raise last.failure


class _Ending:
    """A transaction that a thread ends.

    Attributes:
        failure: What went wrong, once it was waited for; ``None`` when the batch is on the disk.
    """

    def __init__(self, transaction: ExitStack) -> None:
        self._transaction = transaction
        # A fork ends the thread in the child, which is to be told so.
        self.failure: BaseException | None = StoreError(
            "The process was forked while a batch was being written: only the parent knows "
            "whether it is there. Begin anew in the child."
        )
        self._thread = threading.Thread(target=self._run, name="nearfield-bulk")

    def start(self) -> None:
        """Let the thread end it; where the system has no thread to give, :meth:`join` does."""
        with suppress(RuntimeError):
            self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread.ident is None:
            self._run()
        else:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._transaction.close()
            self.failure = None
        except BaseException as error:  # noqa: BLE001 - goes to the thread that waits for it
            self.failure = error
