"""What a local folder needs beyond the engine: one writer at a time, and files that last.

Lance commits by renaming, so that a kill tears nothing; but it syncs no file, and
a power cut could take back what was acknowledged. Object stores need neither.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from nearfield.errors import StoreError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "nearfield.lock"


class WriteLock:
    """Lets one writer of a folder work at a time, of all threads and processes.

    The lock is a transaction of SQLite on an empty file: it waits with a limit,
    works on every system, and ends with the process that holds it.

    Args:
        folder: The folder; made when it is first locked.
        timeout_s: How long to wait for another writer.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._thread_lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock within the block.

        Raises:
            StoreLockedError: Another writer kept it for longer than ``timeout_s``.
            StoreError: The folder cannot be written.
        """
        if not self._thread_lock.acquire(timeout=self._timeout_s):
            raise self._kept()
        try:
            with closing(self._connection()):
                yield
        finally:
            self._thread_lock.release()

    def _connection(self) -> sqlite3.Connection:
        path = self._folder / LOCK_NAME
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=self._timeout_s, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            message = f"{self._folder} cannot be written: {error}. Check its permissions."
            raise StoreError(message) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" in str(error):
                raise self._kept() from error
            message = f"{path} cannot be locked: {error}. Check its permissions."
            raise StoreError(message) from error
        return connection

    def _kept(self) -> StoreLockedError:
        return StoreLockedError(
            f"{self._folder} was being written by somebody else for {self._timeout_s:g} s. "
            "Try again, or raise timeout_s."
        )


class Syncer:
    """Makes what was committed last through a power cut.

    Args:
        folder: The table's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: set[str] = set()

    def sync(self) -> None:
        """Sync the files that are new since the last time, then the folders they are in."""
        if os.name != "posix":
            return
        there: set[str] = set()
        for folder, folders, names in os.walk(self._folder):
            files = {f"{folder}{os.sep}{name}" for name in names}
            paths = files | {f"{folder}{os.sep}{name}" for name in folders}
            for path in files - self._synced:
                _sync(path)
            if not paths <= self._synced:
                _sync(folder)
            there |= paths
        if not there <= self._synced:
            _sync(str(self._folder.parent))
        self._synced = there


def _sync(path: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # cleaned up since
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
