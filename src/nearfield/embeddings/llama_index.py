"""Any embedding model of LlamaIndex, as one of nearfield's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.foreign import DEFAULT_BATCH_SIZE, ForeignEmbedding, Methods

if TYPE_CHECKING:
    from nearfield.core.cache import EmbeddingCache


class LlamaIndexEmbedding(ForeignEmbedding):
    """A model that computes through LlamaIndex's public methods of another object.

    The object is known by ``get_text_embedding_batch`` and ``get_query_embedding``:
    LlamaIndex need not be installed. It cuts batches again to its own size.

    Args:
        model: The object.
        model_name: A name for it, part of the fingerprint; its own by default.
        embed_batch_size: Texts handed over at once, 1 to 2,048.
        num_workers: Batches under way at the same time.
        cache: Where vectors are kept between calls; nowhere by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: The object lacks one of the two methods.
    """

    library = "llama-index"
    kind = "LlamaIndex embedding"
    methods = Methods("get_text_embedding_batch", "get_query_embedding")

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
        # Written out for the reference and for who asks the class for its signature.
        super().__init__(
            model,
            model_name,
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
