"""What the errors of SQLite mean for an index file, said with the file and the next step."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.core.sqlite_files import primary_code
from nearfield.errors import CorruptStoreError, StoreError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_DISK_BYTES = 1 << 20
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


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


def holder(path: Path) -> str:
    """Name the process that holds the write lock, where the system tells (Linux).

    Args:
        path: The index file.
    """
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


def _explained(error: sqlite3.Error, path: Path) -> StoreError:
    primary = primary_code(error)
    if primary in BUSY:
        message = f"{path} is being written by {holder(path)}. Try again when it is done."
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
    if primary == sqlite3.SQLITE_CORRUPT or primary is None:
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
