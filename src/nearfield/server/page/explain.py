"""Why a node is a result: what the model read of it, where it ends, and how it ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.fusion import RRF_CONSTANT
from nearfield.core.search import exact_scores
from nearfield.core.words import matching_spans
from nearfield.server.page.neighbours import around
from nearfield.server.page.reading import read
from nearfield.server.page.records import facts_of, file_of, sendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.schema import QueryBundle
    from nearfield.core.vectors import Vector
    from nearfield.server.page.marking import Marker
    from nearfield.server.page.reading import Span

RANK_DEPTH = 1000
SHOWN_CHARACTERS = 12_000


def explain(
    index: VectorStoreIndex,
    bundle: QueryBundle,
    vector: Vector,
    node_id: str,
    *,
    filters: MetadataFilters | None,
    marker: Marker,
) -> dict[str, Any] | None:
    """Explain a result.

    Args:
        index: The index.
        bundle: The question, with its vector.
        vector: ``(dim,)``, the same vector.
        node_id: The result.
        filters: What results had to satisfy.
        marker: Finds its best sentence.

    Returns:
        The JSON-able facts; all places in the text are code points of it. ``None`` when
        there is no such node.
    """
    stored = next(iter(index.store.nodes([node_id])), None)
    header = index.store.header
    if stored is None or header is None:
        return None
    node, own = stored
    model, question = index.embed_model, bundle.query_str
    asked, found = read(model, question, "query"), read(model, node.text, "document")
    beside = around(index.store, node)
    shown = node.text[:SHOWN_CHARACTERS]
    best = marker.best(vector, [node.text])[0]
    scores = exact_scores(own[None], vector, header.metric)
    return {
        "node_id": sendable(node.id),
        "file": file_of(node),
        "start": node.start,
        "end": node.end,
        "metadata": facts_of(node.metadata),
        "score": float(scores[0]),
        "metric": header.metric.value,
        "ranks": {
            "vector": _rank(index, bundle, node_id, "vector", filters),
            "text": _rank(index, bundle, node_id, "text", filters),
        },
        "rank_depth": RANK_DEPTH,
        "fusion_constant": RRF_CONSTANT,
        "prompt_query": sendable(asked.prompt),
        "prompt_document": sendable(found.prompt),
        "query_tokens": asked.tokens,
        "query_spans": asked.spans,
        "query_cut": asked.cut,
        "node_tokens": found.tokens,
        "max_tokens": found.max_tokens,
        "tokens_exact": found.exact,
        "cut": found.cut,
        "text": sendable(shown),
        "length": len(node.text),
        "best": next(iter(_clipped([best] if best else [])), None),
        "words": _clipped(matching_spans(shown, question)),
        "tokens": _clipped(found.spans),
        "before": sendable(beside.before),
        "after": sendable(beside.after),
        "shared_before": beside.shared_before,
        "shared_after": beside.shared_after,
        "number": beside.number,
        "of": beside.of,
    }


def _rank(
    index: VectorStoreIndex,
    bundle: QueryBundle,
    node_id: str,
    mode: str,
    filters: MetadataFilters | None,
) -> int | None:
    """Give a node's place in a ranking, from 1; ``None`` when it is not among the first 1,000."""
    if mode == "text" and not index.store.capabilities.text_search:
        return None
    retriever = index.as_retriever(RANK_DEPTH, mode=mode, filters=filters)
    ranking = (found.node.id for found in retriever.retrieve(bundle))
    return next((rank for rank, name in enumerate(ranking, 1) if name == node_id), None)


def _clipped(spans: Sequence[Span]) -> list[Span]:
    """Leave out what lies beyond the text that is shown."""
    return [(start, min(end, SHOWN_CHARACTERS)) for start, end in spans if start < SHOWN_CHARACTERS]
