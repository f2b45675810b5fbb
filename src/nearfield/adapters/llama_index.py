"""nearfield's models wherever LlamaIndex wants a ``BaseEmbedding``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.embeddings.resolve import resolve_embed_model

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding as LlamaIndexBase

    from nearfield.core.embeddings.base import BaseEmbedding
else:
    LlamaIndexBase = require(
        "llama_index.core.base.embeddings.base", extra="llama-index", purpose="LlamaIndexAdapter"
    ).BaseEmbedding

DEFAULT_BATCH_SIZE = 256


class LlamaIndexAdapter(LlamaIndexBase):  # type: ignore[misc] # LlamaIndex is optional: Any
    """A model of nearfield, as LlamaIndex's ``BaseEmbedding``.

    Args:
        model: The model, or anything that stands for one: a name such as
            ``"openai"``; the bundled model by default.
        embed_batch_size: Texts LlamaIndex hands over at once; the model cuts
            them again to its own size.
        options: LlamaIndex's further fields, such as ``callback_manager``.
    """

    fingerprint: str
    """What tells the model from any other; LlamaIndex's caches of ingestion go by it."""
    _model: Any

    def __init__(
        self, model: object = None, embed_batch_size: int = DEFAULT_BATCH_SIZE, **options: Any
    ) -> None:
        resolved = resolve_embed_model(model)
        super().__init__(
            model_name=resolved.model_name,
            fingerprint=resolved.fingerprint,
            embed_batch_size=embed_batch_size,
            **options,
        )
        self._model = resolved

    @property
    def model(self) -> BaseEmbedding:
        """The model inside."""
        model: BaseEmbedding = self._model
        return model

    @classmethod
    def class_name(cls) -> str:
        """Give the name LlamaIndex files the class under."""
        return "LlamaIndexAdapter"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.model.get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.model.get_text_embedding(text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self.model.get_text_embedding_batch(texts)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self.model.aget_query_embedding(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await self.model.aget_text_embedding(text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self.model.aget_text_embedding_batch(texts)
