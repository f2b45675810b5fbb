"""A store in PostgreSQL with pgvector: an index that many machines share.

Names are fetched on first use, so that looking a store up imports no client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.stores.pgvector.store import PGVectorStore as PGVectorStore

__all__ = ["PGVectorStore"]


def __getattr__(name: str) -> Any:
    """Give one of the names above."""
    if name in __all__:
        return getattr(import_module("nearfield.stores.pgvector.store"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
