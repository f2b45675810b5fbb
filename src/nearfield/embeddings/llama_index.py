"""Any embedding model of LlamaIndex, as one of nearfield's models."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.base import BaseEmbedding
from nearfield.core.embeddings.foreign import foreign_fingerprint, foreign_name
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.embeddings.base import InputType

DEFAULT_BATCH_SIZE = 256


class LlamaIndexEmbedding(BaseEmbedding):
    """A model that computes through LlamaIndex's public methods of another object.

    The object is known by ``get_text_embedding_batch`` and ``get_query_embedding``:
    LlamaIndex need not be installed. It cuts batches again to its own size.

    Args:
        model: The object.
        model_name: A name for it; its own by default.
        embed_batch_size: Texts handed over at once, 1 to 2,048.
        num_workers: Batches under way at the same time.
        cache: Where vectors are kept between calls; nowhere by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: The object lacks one of the two methods.
    """

    def __init__(
        self,
        model: Any,
        model_name: str | None = None,
        embed_batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        num_workers: int | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,
    ) -> None:
        for method in ("get_text_embedding_batch", "get_query_embedding"):
            if isinstance(model, type) or not callable(getattr(model, method, None)):
                message = (
                    f"{model!r} is no LlamaIndex embedding: it needs "
                    "get_text_embedding_batch(texts) and get_query_embedding(query)."
                )
                raise ConfigError(message)
        super().__init__(
            model_name or foreign_name(model),
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        self._model = model
        self._foreign = foreign_fingerprint(model)

    @property
    def fingerprint(self) -> str:
        """The object's class, name and plain settings."""
        return f"llama-index:{self._foreign}"

    def __repr__(self) -> str:
        """Name the object's class and the model; never its settings."""
        return f"LlamaIndexEmbedding({type(self._model).__name__}, model_name={self.model_name!r})"

    def _encode(self, texts: Sequence[str], input_type: InputType) -> object:
        if input_type == "query":
            return [self._model.get_query_embedding(text) for text in texts]
        return self._model.get_text_embedding_batch(list(texts))

    async def _aencode(self, texts: Sequence[str], input_type: InputType) -> object:
        if input_type == "query" and self._has_coroutine("aget_query_embedding"):
            return await asyncio.gather(*(self._model.aget_query_embedding(text) for text in texts))
        if input_type == "document" and self._has_coroutine("aget_text_embedding_batch"):
            return await self._model.aget_text_embedding_batch(list(texts))
        return await asyncio.to_thread(self._encode, texts, input_type)

    def _has_coroutine(self, name: str) -> bool:
        # LlamaIndex wraps its methods for tracing; unwrap to see what they are.
        method = getattr(self._model, name, None)
        return inspect.iscoroutinefunction(inspect.unwrap(method)) if method else False
