"""Any embeddings object of LangChain, as one of nearfield's models."""

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


class LangchainEmbedding(BaseEmbedding):
    """A model that computes through ``embed_documents`` and ``embed_query`` of another object.

    The object is known by these two methods: LangChain need not be installed.
    Batches are large because LangChain's classes cut them again to their own size.

    Args:
        langchain_embeddings: The object.
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
        langchain_embeddings: Any,
        model_name: str | None = None,
        embed_batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        num_workers: int | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,
    ) -> None:
        for method in ("embed_documents", "embed_query"):
            if isinstance(langchain_embeddings, type) or not callable(
                getattr(langchain_embeddings, method, None)
            ):
                message = (
                    f"{langchain_embeddings!r} is no LangChain embeddings object: it needs "
                    "embed_documents(texts) and embed_query(text)."
                )
                raise ConfigError(message)
        super().__init__(
            model_name or foreign_name(langchain_embeddings),
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        self._model = langchain_embeddings
        self._foreign = foreign_fingerprint(langchain_embeddings)

    @property
    def fingerprint(self) -> str:
        """The object's class, name and plain settings."""
        return f"langchain:{self._foreign}"

    def __repr__(self) -> str:
        """Name the object's class and the model; never its settings."""
        return f"LangchainEmbedding({type(self._model).__name__}, model_name={self.model_name!r})"

    def _encode(self, texts: Sequence[str], input_type: InputType) -> object:
        if input_type == "query":
            return [self._model.embed_query(text) for text in texts]
        return self._model.embed_documents(list(texts))

    async def _aencode(self, texts: Sequence[str], input_type: InputType) -> object:
        if input_type == "query" and self._has_coroutine("aembed_query"):
            return await asyncio.gather(*(self._model.aembed_query(text) for text in texts))
        if input_type == "document" and self._has_coroutine("aembed_documents"):
            return await self._model.aembed_documents(list(texts))
        return await asyncio.to_thread(self._encode, texts, input_type)

    def _has_coroutine(self, name: str) -> bool:
        return inspect.iscoroutinefunction(getattr(self._model, name, None))
