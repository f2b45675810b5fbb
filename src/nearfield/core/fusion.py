"""Rankings made from rankings: several fused into one, one made diverse. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.core.schema import NodeWithScore
from nearfield.core.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from nearfield.core.schema import Node
    from nearfield.core.vectors import Vector, Vectors
else:
    from nearfield.core.arrays import np

RRF_CONSTANT = 60
"""The constant of the paper; it damps what the very first ranks weigh."""


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[NodeWithScore]], *, constant: int = RRF_CONSTANT
) -> list[NodeWithScore]:
    """Fuse rankings by rank alone, so that their scores need not be comparable.

    A node's score is the sum over the rankings that have it of
    ``1 / (constant + rank)``, ranks from 1: Cormack, Clarke and Büttcher,
    "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods", SIGIR 2009.

    Args:
        rankings: Any number of rankings, each best first, a node at most once in each.
        constant: The constant of the formula.

    Returns:
        Every node of any ranking, best first; equal scores in order of first appearance.
    """
    nodes: dict[str, Node] = {}
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, found in enumerate(ranking, 1):
            nodes.setdefault(found.node.id, found.node)
            scores[found.node.id] = scores.get(found.node.id, 0.0) + 1 / (constant + rank)
    best_first = sorted(scores, key=lambda name: -scores[name])
    return [NodeWithScore(nodes[name], scores[name]) for name in best_first]


def maximal_marginal_relevance(
    query: Vector, vectors: Vectors, count: int, *, relevance_weight: float
) -> list[int]:
    """Choose vectors that are near the query and far from each other.

    One by one, the next is the one with the greatest
    ``w · cos(vector, query) − (1 − w) · max cos(vector, chosen)``: Carbonell and
    Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries", SIGIR 1998.

    Args:
        query: ``(dim,)`` float32.
        vectors: ``(n, dim)`` float32, the candidates.
        count: How many to choose.
        relevance_weight: ``w``, 0 (diversity alone) to 1 (nearness alone).

    Returns:
        Row numbers in order of choice, ``min(count, n)``; of equals the first.
    """
    unit = normalize(vectors)
    relevance = unit @ normalize(query[None])[0]
    likeness = np.zeros(len(unit), np.float32)  # to the nearest of those chosen
    free = np.ones(len(unit), bool)
    chosen: list[int] = []
    while len(chosen) < min(count, len(unit)):
        gain = relevance_weight * relevance - (1 - relevance_weight) * likeness
        best = int(np.argmax(np.where(free, gain, -np.inf)))
        near_best = unit @ unit[best]
        likeness = np.maximum(likeness, near_best) if chosen else near_best
        free[best] = False
        chosen.append(best)
    return chosen
