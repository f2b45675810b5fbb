"""What every SQLite file of ours needs: a log, and errors by their code."""

from __future__ import annotations

import sqlite3
import time

_PRIMARY_CODE = 0xFF
_PAUSE_S = 0.01


def primary_code(error: sqlite3.Error) -> int | None:
    """Give SQLite's code for a kind of error; ``None`` for one that is of Python.

    Args:
        error: The error.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & _PRIMARY_CODE


def keep_a_log(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Have changes written to a log, also where several processes make the file at once.

    Args:
        connection: The connection, outside of a transaction.
        timeout_s: How long to wait for another process.

    Raises:
        sqlite3.OperationalError: Another process is not done, or the file cannot be used.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # SQLite does not wait for this one by itself
            busy = primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
