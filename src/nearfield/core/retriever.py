"""From questions to the nearest nodes: by vectors, by words, or by both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from nearfield.core.aside import in_thread
from nearfield.core.fusion import maximal_marginal_relevance, reciprocal_rank_fusion
from nearfield.core.schema import QueryBundle
from nearfield.core.store import Found
from nearfield.core.vectors import as_matrix, check_top_k
from nearfield.errors import ConfigError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.filters import MetadataFilters
    from nearfield.core.schema import NodeWithScore
    from nearfield.core.store import QueryMode, VectorStore
    from nearfield.core.vectors import Vector, Vectors
else:
    from nearfield.core.arrays import np

SearchMode = Literal["vector", "text", "hybrid", "mmr"]
"""By vectors; by words (BM25); by both, fused by rank; by vectors, made diverse."""

MODES: tuple[SearchMode, ...] = ("vector", "text", "hybrid", "mmr")
LLAMA_INDEX_MODES = {"default": "vector", "text_search": "text"}

DEFAULT_TOP_K = 2  # LlamaIndex's
HYBRID_DEPTH = 100
MMR_PREFETCH = 4
WIDENING = 4


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search; checked when made.

    Args:
        similarity_top_k: The most nodes per question, at least 1.
        mode: ``"vector"``, ``"text"``, ``"hybrid"`` or ``"mmr"``.
        filters: Conditions on the nodes' metadata.
        doc_ids: Only nodes of these documents.
        node_ids: Only these nodes.
        score_cutoff: Only nodes with at least this score.
        nodes_per_document: The most nodes of any one document.
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
    mmr_threshold: float = 0.5
    vector_store_query_mode: str | None = None
    vector_store_kwargs: Mapping[str, Any] | None = None

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
        self._check()

    def _check(self) -> None:
        check_top_k(self.similarity_top_k)
        if self.mode not in MODES:
            message = f"Unknown search mode {self.mode!r}. Choose one of {', '.join(MODES)}."
            raise ConfigError(message)
        if self.nodes_per_document is not None and self.nodes_per_document < 1:
            message = f"nodes_per_document must be at least 1, not {self.nodes_per_document!r}."
            raise ConfigError(message)
        if not 0 <= self.mmr_threshold <= 1:
            message = f"mmr_threshold must be between 0 and 1, not {self.mmr_threshold!r}."
            raise ConfigError(message)

    @property
    def restricted(self) -> bool:
        """Whether results of the store may have to be left out one by one."""
        return any(
            option is not None for option in (self.doc_ids, self.node_ids, self.nodes_per_document)
        )

    def allowed(self, ranking: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """Leave out what the options exclude, keeping the order."""
        taken: Counter[str] = Counter()
        kept = []
        for found in ranking:
            node = found.node
            if self.doc_ids is not None and node.document_id not in self.doc_ids:
                continue
            if self.node_ids is not None and node.id not in self.node_ids:
                continue
            if self.score_cutoff is not None and found.score < self.score_cutoff:
                continue
            if taken[node.document_id] == self.nodes_per_document:
                continue
            taken[node.document_id] += 1
            kept.append(found)
        return kept


class Retriever:
    """Finds the nodes nearest to a question.

    Args:
        store: Where the nodes are.
        embed_model: The model that made their vectors.
        options: How to search; see :class:`SearchOptions` for the keywords.

    Raises:
        ConfigError: An option makes no sense.
        NotSupportedError: The store cannot search by words.
        TypeError: A keyword is unknown.
    """

    def __init__(self, store: VectorStore, embed_model: BaseEmbedding, **options: Any) -> None:
        self.store = store
        self.embed_model = embed_model
        self.options = SearchOptions(**options)
        if self.options.mode in ("text", "hybrid") and not store.capabilities.text_search:
            message = (
                f"{type(store).__name__} cannot search by words, which mode "
                f"{self.options.mode!r} needs. Keep the index in a file, or use mode 'vector'."
            )
            raise NotSupportedError(message)

    def __repr__(self) -> str:
        """Name the mode and the number of results."""
        mode, top_k = self.options.mode, self.options.similarity_top_k
        return f"Retriever(mode={mode!r}, similarity_top_k={top_k}, store={self.store!r})"

    def retrieve(self, query: str | QueryBundle) -> list[NodeWithScore]:
        """Find the nodes nearest to a question.

        Args:
            query: The question; a :class:`QueryBundle` may bring its vector along.

        Returns:
            At most ``similarity_top_k`` nodes, best first, higher scores better.

        Raises:
            ConfigError: The question is empty.
            DimensionMismatchError: Its vector is of another length than the index's.
        """
        return self.search([query])[0].nodes

    def retrieve_many(self, queries: Sequence[str | QueryBundle]) -> list[list[NodeWithScore]]:
        """Find the nodes nearest to each of many questions: embedded in one call, scanned in one.

        Args:
            queries: Any number of questions.

        Returns:
            One list per question, in order, each as :meth:`retrieve` gives it.

        Raises:
            ConfigError: A question is empty.
            TypeError: ``queries`` is one string.
        """
        return [found.nodes for found in self.search(queries)]

    async def aretrieve(self, query: str | QueryBundle) -> list[NodeWithScore]:
        """Find the nodes nearest to a question, as :meth:`retrieve` does."""
        return (await self.asearch([query]))[0].nodes

    async def aretrieve_many(
        self, queries: Sequence[str | QueryBundle]
    ) -> list[list[NodeWithScore]]:
        """Find the nodes nearest to each of many questions, as :meth:`retrieve_many` does."""
        return [found.nodes for found in await self.asearch(queries)]

    def search(self, queries: Sequence[str | QueryBundle]) -> list[Found]:
        """Find the nodes nearest to each question, and say what answered.

        Args:
            queries: Any number of questions.

        Returns:
            One answer per question, in order.

        Raises:
            ConfigError: A question is empty.
            TypeError: ``queries`` is one string.
        """
        bundles = _bundles(queries)
        unknown = self._to_embed(bundles)
        computed = self.embed_model.encode(unknown, input_type="query") if unknown else None
        return self._answer(bundles, computed)

    async def asearch(self, queries: Sequence[str | QueryBundle]) -> list[Found]:
        """Find the nodes nearest to each question, as :meth:`search` does."""
        bundles = _bundles(queries)
        unknown = self._to_embed(bundles)
        computed = await self.embed_model.aencode(unknown, input_type="query") if unknown else None
        return await in_thread(self._answer, bundles, computed)

    def _to_embed(self, bundles: Sequence[QueryBundle]) -> list[str]:
        if self.options.mode == "text":
            return []
        return [bundle.query_str for bundle in bundles if bundle.embedding is None]

    def _answer(self, bundles: Sequence[QueryBundle], computed: Vectors | None) -> list[Found]:
        if self.store.header is None or not bundles:  # nothing was ever written
            return [Found([]) for _ in bundles]
        rows = iter(computed if computed is not None else ())
        vectors = None
        if self.options.mode != "text":
            vectors = as_matrix(
                [next(rows) if own is None else own for own in (b.embedding for b in bundles)]
            )
        found = self._ranked([bundle.query_str for bundle in bundles], vectors)
        if self.options.mode == "mmr" and vectors is not None:
            found = [self._diverse(*pair) for pair in zip(vectors, found, strict=True)]
        top_k = self.options.similarity_top_k
        return [replace(answer, nodes=answer.nodes[:top_k]) for answer in found]

    def _ranked(self, texts: Sequence[str], vectors: Vectors | None) -> list[Found]:
        """Search deeper and deeper until enough results are allowed, or there are no more."""
        options = self.options
        wanted = options.similarity_top_k * (MMR_PREFETCH if options.mode == "mmr" else 1)
        answers: list[Found] = [Found([])] * len(texts)
        pending, depth = list(range(len(texts))), wanted
        while pending:
            some = None if vectors is None else vectors[pending]
            found = self._candidates([texts[number] for number in pending], some, depth)
            still = []
            for number, (answer, more) in zip(pending, found, strict=True):
                answers[number] = replace(answer, nodes=options.allowed(answer.nodes))
                if options.restricted and more and len(answers[number].nodes) < wanted:
                    still.append(number)
            pending, depth = still, depth * WIDENING
        return answers

    def _candidates(
        self, texts: Sequence[str], vectors: Vectors | None, depth: int
    ) -> list[tuple[Found, bool]]:
        """Give the best ``depth`` nodes of each question, and whether there may be more."""
        mode = self.options.mode
        if mode != "hybrid":
            by: QueryMode = "text" if mode == "text" else "vector"
            return [(a, len(a.nodes) == depth) for a in self._query(by, texts, vectors, depth)]
        deep = max(depth, HYBRID_DEPTH)
        by_vector = self._query("vector", texts, vectors, deep)
        by_text = self._query("text", texts, vectors, deep)
        return [
            (
                Found(reciprocal_rank_fusion([a.nodes, b.nodes]), f"{a.engine}+{b.engine}"),
                deep in (len(a.nodes), len(b.nodes)),
            )
            for a, b in zip(by_vector, by_text, strict=True)
        ]

    def _query(
        self, mode: QueryMode, texts: Sequence[str], vectors: Vectors | None, depth: int
    ) -> list[Found]:
        if mode == "text":
            vectors = None
        return self.store.query(
            vectors, depth, filters=self.options.filters, mode=mode, texts=texts
        )

    def _diverse(self, query: Vector, found: Found) -> Found:
        by_id = {node.node.id: node for node in found.nodes}
        stored = {node.id: vector for node, vector in self.store.nodes(list(by_id))}
        names = [name for name in by_id if name in stored]  # one may be deleted meanwhile
        if not names:
            return Found([], found.engine)
        vectors = np.stack([stored[name] for name in names])
        chosen = maximal_marginal_relevance(
            query,
            vectors,
            self.options.similarity_top_k,
            relevance_weight=self.options.mmr_threshold,
        )
        return Found([by_id[names[row]] for row in chosen], f"{found.engine}+mmr")


def _bundles(queries: object) -> list[QueryBundle]:
    if isinstance(queries, (str, QueryBundle)):
        message = "Expected a list of questions, got one. Write [question]."
        raise TypeError(message)
    return [as_query(query) for query in cast("Sequence[object]", queries)]


def as_query(query: object) -> QueryBundle:
    """Give a question in the form that is searched for.

    Args:
        query: A text, a :class:`QueryBundle`, or LlamaIndex's own bundle.

    Returns:
        The question.

    Raises:
        ConfigError: It is empty and has no vector.
        TypeError: It is none of these.
    """
    if isinstance(query, str):
        query = QueryBundle(query)
    text = getattr(query, "query_str", None)
    if not isinstance(text, str):
        message = f"Expected a question as text, got {type(query).__name__}."
        raise TypeError(message)
    vector = getattr(query, "embedding", None)
    if not text.strip() and vector is None:
        message = "The question is empty. Ask something."
        raise ConfigError(message)
    return QueryBundle(text, vector)
