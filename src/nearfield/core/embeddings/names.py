"""The names by which LlamaIndex's and LangChain's users call a model, over the array API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.core.vectors import SimilarityMode, mean_vector, similarity
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from nearfield.core.embeddings.base import InputType
    from nearfield.core.vectors import Vectors


class EmbeddingNames:
    """What a model offers besides ``encode`` and ``aencode``, made of these two."""

    if TYPE_CHECKING:

        def encode(
            self,
            texts: Sequence[str],
            *,
            input_type: InputType = "document",
            show_progress: bool = False,
        ) -> Vectors:
            """Give the vectors of texts."""

        async def aencode(
            self,
            texts: Sequence[str],
            *,
            input_type: InputType = "document",
            show_progress: bool = False,
        ) -> Vectors:
            """Give the vectors of texts without blocking the event loop."""

    # The names of LlamaIndex.

    def get_text_embedding(self, text: str) -> list[float]:
        """Give the vector of one text as a list of ``dim`` floats."""
        return self.get_text_embedding_batch([_checked_text(text)])[0]

    def get_text_embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts as lists, in order."""
        return self.get_text_embedding_batch(texts)

    def get_text_embedding_batch(
        self,
        texts: Sequence[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's
    ) -> list[list[float]]:
        """Give the vectors of texts as lists, in order.

        Args:
            texts: Any number of texts.
            show_progress: Draw a bar on stderr, on a terminal only.

        Returns:
            One list of ``dim`` floats per text.
        """
        return _lists(self.encode(texts, show_progress=show_progress))

    def get_query_embedding(self, query: str) -> list[float]:
        """Give the vector of a question as a list of ``dim`` floats."""
        return _lists(self.encode([_checked_text(query)], input_type="query"))[0]

    def get_agg_embedding_from_queries(
        self,
        queries: Sequence[str],
        agg_fn: Callable[[list[list[float]]], list[float]] | None = None,
    ) -> list[float]:
        """Give one vector for several questions.

        Args:
            queries: At least one question; embedded together, equal ones once.
            agg_fn: Makes one vector of several; their mean by default.

        Returns:
            ``dim`` floats.

        Raises:
            ConfigError: There is no question.
        """
        vectors = self.encode(_some_queries(queries), input_type="query")
        return agg_fn(_lists(vectors)) if agg_fn else list(mean_vector(vectors))

    async def aget_text_embedding(self, text: str) -> list[float]:
        """Give the vector of one text, as :meth:`get_text_embedding` does."""
        return (await self.aget_text_embedding_batch([_checked_text(text)]))[0]

    async def aget_text_embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts, as :meth:`get_text_embeddings` does."""
        return await self.aget_text_embedding_batch(texts)

    async def aget_text_embedding_batch(
        self,
        texts: Sequence[str],
        show_progress: bool = False,  # noqa: FBT001, FBT002
    ) -> list[list[float]]:
        """Give the vectors of texts, as :meth:`get_text_embedding_batch` does."""
        return _lists(await self.aencode(texts, show_progress=show_progress))

    async def aget_query_embedding(self, query: str) -> list[float]:
        """Give the vector of a question, as :meth:`get_query_embedding` does."""
        return _lists(await self.aencode([_checked_text(query)], input_type="query"))[0]

    async def aget_agg_embedding_from_queries(
        self,
        queries: Sequence[str],
        agg_fn: Callable[[list[list[float]]], list[float]] | None = None,
    ) -> list[float]:
        """Give one vector for several questions, as :meth:`get_agg_embedding_from_queries` does."""
        vectors = await self.aencode(_some_queries(queries), input_type="query")
        return agg_fn(_lists(vectors)) if agg_fn else list(mean_vector(vectors))

    def similarity(
        self,
        embedding1: object,
        embedding2: object,
        mode: SimilarityMode | str = SimilarityMode.COSINE,
    ) -> float:
        """Compare two vectors.

        Args:
            embedding1: ``dim`` numbers.
            embedding2: ``dim`` numbers.
            mode: Cosine, dot product, or minus the Euclidean distance.

        Returns:
            The score; higher is nearer.
        """
        return float(similarity(embedding1, embedding2, mode)[0, 0])

    # The names of LangChain.

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts as lists, as LangChain asks for them."""
        return self.get_text_embedding_batch(texts)

    def embed_query(self, text: str) -> list[float]:
        """Give the vector of a question as a list, as LangChain asks for it."""
        return self.get_query_embedding(text)

    async def aembed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts, as :meth:`embed_documents` does."""
        return await self.aget_text_embedding_batch(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Give the vector of a question, as :meth:`embed_query` does."""
        return await self.aget_query_embedding(text)


def check_texts(texts: Any) -> None:
    """Refuse what is not a list of texts.

    Args:
        texts: What a caller passed.

    Raises:
        TypeError: It is one text, or holds something that is not a text.
        ConfigError: A text holds half a character.
    """
    if isinstance(texts, (str, bytes)):
        message = "Expected a list of texts, got one text. Write [text]."
        raise TypeError(message)
    if not hasattr(texts, "__len__"):  # an iterator would be used up here, before it is read
        message = f"Expected a list of texts, got {type(texts).__name__}. Write list(texts)."
        raise TypeError(message)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            message = f"Text {number} is of type {type(text).__name__}, not str."
            raise TypeError(message)
        if not text.isascii():
            _check_unicode(text, number)


def _check_unicode(text: str, number: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # No tokenizer and no service can read it: some crash, some embed something else.
        message = (
            f"Text {number} holds half a character (a lone surrogate) at {error.start}. "
            "Replace it: text.encode('utf-8', 'replace').decode()."
        )
        raise ConfigError(message) from error


def _lists(vectors: Vectors) -> list[list[float]]:
    rows: list[list[float]] = vectors.tolist()
    return rows


def _checked_text(text: object) -> str:
    if not isinstance(text, str):
        message = f"Expected a text, got {type(text).__name__}."
        raise TypeError(message)
    return text


def _some_queries(queries: Sequence[str]) -> Sequence[str]:
    check_texts(queries)
    if not queries:
        message = "No queries to aggregate. Pass at least one."
        raise ConfigError(message)
    return queries
