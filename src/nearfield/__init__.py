"""Text embeddings, and the neighbours they find.

::

    from nearfield import SimpleDirectoryReader, VectorStoreIndex

    documents = SimpleDirectoryReader("docs").load_data()
    index = VectorStoreIndex.from_documents(documents, path="docs.index")
    print(index.as_query_engine().query("How do I begin?"))

This file holds names only; each is fetched when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfield.core import (
        BaseEmbedding,
        Document,
        MetadataFilter,
        MetadataFilters,
        Node,
        NodeWithScore,
        Response,
        SentenceSplitter,
        Settings,
        SimilarityMode,
        SimpleDirectoryReader,
        VectorStoreIndex,
    )
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding
    from nearfield.embeddings.openai import OpenAIEmbedding
    from nearfield.errors import NearfieldError

    __version__: str

__all__ = [  # noqa: RUF022 - as a reader meets them
    "Document",
    "Node",
    "NodeWithScore",
    "Response",
    "Settings",
    "SimpleDirectoryReader",
    "SentenceSplitter",
    "VectorStoreIndex",
    "MetadataFilter",
    "MetadataFilters",
    "BaseEmbedding",
    "SimilarityMode",
    "HuggingFaceEmbedding",
    "OpenAIEmbedding",
    "NearfieldError",
    "__version__",
]

_ELSEWHERE = {
    "HuggingFaceEmbedding": "nearfield.embeddings.huggingface",
    "OpenAIEmbedding": "nearfield.embeddings.openai",
    "NearfieldError": "nearfield.errors",
}


def __getattr__(name: str) -> Any:
    """Fetch a public name on first use."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = _version() if name == "__version__" else _fetched(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted({*globals(), *__all__})


def _fetched(name: str) -> Any:
    return getattr(import_module(_ELSEWHERE.get(name, "nearfield.core")), name)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - costs more than all of this file

    return version("nearfield")
