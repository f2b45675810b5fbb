"""Connections to an index file: how they are opened, shared, and what their errors mean.

The process never opens the index file but through SQLite: closing any other
handle on it would drop the locks that this process holds (a rule of POSIX).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from nearfield.core.fork_lock import ForkLock
from nearfield.errors import CorruptStoreError, StoreError, StoreLockedError
from nearfield.stores.sqlite import fail_points

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_KIB = 32_768
WAL_KEPT_BYTES = 64 << 20
CHECKPOINT_PAGES = 8192
"""How long the log gets (64 MiB) before a commit moves it into the file as well."""
FULL_DISK_BYTES = 1 << 20
_PRIMARY_CODE = 0xFF
_NAMING = 2
"""How many of the facts of a file, from the first on, say which file it is."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Connections:
    """The connections of one store: one that writes, and as many that read as threads read at once.

    Args:
        path: The index file.
        mode: ``"rwc"`` (made when missing), ``"rw"`` or ``"ro"``.
        timeout_s: How long a write waits for another process.
    """

    def __init__(self, path: Path, *, mode: str, timeout_s: float) -> None:
        self.path = path
        self.mode = mode
        self.timeout_s = timeout_s
        self._lock = ForkLock()
        self._writing = ForkLock()
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._abandoned: list[sqlite3.Connection] = []
        self._closed = False
        self._seen = _file_facts(path)
        self._generation = 0  # of the connections that read; a new one for each file followed

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one version of the index until it is given back."""
        with translated(self.path):
            connection, generation = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._give_back(connection, generation)

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
        with translated(self.path):
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
            if status in _BUSY and time.monotonic() > deadline:
                message = f"{self.path} is being written by {_holder(self.path)}. Try again later."
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
                return self._idle.pop(), generation
        made = connect(self.path, mode=self.mode, timeout_s=self.timeout_s, reading=True)
        return made, generation

    def _give_back(self, connection: sqlite3.Connection, generation: int) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
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
            return
        if now is None or self.mode not in {"ro", "immutable"}:
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into nearfield's, which name the file and the next step.

    Args:
        path: The index file.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(error, path) from error


def _file_facts(path: Path) -> tuple[int, int, int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _explained(error: sqlite3.Error, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & _PRIMARY_CODE
    if primary in _BUSY:
        message = f"{path} is being written by {_holder(path)}. Try again when it is done."
        return StoreLockedError(message)
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _disk_is_full(path)):
        message = (
            f"No space left to write {path}. What was written before is safe: "
            "free some space and run the same again."
        )
        return StoreError(message)
    if primary == sqlite3.SQLITE_READONLY:
        message = (
            f"{path} is read-only: it can be searched, not written. "
            "Copy it, or change its permissions."
        )
        return StoreError(message)
    if primary == sqlite3.SQLITE_CANTOPEN:
        message = (
            f"{path} cannot be opened ({error}). Check that its folder exists and can be read."
        )
        return StoreError(message)
    if primary == sqlite3.SQLITE_NOTADB:
        message = (
            f"{path} is not an index, or its beginning is damaged ({error}). Give another path; "
            "a damaged index is to be restored from a copy, or built again."
        )
        return CorruptStoreError(message)
    if primary == sqlite3.SQLITE_CORRUPT or code is None:
        # No code: Python could not decode what SQLite gave it.
        message = (
            f"{path} is damaged ({error}). If `nearfield repair` cannot mend it, "
            "restore it from a copy, or build it again."
        )
        return CorruptStoreError(message)
    message = f"{path} could not be used: {error} ({getattr(error, 'sqlite_errorname', '?')})."
    return StoreError(message)


def _disk_is_full(path: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < FULL_DISK_BYTES
    return False


def _holder(path: Path) -> str:
    """Name the process that holds the write lock, where the system tells (Linux)."""
    with suppress(OSError, ValueError, IndexError):
        inode = os.stat(f"{path}-shm").st_ino  # noqa: PTH116 - a name beside the path
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            # 1: POSIX ADVISORY WRITE 4711 08:02:131074 120 120
            if fields[3] == "WRITE" and int(fields[5].rpartition(":")[2]) == inode:
                process = int(fields[4])
                if process == os.getpid():
                    return "this process itself, through another store"
                # The program alone: what it was given may be a password.
                program = Path(f"/proc/{process}/comm").read_text("utf-8", "replace").strip()
                return f"process {process} ({program})"
    return "another process"
