"""What a type checker sees of the public names. Checked by mypy, never run.

A line that must be an error carries an ignore; mypy complains of one that is not needed.
"""

from collections.abc import Sequence
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from nearfield import (
    BaseEmbedding,
    Document,
    HuggingFaceEmbedding,
    NearfieldError,
    Node,
    NodeWithScore,
    OpenAIEmbedding,
    Response,
    SentenceSplitter,
    Settings,
    SimpleDirectoryReader,
    VectorStoreIndex,
)
from nearfield.core.query_engine import QueryEngine
from nearfield.core.retriever import Retriever
from nearfield.core.store import VectorStore
from nearfield.errors import ProviderError, RateLimitError, ReadError


def records(document: Document, node: Node, found: NodeWithScore) -> None:
    assert_type(document.text, str)
    assert_type(document.id, str)
    assert_type(document.metadata, dict[str, Any])
    assert_type(node.start, int)
    assert_type(found.score, float)
    assert_type(found.node, Node)
    document.text = "changed"  # type: ignore[misc]


def models(model: BaseEmbedding) -> None:
    assert_type(model.encode(["a"]), NDArray[np.float32])
    assert_type(model.get_text_embedding("a"), list[float])
    assert_type(model.get_text_embeddings(["a"]), list[list[float]])
    assert_type(model.get_text_embedding_batch(["a"], show_progress=True), list[list[float]])
    assert_type(model.get_query_embedding("a"), list[float])
    assert_type(model.dim, int | None)
    assert_type(model.fingerprint, str)
    model.encode(["a"], input_type="passage")  # type: ignore[arg-type]
    model.get_text_embedding(["a"])  # type: ignore[arg-type]


async def waiting(model: BaseEmbedding, retriever: Retriever, engine: QueryEngine) -> None:
    assert_type(await model.aencode(["a"]), NDArray[np.float32])
    assert_type(await model.aget_query_embedding("a"), list[float])
    assert_type(await retriever.aretrieve("a"), list[NodeWithScore])
    assert_type(await engine.aquery("a"), Response)


def providers() -> None:
    assert_type(
        OpenAIEmbedding(model="text-embedding-3-small").get_query_embedding("a"), list[float]
    )
    assert_type(
        HuggingFaceEmbedding("BAAI/bge-small-en-v1.5").get_query_embedding("a"), list[float]
    )


class Mine(BaseEmbedding):
    """A model written with types."""

    def _encode(self, texts: Sequence[str], input_type: str) -> object:
        return [[float(len(text))] for text in texts] if input_type else []


def settings() -> None:
    Settings.embed_model = Mine()
    Settings.embed_model = "openai"
    Settings.embed_model = None
    Settings.chunk_size = 128
    Settings.chunk_size = "many"  # type: ignore[assignment]
    assert_type(Settings.embed_model, BaseEmbedding)
    with Settings.override(chunk_size=64):
        pass


def index() -> None:
    documents = SimpleDirectoryReader("data").load_data()
    assert_type(documents, list[Document])
    made = VectorStoreIndex.from_documents(documents, path="my.index")
    assert_type(made, VectorStoreIndex)
    assert_type(made.store, VectorStore)
    assert_type(made.count, int)
    assert_type(made.as_retriever(similarity_top_k=2), Retriever)
    assert_type(made.as_retriever().retrieve("a"), list[NodeWithScore])
    assert_type(made.as_query_engine(), QueryEngine)
    response = made.as_query_engine().query("a")
    assert_type(response.response, str)
    assert_type(response.source_nodes, list[NodeWithScore])
    assert_type(SentenceSplitter(), SentenceSplitter)


def errors(error: NearfieldError) -> None:
    assert_type(error.retryable, bool)
    if isinstance(error, ReadError):
        assert_type(error.path, str)
    if isinstance(error, ProviderError):
        assert_type(error.status, int | None)
    assert_type(RateLimitError("slow down").retryable, bool)
