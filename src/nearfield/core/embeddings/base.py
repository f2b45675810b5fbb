"""``BaseEmbedding``: one hook below, every public name above.

A provider overrides :meth:`BaseEmbedding._encode`. A class written in
LlamaIndex's style overrides ``_get_query_embedding`` and
``_get_text_embedding(s)`` instead. Either way all of ``encode``, ``get_*``,
``aget_*``, ``embed_documents`` and ``embed_query`` work.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from nearfield.core.aside import in_thread
from nearfield.core.batching import make_plan
from nearfield.core.embeddings.checks import checked_batch_size, checked_cache, checked_workers
from nearfield.core.embeddings.compat import ASYNC_TWIN, SYNC_HOOKS, EmbeddingMeta, overrides
from nearfield.core.embeddings.driver import arun_plan, run_plan
from nearfield.core.embeddings.names import EmbeddingNames, check_texts
from nearfield.core.report import EmbeddingReport, reporting
from nearfield.core.vectors import SimilarityMode
from nearfield.core.warn import warn
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from nearfield.core.batching import Budget, Plan
    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.tokens import TokenMeasure
    from nearfield.core.vectors import Vectors
else:
    from nearfield.core.arrays import np

InputType = Literal["query", "document"]
"""What a text is: a question, or something to be found."""


class BaseEmbedding(EmbeddingNames, metaclass=EmbeddingMeta):
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
    is_remote: bool = False
    """Whether texts leave this machine, and may cost money."""
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
            self.embed_batch_size = checked_batch_size(embed_batch_size)
        if num_workers is not None:
            self.num_workers = checked_workers(num_workers)
        if (kept := checked_cache(cache)) is not None:
            self.cache = kept

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
        single, many = "_get_text_embedding", "_get_text_embeddings"
        if _defines(type(self), many) and not overrides(type(self), single, many):
            return self._hook(many)(list(texts))
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
        return await in_thread(self._compute, texts, input_type)

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
        """Give the coroutine twin of a hook, if the class defines one that still belongs to it."""
        twin = ASYNC_TWIN[sync_name]
        if overrides(type(self), sync_name, twin):
            return None
        hook = getattr(self, twin, None)
        return hook if inspect.iscoroutinefunction(hook) else None

    def _compute(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch by the hook defined furthest down the class tree."""
        if _prefers_single_hooks(type(self), input_type):
            return BaseEmbedding._encode(self, texts, input_type)
        return self._encode(texts, input_type)

    async def _acompute(self, texts: Sequence[str], input_type: InputType) -> object:
        """Compute one batch, likewise, without blocking the loop."""
        if _prefers_single_hooks(type(self), input_type):
            return await BaseEmbedding._aencode(self, texts, input_type)
        if _defines(type(self), "_aencode") and overrides(type(self), "_encode", "_aencode"):
            return await in_thread(self._encode, texts, input_type)
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
        vectors, report = self.encode_with_report(
            texts, input_type=input_type, show_progress=show_progress
        )
        self._warn_of_cuts(report)
        return vectors

    def encode_with_report(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> tuple[Vectors, EmbeddingReport]:
        """Give the vectors of texts, and what it took; cut texts are counted, not warned of.

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
        return self._finish(plan), report

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
        vectors, report = await self.aencode_with_report(
            texts, input_type=input_type, show_progress=show_progress
        )
        self._warn_of_cuts(report)
        return vectors

    async def aencode_with_report(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> tuple[Vectors, EmbeddingReport]:
        """Give the vectors of texts, and what it took, as :meth:`encode_with_report` does."""
        if self.cache:  # on a disk, and perhaps held by another process
            report, plan = await in_thread(self._begin, texts, input_type)
        else:
            report, plan = self._begin(texts, input_type)
        try:
            with reporting(report):
                await arun_plan(self, plan, input_type, show_progress=show_progress)
        finally:
            self.totals.add(**report.as_dict())
        return self._finish(plan), report

    def _begin(self, texts: Sequence[str], input_type: InputType) -> tuple[EmbeddingReport, Plan]:
        check_texts(texts)
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
        return checked_batch_size(self.embed_batch_size)  # it may have been assigned since

    def _plan_workers(self) -> int:
        """How many batches of a plan may be under way at once."""
        return 1 if self.num_workers is None else checked_workers(self.num_workers)

    def _plan_budget(self) -> Budget | None:
        """What a batch of a plan may weigh; ``None`` for no limit."""
        return None

    def _finish(self, plan: Plan) -> Vectors:
        vectors = plan.assemble(self.dim)
        if len(vectors) and self._dim is None:
            self._dim = vectors.shape[1]
        return vectors

    def _warn_of_cuts(self, report: EmbeddingReport) -> None:
        if report.truncated_texts and self.on_truncation == "warn":
            warn(
                f"{report.truncated_texts} of {report.texts} texts were longer than the "
                f"{self.max_tokens} tokens {self.model_name} reads; {report.truncated_tokens} "
                "tokens were left out. Split the texts, or pass on_truncation='ignore'."
            )


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
