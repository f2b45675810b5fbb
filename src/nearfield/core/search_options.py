"""How to search: what a retriever and a query engine may be asked, checked when asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from math import isnan
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

from nearfield.core.rerank import resolve_reranker
from nearfield.core.vectors import check_top_k
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Self

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.rerank import Reranker
    from nearfield.core.schema import NodeWithScore

SearchMode = Literal["vector", "text", "hybrid", "mmr"]
"""By vectors; by words (BM25); by both, fused by rank; by vectors, made diverse."""

MODES: tuple[SearchMode, ...] = ("vector", "text", "hybrid", "mmr")
LLAMA_INDEX_MODES = {"default": "vector", "text_search": "text"}

DEFAULT_TOP_K = 2  # LlamaIndex's
RERANK_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search; checked when made.

    Args:
        similarity_top_k: The most nodes per question, at least 1.
        mode: ``"vector"``, ``"text"``, ``"hybrid"`` or ``"mmr"``.
        filters: Conditions on the nodes' metadata.
        doc_ids: Only nodes of these documents.
        node_ids: Only these nodes.
        score_cutoff: Only nodes with at least this score; with ``rerank`` the reranker's.
        nodes_per_document: The most nodes of any one document.
        rerank: A model that reads question and text together and has the last word on the
            order: a :class:`~nearfield.core.rerank.Reranker`, or the name of a cross-encoder.
        rerank_candidates: How many found nodes it reads, at least 1; never fewer than
            ``similarity_top_k``.
        mmr_threshold: For ``"mmr"``: the weight of nearness against diversity, 0 to 1.
        vector_store_query_mode: The same as ``mode``, in LlamaIndex's words.
        vector_store_kwargs: Where LlamaIndex's users put ``mmr_threshold``.

    Raises:
        ConfigError: A value makes no sense.
    """

    similarity_top_k: int = DEFAULT_TOP_K
    mode: SearchMode = "vector"
    filters: MetadataFilters | None = None
    doc_ids: Collection[str] | None = None
    node_ids: Collection[str] | None = None
    score_cutoff: float | None = None
    nodes_per_document: int | None = None
    rerank: Reranker | str | None = None
    rerank_candidates: int = RERANK_CANDIDATES
    mmr_threshold: float = 0.5
    vector_store_query_mode: str | None = None
    vector_store_kwargs: Mapping[str, Any] | None = None

    @classmethod
    def named(cls, options: Mapping[str, Any]) -> Self:
        """Make options from keywords.

        Args:
            options: Values by name.

        Raises:
            TypeError: There is no option of a name; the message lists those there are.
            ConfigError: A value makes no sense.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in options if name not in known]
        if unknown:
            message = f"A search has no option {unknown[0]!r}. It has: {', '.join(known)}."
            raise TypeError(message)
        return cls(**options)

    def __post_init__(self) -> None:
        """Bring LlamaIndex's spellings into ours, and check all."""
        put = object.__setattr__
        named = self.vector_store_query_mode or self.mode
        mode = LLAMA_INDEX_MODES.get(getattr(named, "value", named), named)
        put(self, "mode", getattr(mode, "value", mode))
        for name, value in (self.vector_store_kwargs or {}).items():
            if name != "mmr_threshold":
                message = f"Unknown vector_store_kwargs {name!r}. Known: 'mmr_threshold'."
                raise ConfigError(message)
            put(self, name, value)
        for name in ("doc_ids", "node_ids"):
            ids = getattr(self, name)
            if ids is not None:
                put(self, name, frozenset([ids] if isinstance(ids, str) else ids))
        if self.filters is not None:
            from nearfield.core.filter_forms import as_filters  # noqa: PLC0415 - few filter

            put(self, "filters", as_filters(self.filters))
        self._check()
        if self.rerank is not None:
            put(self, "rerank", resolve_reranker(self.rerank))

    def _check(self) -> None:
        check_top_k(self.similarity_top_k)
        if self.mode not in MODES:
            message = f"Unknown search mode {self.mode!r}. Choose one of {', '.join(MODES)}."
            raise ConfigError(message)
        most = self.nodes_per_document
        if most is not None and (not isinstance(most, Integral) or most < 1):
            message = f"nodes_per_document must be a whole number of at least 1, not {most!r}."
            raise ConfigError(message)
        cutoff = self.score_cutoff
        if cutoff is not None and (not isinstance(cutoff, Real) or isnan(cutoff)):
            message = f"score_cutoff must be a number, not {cutoff!r}."
            raise ConfigError(message)
        if not isinstance(self.rerank_candidates, int) or self.rerank_candidates < 1:
            message = f"rerank_candidates must be at least 1, not {self.rerank_candidates!r}."
            raise ConfigError(message)
        if not 0 <= self.mmr_threshold <= 1:
            message = f"mmr_threshold must be between 0 and 1, not {self.mmr_threshold!r}."
            raise ConfigError(message)

    @property
    def candidates(self) -> int:
        """How many nodes the search itself is to find."""
        if self.rerank is None:
            return self.similarity_top_k
        return max(self.similarity_top_k, self.rerank_candidates)

    @property
    def restricted(self) -> bool:
        """Whether results of the store may have to be left out one by one."""
        return any(
            option is not None for option in (self.doc_ids, self.node_ids, self.nodes_per_document)
        )

    def allowed(self, ranking: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """Leave out what the options exclude, keeping the order."""
        taken: Counter[str] = Counter()
        cutoff = None if self.rerank is not None else self.score_cutoff
        kept = []
        for found in ranking:
            node = found.node
            if self.doc_ids is not None and node.document_id not in self.doc_ids:
                continue
            if self.node_ids is not None and node.id not in self.node_ids:
                continue
            if cutoff is not None and found.score < cutoff:
                continue
            if taken[node.document_id] == self.nodes_per_document:
                continue
            taken[node.document_id] += 1
            kept.append(found)
        return kept
