"""A store in one SQLite file: the record of an index that survives.

Names are fetched on first use, so that looking a store up imports no SQLite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.stores.sqlite.store import SQLiteStore as SQLiteStore

__all__ = ["SQLiteStore"]


def __getattr__(name: str) -> Any:
    """Give the store's class."""
    if name == "SQLiteStore":
        from nearfield.stores.sqlite.store import SQLiteStore  # noqa: PLC0415 - on first use

        return SQLiteStore
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
