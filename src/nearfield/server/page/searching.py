"""A question asked in several ways at once, and the time each part of it took."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from nearfield.core.fusion import reciprocal_rank_fusion
from nearfield.core.retriever import HYBRID_DEPTH
from nearfield.server.page.reading import prompt_of
from nearfield.server.page.records import as_result, passage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.rerank import Reranker
    from nearfield.core.schema import NodeWithScore, QueryBundle
    from nearfield.core.vectors import Vector
    from nearfield.server.page.marking import Marker

    Embed = Callable[[str], Awaitable[Vector]]


class Clock:
    """Milliseconds by name, added up."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (perf_counter() - begun) * 1000


async def embed_question(
    index: VectorStoreIndex, question: str, embed: Embed, clock: Clock
) -> Vector:
    """Embed a question, with the time of its tokenising apart.

    Args:
        index: The index it is asked of.
        question: The question.
        embed: Gives its vector.
        clock: Told ``tokenize`` and ``embed``. The question is tokenised once more to
            time that; what remains of the whole is ``embed``.

    Returns:
        ``(dim,)`` float32.
    """
    model = index.embed_model
    with clock.timing("tokenize"):
        if model.measure is not None:
            model.measure.offsets([prompt_of(model, "query") + question])
    with clock.timing("embed"):
        vector = await embed(question)
    clock.ms["embed"] = max(clock.ms["embed"] - clock.ms["tokenize"], 0.0)
    return vector


def search_by(
    index: VectorStoreIndex,
    bundle: QueryBundle,
    modes: Sequence[str],
    top_k: int,
    filters: MetadataFilters | None,
) -> dict[str, list[NodeWithScore]]:
    """Search in several ways.

    Args:
        index: The index.
        bundle: The question and its vector.
        modes: The ways, each once in the answer.
        top_k: How many nodes by each.
        filters: Conditions on their metadata.

    Returns:
        The nodes found by each way, best first: those that a retriever of that mode finds.
    """
    both = "hybrid" in modes
    depth = max(top_k, HYBRID_DEPTH) if both else top_k
    found = {}
    for mode in ("vector", "text"):
        if both or mode in modes:
            retriever = index.as_retriever(depth, mode=mode, filters=filters)
            found[mode] = retriever.search([bundle])[0].nodes
    if both:  # fused from the two that are there, not asked for anew
        found["hybrid"] = reciprocal_rank_fusion([found["vector"], found["text"]])
    return {mode: found[mode][:top_k] for mode in modes}


def reranked(
    found: dict[str, list[NodeWithScore]], question: str, reranker: Reranker, top_k: int
) -> dict[str, list[NodeWithScore]]:
    """Order what was found by how well each text answers the question.

    Args:
        found: By way of searching.
        question: The question.
        reranker: What scores the texts, each once.
        top_k: How many of each way are kept.

    Returns:
        The nodes with the reranker's scores, best first; equal ones as they were.
    """
    texts = list({each.node.text: None for nodes in found.values() for each in nodes})
    scores = dict(zip(texts, map(float, reranker.rerank(question, texts)), strict=True))
    return {
        mode: sorted(
            (replace(each, score=scores[each.node.text]) for each in nodes),
            key=lambda each: -each.score,
        )[:top_k]
        for mode, nodes in found.items()
    }


def as_results(found: dict[str, list[NodeWithScore]]) -> dict[str, list[dict[str, Any]]]:
    """Give what was found as JSON-able facts.

    Args:
        found: By way of searching.
    """
    return {
        mode: [as_result(each, rank) for rank, each in enumerate(nodes, 1)]
        for mode, nodes in found.items()
    }


def marks(
    index: VectorStoreIndex, node_ids: Sequence[str], question: Vector, marker: Marker
) -> dict[str, dict[str, Any]]:
    """Give what is shown of nodes once their best sentences are known.

    Args:
        index: The index.
        node_ids: The nodes.
        question: ``(dim,)``, the question's vector.
        marker: Finds the sentences.

    Returns:
        By id, without those that are gone.
    """
    texts = {node.id: node.text for node, _ in index.store.nodes(node_ids)}
    best = marker.best(question, list(texts.values()))
    return {
        node_id: passage(text, span)
        for (node_id, text), span in zip(texts.items(), best, strict=True)
    }
