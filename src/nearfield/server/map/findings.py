"""What a map calls out: texts that nearly repeat each other, and those that stand alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from nearfield.core.vectors import Vectors
    from nearfield.server.map.neighbours import Neighbours, Step

LIKENESS = 0.95
PAIRS_EXACT_UP_TO = 50_000
MOST_PAIRS = 500
MOST_OUTLIERS = 100
ROWS_AT_ONCE = 512
LEAST_FOR_OUTLIERS = 20
_FENCE = 1.5


class Pairs(NamedTuple):
    """Points that are nearly the same.

    Attributes:
        pairs: The most alike, best first: two point numbers, the lower first, and their cosine.
        total: How many pairs reach the threshold.
        exact: Whether all pairs were compared; else only those of near neighbours were.
    """

    pairs: list[tuple[int, int, float]]
    total: int
    exact: bool


def near_duplicates(
    vectors: Vectors,
    neighbours: Neighbours,
    *,
    step: Step,
    likeness: float = LIKENESS,
    exact_up_to: int = PAIRS_EXACT_UP_TO,
    limit: int = MOST_PAIRS,
) -> Pairs:
    """Find pairs of points that are nearly the same.

    Args:
        vectors: ``(n, dim)`` float32, of length 1 or zeros.
        neighbours: The nearest of each, looked at when there are too many pairs.
        step: Told how far it is.
        likeness: The least cosine of a pair.
        exact_up_to: Up to how many points all pairs are compared.
        limit: How many pairs are given.

    Returns:
        The pairs.
    """
    n = len(vectors)
    best = _Best(limit)
    if n > exact_up_to:
        heads = np.repeat(np.arange(n), neighbours.places.shape[1])
        tails, scores = neighbours.places.ravel(), neighbours.similarities.ravel()
        kept = scores >= likeness
        low, high = np.minimum(heads, tails)[kept], np.maximum(heads, tails)[kept]
        _, once = np.unique(low.astype(np.int64) * n + high, return_index=True)
        best.add(low[once], high[once], scores[kept][once])
        return best.pairs(exact=False)
    for start in range(0, n, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, n)
        scores = np.minimum(vectors[start:end] @ vectors[start:].T, 1)
        scores[:, : end - start][np.tril_indices(end - start)] = -np.inf  # each pair once
        total = int(np.count_nonzero(scores >= likeness))
        rows, columns = _highest(scores, min(total, limit))
        best.add(rows + start, columns + start, scores[rows, columns], total)
        step(end / n)
    return best.pairs(exact=True)


def _highest(scores: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """Give the rows and columns of the highest scores, of equal ones the first.

    All pairs of a block may be alike, and are too many to be listed.
    """
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    border = np.partition(scores, scores.size - count, axis=None)[scores.size - count]
    above = np.flatnonzero(scores > border)
    level = np.flatnonzero(scores == border)[: count - len(above)]
    return np.unravel_index(np.concatenate([above, level]), scores.shape)


class _Best:
    """The most alike of all pairs seen, and their number."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._low, self._high = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._scores = np.zeros(0, np.float32)

    def add(
        self, low: np.ndarray, high: np.ndarray, scores: np.ndarray, total: int | None = None
    ) -> None:
        """Take more pairs, of which there are so many."""
        self._total += len(scores) if total is None else total
        self._low = np.concatenate([self._low, low])
        self._high = np.concatenate([self._high, high])
        self._scores = np.concatenate([self._scores, np.minimum(scores, 1)])
        order = np.lexsort((self._high, self._low, -self._scores))[: self._limit]
        self._low, self._high = self._low[order], self._high[order]
        self._scores = self._scores[order]

    def pairs(self, *, exact: bool) -> Pairs:
        """Give what was found."""
        columns = (self._low.tolist(), self._high.tolist(), self._scores.tolist())
        return Pairs(list(zip(*columns, strict=True)), self._total, exact)


class Outliers(NamedTuple):
    """Points that stand alone.

    Attributes:
        points: The loneliest first: a point number, and its mean distance (1 - cosine) to
            its nearest points.
        total: How many there are.
        fence: The distance beyond which a point counts as one.
    """

    points: list[tuple[int, float]]
    total: int
    fence: float


def find_outliers(neighbours: Neighbours, *, limit: int = MOST_OUTLIERS) -> Outliers:
    """Find points that are far even from what is nearest to them.

    The measure is the mean distance to the nearest points (Angiulli & Pizzuti 2002), the
    border Tukey's fence: the upper quartile and one and a half times the quartiles'
    distance (Tukey 1977, *Exploratory Data Analysis*).

    Args:
        neighbours: The nearest of each point.
        limit: How many are given.

    Returns:
        The outliers; none where there are fewer than ``LEAST_FOR_OUTLIERS`` points.
    """
    if len(neighbours.places) < LEAST_FOR_OUTLIERS:
        return Outliers([], 0, np.inf)
    distances = np.maximum(1 - neighbours.similarities, 0).mean(axis=1, dtype=np.float64)
    low, high = np.quantile(distances, [0.25, 0.75])
    fence = float(high + _FENCE * (high - low))
    alone = np.flatnonzero(distances > fence)
    ranked = alone[np.argsort(-distances[alone], kind="stable")]
    points = [(int(place), float(distances[place])) for place in ranked[:limit]]
    return Outliers(points, len(alone), fence)
