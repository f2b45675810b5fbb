"""From questions to the nearest nodes: by vectors, by words, or by both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from nearfield.core.aside import in_thread
from nearfield.core.fusion import maximal_marginal_relevance, reciprocal_rank_fusion
from nearfield.core.rerank import reranked
from nearfield.core.schema import QueryBundle
from nearfield.core.search_options import SearchOptions
from nearfield.core.store import Found
from nearfield.core.vectors import as_matrix
from nearfield.errors import ConfigError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.rerank import Reranker
    from nearfield.core.schema import NodeWithScore
    from nearfield.core.store import QueryMode, VectorStore
    from nearfield.core.vectors import Vector, Vectors
else:
    from nearfield.core.arrays import np

HYBRID_DEPTH = 100
MMR_PREFETCH = 4
WIDENING = 4


class Retriever:
    """Finds the nodes nearest to a question.

    Args:
        store: Where the nodes are.
        embed_model: The model that made their vectors.
        options: How to search; see
            :class:`~nearfield.core.search_options.SearchOptions` for the keywords.

    Raises:
        ConfigError: An option makes no sense.
        NotSupportedError: The store cannot search by words.
        TypeError: A keyword is unknown.
    """

    def __init__(self, store: VectorStore, embed_model: BaseEmbedding, **options: Any) -> None:
        self.store = store
        self.embed_model = embed_model
        self.options = SearchOptions.named(options)
        if self.options.mode in ("text", "hybrid") and not store.capabilities.text_search:
            message = (
                f"{type(store).__name__} cannot search by words, which mode "
                f"{self.options.mode!r} needs. Keep the index in a file, or use mode 'vector'."
            )
            raise NotSupportedError(message)

    def __repr__(self) -> str:
        """Name the mode, the number of results, and the reranker."""
        mode, top_k = self.options.mode, self.options.similarity_top_k
        rerank = f", rerank={self.reranker!r}" if self.reranker else ""
        return f"Retriever(mode={mode!r}, similarity_top_k={top_k}, store={self.store!r}{rerank})"

    @property
    def reranker(self) -> Reranker | None:
        """What has the last word on the order, if anything."""
        return cast("Reranker | None", self.options.rerank)

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
        found = self._answer(bundles, computed)
        if self.reranker is None:
            return found
        return [
            self._reordered(answer, self.reranker.rerank(*asked))
            for answer, asked in zip(found, _pairs(bundles, found), strict=True)
        ]

    async def asearch(self, queries: Sequence[str | QueryBundle]) -> list[Found]:
        """Find the nodes nearest to each question, as :meth:`search` does."""
        bundles = _bundles(queries)
        unknown = self._to_embed(bundles)
        computed = await self.embed_model.aencode(unknown, input_type="query") if unknown else None
        found = await in_thread(self._answer, bundles, computed)
        if self.reranker is None:
            return found
        return [
            self._reordered(answer, await self.reranker.arerank(*asked))
            for answer, asked in zip(found, _pairs(bundles, found), strict=True)
        ]

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
        top_k = self.options.candidates
        return [replace(answer, nodes=answer.nodes[:top_k]) for answer in found]

    def _reordered(self, found: Found, scores: Vector) -> Found:
        """Give what was found in the reranker's order, cut to what was asked."""
        options = self.options
        nodes = reranked(found.nodes, scores)[: options.similarity_top_k]
        if options.score_cutoff is not None:
            nodes = [node for node in nodes if node.score >= options.score_cutoff]
        return Found(nodes, f"{found.engine}+rerank")

    def _ranked(self, texts: Sequence[str], vectors: Vectors | None) -> list[Found]:
        """Search deeper and deeper until enough results are allowed, or there are no more."""
        options = self.options
        wanted = options.candidates * (MMR_PREFETCH if options.mode == "mmr" else 1)
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
            self.options.candidates,
            relevance_weight=self.options.mmr_threshold,
        )
        return Found([by_id[names[row]] for row in chosen], f"{found.engine}+mmr")


def _pairs(
    bundles: Sequence[QueryBundle], found: Sequence[Found]
) -> Iterator[tuple[str, list[str]]]:
    """Give each question with the texts that were found for it."""
    for bundle, answer in zip(bundles, found, strict=True):
        if not bundle.query_str.strip():
            message = (
                "A question without text cannot be reranked. Ask in words, or leave rerank out."
            )
            raise ConfigError(message)
        yield bundle.query_str, [node.text for node in answer.nodes]


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
