"""Connections to an index file: how they are opened and shared.

The process never opens the index file but through SQLite: closing any other
handle on it would drop the locks that this process holds (a rule of POSIX).
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import quote

from nearfield.core.fork_lock import ForkLock
from nearfield.core.sqlite_files import primary_code
from nearfield.errors import StoreError, StoreLockedError, StoreUnavailableError
from nearfield.stores.sqlite import fail_points
from nearfield.stores.sqlite.faults import BUSY, holder, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Facts = tuple[int, int, int, int]

P = ParamSpec("P")
T = TypeVar("T")
CACHE_KIB = 32_768
WAL_KEPT_BYTES = 64 << 20
CHECKPOINT_PAGES = 8192
"""How long the log gets (64 MiB) before a commit moves it into the file as well."""
_NAMING = 2
"""How many of the facts of a file, from the first on, say which file it is."""
_REDONE = 3
_READING = frozenset({"ro", "immutable"})


class Connections:
    """The connections of one store: one that writes, and as many that read as threads read at once.

    Args:
        path: The index file.
        mode: ``"rwc"`` (made when missing), ``"rw"``, ``"ro"``, or ``"immutable"`` as
            :func:`connect_to_read` gives it.
        timeout_s: How long a write waits for another process.
    """

    def __init__(self, path: Path, *, mode: str, timeout_s: float) -> None:
        self.path = path
        self.mode = mode
        self.timeout_s = timeout_s
        self._lock = ForkLock()
        self._writing = ForkLock()
        self._idle: list[sqlite3.Connection] = []
        self._begun: dict[sqlite3.Connection, Facts] = {}
        self._writer: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._abandoned: list[sqlite3.Connection] = []
        self._closed = False
        self._seen = _file_facts(path)
        self._generation = 0  # of the connections that read; a new one for each file followed

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one version of the index until it is given back.

        Raises:
            StoreUnavailableError: It was more than one, see :meth:`check`.
        """
        with translated(self.path):
            connection, generation = self._take()
            try:
                connection.execute("BEGIN")
                try:
                    yield connection
                except Exception:
                    self.check(connection)  # which may be all that is wrong
                    raise
                self.check(connection)
            finally:
                self._give_back(connection, generation)

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse what was read of a file that changed in spite of what SQLite was told.

        Args:
            connection: One that is lent for reading.

        Raises:
            StoreUnavailableError: The file was written while it was read as one that nobody
                changes; the same read may succeed when it is repeated.
        """
        begun = self._begun.get(connection)
        if begun is None:
            return
        now = None
        with suppress(OSError):
            now = _file_facts(self.path)
        if now != begun:
            message = (
                f"{self.path} was changed while it was read, in a place where no lock can be had. "
                "Read again."
            )
            raise StoreUnavailableError(message)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection that writes, in a transaction: all is kept, or nothing."""
        if not self._writing.acquire(timeout=max(self.timeout_s, 0)):
            message = f"{self.path} is being written by another thread. Try again later."
            raise StoreLockedError(message)
        try:
            with translated(self.path):
                connection = self._writing_connection()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    fail_points.reach("begun")
                    yield connection
                    fail_points.reach("committing")
                    connection.execute("COMMIT")
                except BaseException:
                    # SQLite has already rolled back after some errors (a full disk).
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                fail_points.reach("committed")
        finally:
            self._writing.release()

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of its own, outside of a transaction."""
        # One that is lent meanwhile notices where the file changes.
        beside = self.reading() if self.mode in _READING else nullcontext()
        with translated(self.path), beside:
            connection = connect(self.path, mode=self.mode, timeout_s=self.timeout_s)
            try:
                yield connection
            finally:
                connection.close()

    def move_log(self) -> None:
        """Move the log into the file, as far as readers allow, while others go on writing.

        What is not moved, for whatever reason, is left to a later commit.
        """
        with (
            suppress(sqlite3.Error),
            closing(connect(self.path, mode="rw", timeout_s=0)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def take_over(self, other: Path) -> None:
        """Replace the whole content by that of another file; who reads sees old or new."""
        deadline = time.monotonic() + self.timeout_s

        def wait(status: int, _remaining: int, _total: int) -> None:
            # Without this, the copy would wait for another writer without end.
            if status in BUSY and time.monotonic() > deadline:
                message = f"{self.path} is being written by {holder(self.path)}. Try again later."
                raise StoreLockedError(message)

        with (
            self.looking() as target,
            closing(connect(other, mode="ro", timeout_s=self.timeout_s)) as source,
        ):
            source.backup(target, progress=wait)

    def close(self) -> None:
        """Close all connections that no thread is using; the rest close when given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            writer, self._writer = self._writer, None
            if self._owner != os.getpid():
                self._abandoned += idle if writer is None else [*idle, writer]
                return
        for connection in idle:
            connection.close()
        # Last, because the last connection moves the log into the file.
        with self._writing:
            if writer is not None:
                writer.close()

    def _take(self) -> tuple[sqlite3.Connection, int]:
        with self._lock:
            self._check_usable()
            self._follow()
            generation = self._generation
            if self._idle:
                connection = self._idle.pop()
            elif self.mode in _READING:
                connection, self.mode = connect_to_read(self.path, self.mode, self.timeout_s)
            else:
                connection = None
            if connection is not None:
                if self.mode == "immutable":
                    self._begun[connection] = self._seen
                return connection, generation
        made = connect(self.path, mode=self.mode, timeout_s=self.timeout_s, reading=True)
        return made, generation

    def _give_back(self, connection: sqlite3.Connection, generation: int) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
            self._begun.pop(connection, None)
            # One lent before another file was followed sees the file that was there then.
            if not self._closed and generation == self._generation:
                self._idle.append(connection)
                return
        connection.close()

    def _writing_connection(self) -> sqlite3.Connection:
        with self._lock:
            self._check_usable()
            self._follow()
            if self._writer is None:
                self._writer = connect(self.path, mode=self.mode, timeout_s=self.timeout_s)
            return self._writer

    def _follow(self) -> None:
        """Turn to the file that is at the path now, or refuse where that may lose a write."""
        now = None
        with suppress(OSError):
            now = _file_facts(self.path)
        # Told that nobody changes a file, SQLite does not look whether somebody did.
        told = len(self._seen) if self.mode == "immutable" else _NAMING
        if now is not None and now[:told] == self._seen[:told]:
            self._seen = now
            # Looked for after the facts: a file without a log, the same until the end, is whole.
            if self.mode != "immutable" or not log_path(self.path).exists():
                return
        if now is None or self.mode not in _READING:
            # The system would let us go on with a file that has no name any more.
            message = (
                f"{self.path} was removed, or another file put in its place, since it was "
                "opened. Open it again."
            )
            raise StoreError(message)
        self._seen = now
        self._generation += 1
        stale, self._idle = self._idle, []
        for connection in stale:
            connection.close()

    def _check_usable(self) -> None:
        if self._closed:
            message = f"The store of {self.path} is closed. Open it again."
            raise StoreError(message)
        if self._owner != os.getpid():
            # After a fork a connection may be neither used nor closed by the child.
            self._abandoned += self._idle
            self._abandoned += [self._writer] if self._writer is not None else []
            self._idle, self._writer, self._owner = [], None, os.getpid()


