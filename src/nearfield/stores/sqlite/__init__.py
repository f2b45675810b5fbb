"""A store in one SQLite file: the record of an index that survives.

Names are fetched on first use, so that looking a store up imports no SQLite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.stores.sqlite.migration import Migration as Migration
    from nearfield.stores.sqlite.repair import Repair as Repair
    from nearfield.stores.sqlite.store import SQLiteStore as SQLiteStore
    from nearfield.stores.sqlite.verify import Problem as Problem

__all__ = ["Migration", "Problem", "Repair", "SQLiteStore"]

_MODULES = {
    "Migration": "nearfield.stores.sqlite.migration",
    "Problem": "nearfield.stores.sqlite.verify",
    "Repair": "nearfield.stores.sqlite.repair",
}


def __getattr__(name: str) -> Any:
    """Give one of the names above."""
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "nearfield.stores.sqlite.store")), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
