"""The main names, each fetched when first used.

``from nearfield.core import VectorStoreIndex`` and its like work as they do
with LlamaIndex; nothing that is not asked for is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.core.drafts import IngestReport
    from nearfield.core.embeddings.base import BaseEmbedding
    from nearfield.core.embeddings.resolve import resolve_embed_model
    from nearfield.core.filters import (
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
    )
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.memory_store import MemoryStore
    from nearfield.core.query_engine import QueryEngine
    from nearfield.core.readers import SimpleDirectoryReader
    from nearfield.core.retriever import Retriever
    from nearfield.core.schema import (
        Document,
        Node,
        NodeWithScore,
        QueryBundle,
        Response,
        TextNode,
    )
    from nearfield.core.settings import Settings
    from nearfield.core.splitter import SentenceSplitter
    from nearfield.core.storage import StorageContext, load_index_from_storage
    from nearfield.core.vectors import SimilarityMode

_MODULES = {
    "drafts": ("IngestReport",),
    "embeddings.base": ("BaseEmbedding",),
    "embeddings.resolve": ("resolve_embed_model",),
    "filters": ("FilterCondition", "FilterOperator", "MetadataFilter", "MetadataFilters"),
    "index": ("VectorStoreIndex",),
    "memory_store": ("MemoryStore",),
    "query_engine": ("QueryEngine",),
    "readers": ("SimpleDirectoryReader",),
    "retriever": ("Retriever",),
    "schema": ("Document", "Node", "NodeWithScore", "QueryBundle", "Response", "TextNode"),
    "settings": ("Settings",),
    "splitter": ("SentenceSplitter",),
    "storage": ("StorageContext", "load_index_from_storage"),
    "vectors": ("SimilarityMode",),
}
_HOME = {name: f"nearfield.core.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [  # noqa: RUF022 - as a reader meets them
    "Document",
    "Node",
    "TextNode",
    "NodeWithScore",
    "QueryBundle",
    "Response",
    "Settings",
    "SimpleDirectoryReader",
    "SentenceSplitter",
    "BaseEmbedding",
    "resolve_embed_model",
    "SimilarityMode",
    "VectorStoreIndex",
    "IngestReport",
    "Retriever",
    "QueryEngine",
    "MemoryStore",
    "StorageContext",
    "load_index_from_storage",
    "MetadataFilter",
    "MetadataFilters",
    "FilterCondition",
    "FilterOperator",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    home = _HOME.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted({*globals(), *__all__})