def connect(
    path: Path, *, mode: str, timeout_s: float, reading: bool = False
) -> sqlite3.Connection:
    """Open a connection to an index file.

    Args:
        path: The file.
        mode: ``"rwc"``, ``"rw"``, ``"ro"``, or ``"immutable"`` for a file that
            nobody can change, in a folder where nothing can be written.
        timeout_s: How long to wait for a lock.
        reading: Whether it shall refuse to write.

    Returns:
        The connection, in autocommit mode.
    """
    flags = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    uri = f"file:{quote(os.fsencode(path.absolute()))}?{flags}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from anywhere
        if reading:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged is on the disk
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, mode: str, timeout_s: float) -> tuple[sqlite3.Connection, str]:
    """Open a connection that only reads, as the place allows it now.

    Where nothing can be written, SQLite reads by the log and the shared memory that a writer
    keeps beside the file. Without a log to take into account, the file alone is the index.

    Args:
        path: The file.
        mode: ``"ro"``, or ``"immutable"`` where the other was found impossible before.
        timeout_s: How long to wait for a lock.

    Returns:
        The connection, and the mode it was opened with.

    Raises:
        sqlite3.Error: The file cannot be read.
        StoreError: There is a log that cannot be read here.
    """
    if mode == "ro" or log_path(path).exists():
        try:  # its first statement reads the file already
            return connect(path, mode="ro", timeout_s=timeout_s, reading=True), "ro"
        except sqlite3.Error as error:
            if primary_code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise
        log = 0
        with suppress(OSError):
            log = log_path(path).stat().st_size
        if log:
            message = (
                f"{path} has a log beside it that cannot be read in a read-only place. Let who may "
                "write open it and close it, or read its -wal and -shm be allowed, or copy both."
            )
            raise StoreError(message)
    return connect(path, mode="immutable", timeout_s=timeout_s, reading=True), "immutable"


def log_path(path: Path) -> Path:
    """Give the place of an index's log."""
    return path.with_name(f"{path.name}-wal")


def _file_facts(path: Path) -> Facts:
    facts = path.stat()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def redone(read: Callable[P, T]) -> Callable[P, T]:
    """Let a read be done again when the file changed meanwhile, see :meth:`Connections.check`.

    Args:
        read: What reads and gives its whole answer at once.
    """

    @wraps(read)
    def redo(*arguments: P.args, **options: P.kwargs) -> T:
        for _ in range(_REDONE):
            with suppress(StoreUnavailableError):
                return read(*arguments, **options)
        return read(*arguments, **options)

    return redo
