"""nearfield's models wherever LangChain wants an ``Embeddings`` object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield._extras import require
from nearfield.core.embeddings.resolve import resolve_embed_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
else:
    Embeddings = require(
        "langchain_core.embeddings", extra="langchain", purpose="LangChainAdapter"
    ).Embeddings


class LangChainAdapter(Embeddings):  # type: ignore[misc] # LangChain is optional: Any
    """A model of nearfield, as LangChain's ``Embeddings``.

    Args:
        model: The model, or anything that stands for one: a name such as
            ``"openai"``; the bundled model by default.
    """

    def __init__(self, model: object = None) -> None:
        self.model = resolve_embed_model(model)

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts to be found, in order."""
        return self.model.get_text_embedding_batch(texts)

    def embed_query(self, text: str) -> list[float]:
        """Give the vector of a question."""
        return self.model.get_query_embedding(text)

    async def aembed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts, not blocking the event loop."""
        return await self.model.aget_text_embedding_batch(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Give the vector of a question, not blocking the event loop."""
        return await self.model.aget_query_embedding(text)

    def __repr__(self) -> str:
        """Show the model."""
        return f"LangChainAdapter({self.model!r})"
