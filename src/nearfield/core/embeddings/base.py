"""``BaseEmbedding``: one hook below, every public name above.

A provider overrides :meth:`BaseEmbedding._encode`. A class written in
LlamaIndex's style overrides ``_get_query_embedding`` and
``_get_text_embedding(s)`` instead. Either way all of ``encode``, ``get_*``,
``aget_*``, ``embed_documents`` and ``embed_query`` work.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfield.core.batching import make_plan
from nearfield.core.embeddings.compat import ASYNC_TWIN, SYNC_HOOKS, EmbeddingMeta
from nearfield.core.embeddings.driver import arun_plan, run_plan
from nearfield.core.report import EmbeddingReport, count, reporting
from nearfield.core.vectors import SimilarityMode, mean_vector, similarity
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.batching import Budget, Plan
    from nearfield.core.tokens import TokenMeasure
    from nearfield.core.vectors import Vectors

InputType = Literal["query", "document"]
"""What a text is: a question, or something to be found."""

MAX_BATCH_SIZE = 2048


class BaseEmbedding(metaclass=EmbeddingMeta):
    """A model that turns texts into vectors.

    Args:
        model_name: The model's name, for messages and the fingerprint.
        embed_batch_size: The most texts handed to the model at once, 1 to 2,048.
        num_workers: How many batches may be under way at once.
        cache: Where vectors are kept between calls; none by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.
    """

    model_name: str = "unknown"
    embed_batch_size: int = 10
    num_workers: int | None = None
    cache: EmbeddingCache | None = None
    on_truncation: Literal["warn", "error", "ignore"] = "warn"
    _dim: int | None = None
    _totals: EmbeddingReport | None = None

    def __init__(
        self,
        model_name: str | None = None,
        embed_batch_size: int | None = None,
        *,
        num_workers: int | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,  # noqa: ARG002 - LlamaIndex's keyword
    ) -> None:
        if model_name is not None:
            self.model_name = model_name
        if embed_batch_size is not None:
            self.embed_batch_size = _checked_batch_size(embed_batch_size)
        if num_workers is not None:
            self.num_workers = num_workers
        if cache is not None:
            self.cache = cache

    def __new__(cls, *_args: object, **_kwargs: object) -> Any:
        """Refuse a class that has no hook to compute with."""
        if not _computes(cls):
            message = (
                f"{cls.__name__} cannot embed: define _encode(texts, input_type), "
                "or _get_text_embedding(text) and _get_query_embedding(query)."
            )
            raise TypeError(message)
        return super().__new__(cls)

    # What the model is.

    @property
    def dim(self) -> int | None:
        """Numbers per vector, or ``None`` when not known before the first call."""
        return self._dim

    @property
    def max_tokens(self) -> int | None:
        """Tokens the model reads of a text, specials included; ``None`` when not known."""
        return None

    @property
    def measure(self) -> TokenMeasure | None:
        """How the model counts tokens; ``None`` when its tokenizer is not at hand."""
        return None

    @property
    def fingerprint(self) -> str:
        """What tells this model's vectors from any other's.

        By default the class and the model's name. Override it when anything
        else changes the vectors: a prompt, a revision, a number of dimensions.
        """
        return f"{type(self).__module__}.{type(self).__qualname__}/{self.model_name}"

    @property
    def similarity_mode(self) -> SimilarityMode:
        """The comparison the model was trained for; cosine when it does not say."""
        return SimilarityMode.COSINE

    @property
    def totals(self) -> EmbeddingReport:
        """What all calls to this model did so far."""
        if self._totals is None:
            self._totals = EmbeddingReport()
        return self._totals

    def __repr__(self) -> str:
        """Name the class and the model."""
        return f"{type(self).__name__}(model_name={self.model_name!r})"

    # The hooks. A provider overrides the first.

    def _encode(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch: rows of numbers, one per text, in order."""
        if input_type == "query":
            return [self._hook("_get_query_embedding")(text) for text in texts]
        if _defines(type(self), "_get_text_embeddings"):
            return self._hook("_get_text_embeddings")(list(texts))
        return [self._hook("_get_text_embedding")(text) for text in texts]

    async def _aencode(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch without blocking the loop."""
        single = "_get_query_embedding" if input_type == "query" else "_get_text_embedding"
        many = None if input_type == "query" else self._own_async("_get_text_embeddings")
        if many is not None:
            return await many(list(texts))
        one = self._own_async(single)
        if one is not None:
            return [await one(text) for text in texts]
        return await asyncio.to_thread(self._compute, texts, input_type)

    def _get_query_embedding(self, query: str) -> Any:
        """Compute the vector of a question."""
        return self._fall_back(query, "query")

    def _get_text_embedding(self, text: str) -> Any:
        """Compute the vector of a text."""
        return self._fall_back(text, "document")

    def _get_text_embeddings(self, texts: list[str]) -> Any:
        """Compute the vectors of several texts."""
        if _defines(type(self), "_encode"):
            return self._encode(texts, "document")
        return [self._get_text_embedding(text) for text in texts]

    def _fall_back(self, text: str, input_type: InputType) -> Any:
        """Compute one text by whichever other hook the class has."""
        if _defines(type(self), "_encode"):
            return _rows(self._encode([text], input_type))[0]
        if input_type == "query" and _defines(type(self), "_get_text_embedding"):
            return self._get_text_embedding(text)
        if _defines(type(self), "_get_text_embeddings"):
            return _rows(self._get_text_embeddings([text]))[0]
        if _defines(type(self), "_get_text_embedding"):
            return self._get_text_embedding(text)
        return self._get_query_embedding(text)

    def _hook(self, name: str) -> Callable[[Any], Any]:
        hook: Callable[[Any], Any] = getattr(self, name)
        return hook

    def _own_async(self, sync_name: str) -> Callable[[Any], Any] | None:
        """Give the coroutine twin of a hook, if the class defines one."""
        hook = getattr(self, ASYNC_TWIN[sync_name], None)
        return hook if inspect.iscoroutinefunction(hook) else None

    def _compute(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch by the hook defined furthest down the class tree."""
        if _prefers_single_hooks(type(self), input_type):
            return BaseEmbedding._encode(self, texts, input_type)  # noqa: SLF001
        return self._encode(texts, input_type)

    async def _acompute(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch, likewise, without blocking the loop."""
        if _prefers_single_hooks(type(self), input_type):
            return await BaseEmbedding._aencode(self, texts, input_type)  # noqa: SLF001
        return await self._aencode(texts, input_type)

    # The array API.

    def encode(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> Vectors:
        """Give the vectors of texts.

        Args:
            texts: Any number of texts; equal ones are computed once.
            input_type: ``"document"`` or ``"query"``: a model with prompts treats them differently.
            show_progress: Draw a bar on stderr, on a terminal only.

        Returns:
            ``(n, dim)`` float32, C-contiguous, in the order of ``texts``; ``(0, dim)`` for none.

        Raises:
            TypeError: ``texts`` is one string, or holds something that is not a string.
            InvalidVectorsError: The model returned something that is not ``n`` finite vectors.
        """
        return self.encode_with_report(
            texts, input_type=input_type, show_progress=show_progress
        )[0]

    def encode_with_report(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> tuple[Vectors, EmbeddingReport]:
        """Give the vectors of texts, and what it took.

        Args:
            texts: As for :meth:`encode`.
            input_type: As for :meth:`encode`.
            show_progress: As for :meth:`encode`.

        Returns:
            The vectors, and the report of this call.

        Raises:
            TypeError: As for :meth:`encode`.
            InvalidVectorsError: As for :meth:`encode`.
        """
        report, plan = self._begin(texts, input_type)
        try:
            with reporting(report):
                run_plan(self, plan, input_type, show_progress=show_progress)
        finally:  # a failed call cost something too
            self.totals.add(**report.as_dict())
        return self._finish(plan, report), report

    async def aencode(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> Vectors:
        """Give the vectors of texts without blocking the event loop.

        Args:
            texts: As for :meth:`encode`.
            input_type: As for :meth:`encode`.
            show_progress: As for :meth:`encode`.

        Returns:
            As for :meth:`encode`.

        Raises:
            TypeError: As for :meth:`encode`.
            InvalidVectorsError: As for :meth:`encode`.
        """
        report, plan = self._begin(texts, input_type)
        try:
            with reporting(report):
                await arun_plan(self, plan, input_type, show_progress=show_progress)
        finally:
            self.totals.add(**report.as_dict())
        return self._finish(plan, report)

    def _begin(self, texts: Sequence[str], input_type: InputType) -> tuple[EmbeddingReport, Plan]:
        _check_texts(texts)
        if input_type not in ("query", "document"):
            message = f"input_type must be 'query' or 'document', not {input_type!r}."
            raise ConfigError(message)
        known = self.cache.get_many(self.fingerprint, input_type, texts) if self.cache else None
        plan = make_plan(
            texts, batch_size=self._plan_batch_size(), known=known, budget=self._plan_budget()
        )
        missing = len(plan.unique) - len(plan.known)
        return EmbeddingReport(texts=len(texts), computed=missing, cache_hits=len(plan.known)), plan

    def _plan_batch_size(self) -> int:
        """The most texts in one batch of a plan."""
        return self.embed_batch_size

    def _plan_budget(self) -> Budget | None:
        """What a batch of a plan may weigh; ``None`` for no limit."""
        return None

    def _finish(self, plan: Plan, report: EmbeddingReport) -> Vectors:
        vectors = plan.assemble(self.dim)
        if len(vectors) and self._dim is None:
            self._dim = vectors.shape[1]
        if report.truncated_texts and self.on_truncation == "warn":
            warnings.warn(
                f"{report.truncated_texts} of {report.texts} texts were longer than the "
                f"{self.max_tokens} tokens {self.model_name} reads; {report.truncated_tokens} "
                "tokens were left out. Split the texts, or pass on_truncation='ignore'.",
                stacklevel=4,
            )
        return vectors

    # The names of LlamaIndex.

    def get_text_embedding(self, text: str) -> list[float]:
        """Give the vector of one text as a list of ``dim`` floats."""
        return self.get_text_embedding_batch([_checked_text(text)])[0]

    def get_text_embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors of texts as lists, in order."""
        return self.get_text_embedding_batch(texts)

    def get_text_embedding_batch(
        self, texts: Sequence[str], show_progress: bool = False  # noqa: FBT001, FBT002 - LlamaIndex's
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
        self, texts: Sequence[str], show_progress: bool = False  # noqa: FBT001, FBT002
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


def _defines(cls: type, name: str) -> bool:
    """Say whether a class below ``BaseEmbedding`` defines a method."""
    return getattr(cls, name, None) is not getattr(BaseEmbedding, name, None)


def _computes(cls: type) -> bool:
    return any(_defines(cls, name) for name in ("_encode", *SYNC_HOOKS))


def _prefers_single_hooks(cls: type, input_type: InputType) -> bool:
    """Say whether the LlamaIndex-style hooks were defined below ``_encode``."""
    hooks = SYNC_HOOKS[:1] if input_type == "query" else SYNC_HOOKS[1:]
    for owner in cls.__mro__:
        if owner is BaseEmbedding or "_encode" in vars(owner):
            return False
        if any(name in vars(owner) for name in hooks):
            return True
    return False


def _rows(values: object) -> Any:
    return values if isinstance(values, (list, tuple)) else np.asarray(values)


def _lists(vectors: Vectors) -> list[list[float]]:
    rows: list[list[float]] = vectors.tolist()
    return rows


def _check_texts(texts: object) -> None:
    if isinstance(texts, (str, bytes)):
        message = "Expected a list of texts, got one text. Write [text]."
        raise TypeError(message)
    for number, text in enumerate(texts):  # type: ignore[arg-type]
        if not isinstance(text, str):
            message = f"Text {number} is of type {type(text).__name__}, not str."
            raise TypeError(message)


def _checked_text(text: object) -> str:
    if not isinstance(text, str):
        message = f"Expected a text, got {type(text).__name__}."
        raise TypeError(message)
    return text


def _checked_batch_size(size: int) -> int:
    if not isinstance(size, int) or not 1 <= size <= MAX_BATCH_SIZE:
        message = f"embed_batch_size must be between 1 and {MAX_BATCH_SIZE}, not {size!r}."
        raise ConfigError(message)
    return size


def _some_queries(queries: Sequence[str]) -> Sequence[str]:
    _check_texts(queries)
    if not queries:
        message = "No queries to aggregate. Pass at least one."
        raise ConfigError(message)
    return queries
