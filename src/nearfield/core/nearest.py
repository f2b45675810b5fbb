"""The nearest rows of an engine that compares in float32: it proposes, float64 decides.

The rounding error of a comparison in float32 has a proven bound (see
:mod:`nearfield.core.search`). More is fetched until no row that was not
fetched can be among the best; what was fetched is scored in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.search import exact_scores
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vector, Vectors

SPARE = 32
GROWTH = 4
_UNIT_ROUNDOFF = 2.0**-24
_SAFE_NORMS = (1e-15, 1e15)
"""Vectors of other lengths could overflow float32: they are scored in float64 only."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """One query, and how its candidates are had.

    Attributes:
        query: ``(dim,)`` float32.
        k: How many rows.
        metric: How to compare.
        longest: No safe vector is longer.
        exact: Whether the engine compares with every row; else its best are taken as they come.
        nearest: Gives so many of the best safe rows with their float32 scores, best first.
        unsafe: Gives the rows the engine cannot compare.
        everything: Gives all rows.
        allowed: Whether a row counts for this query.
        vector: Gives a row's vector.
        number: Gives a row's place in the order of writing.
    """

    query: Vector
    k: int
    metric: SimilarityMode
    longest: float
    exact: bool
    nearest: Callable[[int], list[tuple[Any, float]]]
    unsafe: Callable[[], list[Any]]
    everything: Callable[[], list[Any]]
    allowed: Callable[[Any], bool]
    vector: Callable[[Any], Vector]
    number: Callable[[Any], int]


def find_nearest(ask: Candidates) -> list[tuple[Any, float]]:
    """Find the best rows, as a float64 brute force would where the engine is exact.

    Args:
        ask: The query and its candidates.

    Returns:
        Rows with their scores, best first; equal scores in the order of writing.
    """
    if not safe_rows(ask.query[None])[0]:
        return _best(ask, [row for row in ask.everything() if ask.allowed(row)])
    others = [row for row in ask.unsafe() if ask.allowed(row)]
    limit = ask.k + SPARE
    while True:
        found = ask.nearest(limit)
        best = _best(ask, [*others, *(row for row, _ in found if ask.allowed(row))])
        if len(found) < limit:
            return best
        if len(best) == ask.k and (not ask.exact or best[-1][1] > found[-1][1] + error_bound(ask)):
            return best
        limit *= GROWTH


def vector_lengths(vectors: Vectors) -> NDArray[np.float64]:
    """Give the length of every row, ``(n,)`` float64."""
    norms: NDArray[np.float64] = np.sqrt(np.square(vectors.astype(np.float64)).sum(axis=1))
    return norms


def safe_rows(vectors: Vectors) -> NDArray[np.bool_]:
    """Say of which rows float32 can bear the squares, ``(n,)`` bool."""
    norms = vector_lengths(vectors)
    return (norms > _SAFE_NORMS[0]) & (norms < _SAFE_NORMS[1])


def error_bound(ask: Candidates) -> float:
    """Bound how far a score in float32 can be from the exact one."""
    rounded = (2 * len(ask.query) + 8) * _UNIT_ROUNDOFF
    gamma = rounded / (1 - rounded)
    if ask.metric is SimilarityMode.COSINE:
        return gamma
    length = float(vector_lengths(ask.query[None])[0])
    if ask.metric is SimilarityMode.DOT_PRODUCT:
        return gamma * length * ask.longest
    # Engines may square: the root of a rounded difference of squares.
    return float(np.sqrt(gamma)) * (length + ask.longest)


def _best(ask: Candidates, rows: Sequence[Any]) -> list[tuple[Any, float]]:
    if not rows:
        return []
    matrix = np.stack([ask.vector(row) for row in rows])
    scores = exact_scores(matrix, ask.query, ask.metric)
    numbers = np.array([ask.number(row) for row in rows])
    order = np.lexsort((numbers, -scores))[: ask.k]
    return [(rows[at], float(scores[at])) for at in order]
