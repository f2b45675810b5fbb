"""Any embeddings object of LangChain, as one of nearfield's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.foreign import DEFAULT_BATCH_SIZE, ForeignEmbedding, Methods

if TYPE_CHECKING:
    from nearfield.core.cache import EmbeddingCache


class LangchainEmbedding(ForeignEmbedding):
    """A model that computes through ``embed_documents`` and ``embed_query`` of another object.

    The object is known by these two methods: LangChain need not be installed.
    Batches are large because LangChain's classes cut them again to their own size.

    Args:
        langchain_embeddings: The object.
        model_name: A name for it, part of the fingerprint; its own by default.
        embed_batch_size: Texts handed over at once, 1 to 2,048.
        num_workers: Batches under way at the same time.
        cache: Where vectors are kept between calls; nowhere by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: The object lacks one of the two methods.
    """

    library = "langchain"
    kind = "LangChain embeddings object"
    methods = Methods("embed_documents", "embed_query")

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
        # Anew only for the first name, which is LlamaIndex's.
        super().__init__(
            langchain_embeddings,
            model_name,
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
