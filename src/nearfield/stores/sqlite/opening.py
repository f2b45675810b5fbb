"""How an index file is found, checked, made, or opened where nothing can be written."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from nearfield.core.sqlite_files import keep_a_log, primary_code
from nearfield.errors import StoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.connection import connect, connect_to_read
from nearfield.stores.sqlite.faults import translated

if TYPE_CHECKING:
    from pathlib import Path


def prepare(path: Path, *, create: bool, read_only: bool, timeout_s: float) -> str:
    """Check an index file, making it when it is missing, and say how to open it.

    Args:
        path: The file.
        create: Whether to make it when it is missing.
        read_only: Whether it is only to be read.
        timeout_s: How long to wait for another process.

    Returns:
        The mode to open it with from now on; none makes a file again that is gone.

    Raises:
        StoreError: It is missing and not to be made, or cannot be opened.
        CorruptStoreError: It is damaged, not an index, or of another format.
    """
    if path.is_dir():
        message = f"{path} is a folder. An index is one file: give its path."
        raise StoreError(message)
    missing = not path.exists()
    if missing and (read_only or not create):
        message = f"There is no index at {path}. Make one with `nearfield index`."
        raise StoreError(message)
    mode = "ro" if read_only else "rwc" if create else "rw"
    with translated(path):
        try:
            _checked(path, mode, timeout_s)
        except sqlite3.OperationalError as error:
            code = primary_code(error)
            if missing or code not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise
            return _checked_read_only(path, timeout_s)
    return "ro" if read_only else "rw"


def _checked(path: Path, mode: str, timeout_s: float) -> str:
    connection = connect(path, mode=mode, timeout_s=timeout_s)
    try:
        if schema.is_empty(connection) and mode == "rwc":
            _create(connection, timeout_s)
        schema.check(connection, str(path))
    finally:
        connection.close()
    return mode


def _checked_read_only(path: Path, timeout_s: float) -> str:
    """Open a file in a place where nothing can be written."""
    connection, mode = connect_to_read(path, "ro", timeout_s)
    with closing(connection):
        schema.check(connection, str(path))
    return mode


def _create(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Make a new index; where two processes do so at once, one of them does."""
    connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
    keep_a_log(connection, timeout_s)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if schema.is_empty(connection):
            schema.create(connection, time.time())
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
