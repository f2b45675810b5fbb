"""The one interface over every embedding model."""

from nearfield.core.embeddings.base import BaseEmbedding, InputType
from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.core.vectors import SimilarityMode, similarity

__all__ = ["BaseEmbedding", "InputType", "SimilarityMode", "resolve_embed_model", "similarity"]
