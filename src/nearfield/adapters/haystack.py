"""nearfield's models as Haystack's text and document embedders.

Haystack makes objects from a pipeline's file only of modules that are allowed:
``Pipeline.loads(text, allowed_modules=["nearfield.adapters.haystack"])``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from nearfield._extras import require
from nearfield.core.embeddings.rebuild import name_of
from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from haystack import Document, component
else:
    _haystack = require("haystack", extra="haystack", purpose="The Haystack embedders")
    Document, component = _haystack.Document, _haystack.component


class _Embedder:
    """What both embedders have in common: a model, kept by name in a pipeline's file."""

    def __init__(self, model: object = None) -> None:
        self._given = model if isinstance(model, str) else None
        self.model = resolve_embed_model(model)

    def to_dict(self) -> dict[str, Any]:
        """Give what a pipeline's file keeps of it: the model's name, never a key.

        For a model given as an object also its fingerprint: options are not in the name.

        Raises:
            ConfigError: The model was given as an object that no name stands for.
        """
        name = self._given or name_of(self.model)
        if name is None:
            message = f"{self.model!r} cannot be written to a file. Give the model by its name."
            raise ConfigError(message)
        kind = type(self)
        made: dict[str, Any] = {
            "type": f"{kind.__module__}.{kind.__qualname__}",
            "init_parameters": {"model": name},
        }
        if self._given is None:
            made["fingerprint"] = self.model.fingerprint
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make it again.

        Args:
            data: What :meth:`to_dict` gave.

        Returns:
            The embedder.

        Raises:
            ConfigError: The name does not make the model that the pipeline had.
        """
        made = cls(**data["init_parameters"])
        if data.get("fingerprint") not in (None, made.model.fingerprint):
            name = data["init_parameters"]["model"]
            message = (
                f"The pipeline had {name!r} with options of its own (or at another address), which "
                "its file does not keep. Make the embedder with the model itself."
            )
            raise ConfigError(message)
        return made


@component
class NearfieldTextEmbedder(_Embedder):
    """Embeds a question in a Haystack pipeline.

    Args:
        model: The model, or a name for one; the bundled model by default.
    """

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    def run(self, text: str) -> dict[str, Any]:
        """Give the question's vector.

        Args:
            text: The question.

        Returns:
            ``{"embedding": [...]}``.
        """
        return {"embedding": self.model.get_query_embedding(text)}

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    async def run_async(self, text: str) -> dict[str, Any]:
        """Give the question's vector, not blocking the event loop.

        Args:
            text: The question.

        Returns:
            As :meth:`run` does.
        """
        return {"embedding": await self.model.aget_query_embedding(text)}


@component
class NearfieldDocumentEmbedder(_Embedder):
    """Embeds documents in a Haystack pipeline.

    Args:
        model: The model, or a name for one; the bundled model by default.
    """

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Give the documents with their vectors; those passed in stay as they are.

        Args:
            documents: Any number of documents.

        Returns:
            ``{"documents": [...]}``, in order.
        """
        vectors = self.model.get_text_embedding_batch(_texts(documents))
        return {"documents": _with_vectors(documents, vectors)}

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """Give the documents with their vectors, not blocking the event loop.

        Args:
            documents: Any number of documents.

        Returns:
            As :meth:`run` does.
        """
        vectors = await self.model.aget_text_embedding_batch(_texts(documents))
        return {"documents": _with_vectors(documents, vectors)}


def _texts(documents: list[Document]) -> list[str]:
    return [document.content or "" for document in documents]


def _with_vectors(documents: list[Document], vectors: list[list[float]]) -> list[Document]:
    pairs = zip(documents, vectors, strict=True)
    return [replace(document, embedding=vector) for document, vector in pairs]
