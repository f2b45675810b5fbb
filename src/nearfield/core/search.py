"""Exact search: the best rows of a matrix for each query, as float64 would choose them.

A scan in float32 is fast but rounds. Its rounding error has a proven bound
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1:
a dot product of ``d`` terms, summed in any order, is off by at most
``d*u/(1 - d*u)`` times the product of the norms, ``u = 2**-24``), so every row
that could be among the best is known; those few are scored again in float64.
The result is that of a brute force in float64: the same rows, in the same
order, equal scores in the order of writing. A score depends on its two vectors
alone, so batches, stores and threads cannot change it.

Vectors that are asked often are scanned as bytes (:mod:`nearfield.core.codes`):
their rounding is coarser, its bound is known for each row, and the rest is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nearfield.core.codes import CodesOnDemand, ShortQueries
from nearfield.core.selection import may_be_best
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.codes import Codes, Doubts
    from nearfield.core.vectors import Vectors

ROWS_AT_ONCE = 1 << 16
"""Of one query; with more of them fewer, that their scores stay in a cache."""
LEAST_AT_ONCE = 1 << 14
QUERIES_AT_ONCE = 256
RESCORED_AT_ONCE = 1 << 12
GATHER_BELOW = 0.1
_UNIT_ROUNDOFF = 2.0**-24
# Rows and queries of other norms could overflow or underflow a float32 scan:
# they skip it and are scored in float64.
_SAFE_NORMS = (1e-15, 1e15)

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Hits(NamedTuple):
    """The best rows of one query.

    Attributes:
        rows: Row numbers, ``(k,)`` int64, best first.
        scores: Their scores, ``(k,)`` float64.
    """

    rows: Rows
    scores: NDArray[np.float64]


class Lengths(NamedTuple):
    """The lengths of a segment's rows, and what a scan needs to know of them.

    Attributes:
        norms: ``(n,)`` float32, from :func:`row_norms`.
        largest: The largest of those a float32 scan can bear.
        doubtful: Which rows it cannot bear, ``(n,)`` bool; ``None`` when it bears all.
    """

    norms: NDArray[np.float32]
    largest: float
    doubtful: Mask | None

    @classmethod
    def of(cls, norms: NDArray[np.float32]) -> Lengths:
        """Look through the norms once, for all queries to come."""
        safe = _is_safe(norms)
        if safe.all():
            return cls(norms, float(norms.max(initial=0.0)), None)
        return cls(norms, float(norms[safe].max(initial=0.0)), ~safe)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a store's vectors, ready to be scanned.

    Attributes:
        vectors: ``(n, dim)`` float32.
        lengths: Of its rows.
        rows: The row numbers, ``(n,)`` int64: the order of writing, unique among segments.
        live: Which rows count, ``(n,)`` bool; all when ``None``.
        codes: The vectors as bytes, made when they are asked often; never when ``None``.
    """

    vectors: Vectors
    lengths: Lengths
    rows: Rows
    live: Mask | None = None
    codes: CodesOnDemand | None = None


def row_norms(vectors: Vectors) -> NDArray[np.float32]:
    """Give the length of every row, good enough to bound the error of a scan.

    Args:
        vectors: ``(n, dim)`` float32.

    Returns:
        ``(n,)`` float32; infinite where the squares overflow.
    """
    with np.errstate(over="ignore"):
        norms: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return norms


def search(
    segments: Sequence[Segment], queries: Vectors, k: int, metric: SimilarityMode
) -> list[Hits]:
    """Find the best rows of each query, exactly.

    Args:
        segments: The vectors to look through.
        queries: ``(q, dim)`` float32, finite.
        k: How many rows per query, at least 1.
        metric: How to compare.

    Returns:
        One result per query, in order; fewer than ``k`` rows where there are fewer.
    """
    results: list[Hits] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        results += _search_some(segments, queries[start : start + QUERIES_AT_ONCE], k, metric)
    return results


def exact_scores(vectors: Vectors, query: Vectors, metric: SimilarityMode) -> NDArray[np.float64]:
    """Score rows against one query in float64: the definition of a score.

    Args:
        vectors: ``(n, dim)`` float32.
        query: ``(dim,)`` float32.
        metric: Cosine (0 for a vector of zeros), dot product, or minus the Euclidean distance.

    Returns:
        ``(n,)`` float64.
    """
    a, q = vectors.astype(np.float64), query.astype(np.float64)
    scores: NDArray[np.float64]
    # Sums along a row of their own, not matrix products: how a product rounds
    # depends on the rows beside it.
    if metric is SimilarityMode.EUCLIDEAN:
        scores = -np.sqrt(np.square(a - q).sum(axis=1))
        return scores
    scores = (a * q).sum(axis=1)
    if metric is SimilarityMode.COSINE:
        lengths = np.sqrt(np.square(a).sum(axis=1)) * np.sqrt(np.square(q).sum())
        np.divide(scores, lengths, out=scores, where=lengths > 0)
    return scores


class _Candidates(NamedTuple):
    """Rows of one segment that may be among the best of a query.

    Attributes:
        segment: The segment.
        places: Where they stand in it.
        scores: As the scan scored them, float32.
        errors: How far each score may be off, float32.
    """

    segment: Segment
    places: NDArray[np.intp]
    scores: NDArray[np.float32]
    errors: NDArray[np.float32]


class _Task(NamedTuple):
    """Queries being answered.

    Attributes:
        queries: ``(q, dim)`` as given.
        scanned: ``(q, dim)`` as the scan takes them: scaled, and zeros where it cannot.
        short: The same with fewer bits, where there are codes.
        errors: How far each query's scores of a scan of floats may be off, ``(q,)``.
        k: How many rows per query.
        metric: How to compare.
    """

    queries: Vectors
    scanned: Vectors
    short: ShortQueries | None
    errors: NDArray[np.float64]
    k: int
    metric: SimilarityMode


def _search_some(
    segments: Sequence[Segment], queries: Vectors, k: int, metric: SimilarityMode
) -> list[Hits]:
    norms = np.sqrt(np.square(queries.astype(np.float64)).sum(axis=1))
    safe = _is_safe(norms)
    scale = np.where(safe, norms, 1) if metric is SimilarityMode.COSINE else np.ones_like(norms)
    scanned = (queries * safe[:, None] / scale[:, None]).astype(np.float32)
    largest = max((segment.lengths.largest for segment in segments), default=0.0)
    errors = _error_bound(queries.shape[1], norms, largest, metric)
    errors[~safe] = np.inf
    codes = [each.codes.of(each.vectors, len(queries)) if each.codes else None for each in segments]
    short = ShortQueries.of(scanned) if any(codes) else None
    task = _Task(queries, scanned, short, errors, k, metric)
    found: list[list[_Candidates]] = [[] for _ in queries]
    step = max(LEAST_AT_ONCE, ROWS_AT_ONCE // len(queries))
    for segment, its in zip(segments, codes, strict=True):
        for start in range(0, len(segment.rows), step):
            part = slice(start, start + step)
            for candidates, more in zip(found, _scan(segment, its, part, task), strict=True):
                candidates.append(more)
    return [_best(candidates, task, number) for number, candidates in enumerate(found)]


def _scan(segment: Segment, codes: Codes | None, part: slice, task: _Task) -> Iterator[_Candidates]:
    """Score a stretch of a segment, and give the candidates of each query."""
    norms = segment.lengths.norms[part]
    live = None if segment.live is None else segment.live[part]
    doubtful = None if segment.lengths.doubtful is None else segment.lengths.doubtful[part]
    places = np.arange(part.start, part.start + len(norms))
    chosen: slice | NDArray[np.intp] = part
    if live is not None and np.count_nonzero(live) < GATHER_BELOW * len(live):
        some = np.flatnonzero(live)
        chosen, norms, places, live = part.start + some, norms[some], places[some], None
        doubtful = None if doubtful is None else doubtful[some]
    doubts: Doubts | None = None
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        factors = np.float32(1) / norms if task.metric is SimilarityMode.COSINE else 1.0
        if codes is None or task.short is None:
            scores = _products(segment.vectors[chosen], task.scanned)
            scores *= factors
        else:
            coded = codes.part(chosen)
            scores = coded.scores(task.short, factors)
            doubts = coded.doubts(task.short, norms).scaled(factors)
        if task.metric is SimilarityMode.EUCLIDEAN:  # by ab - b²/2, which orders alike
            scores -= np.square(norms) / 2
    if doubtful is not None:
        scores[:, doubtful] = np.inf
    if live is not None:
        scores[:, ~live] = -np.inf
    sure = None if doubtful is None else ~doubtful
    coarse = task.errors if doubts is None else task.errors + doubts.largest(sure)
    for query, its in enumerate(scores):
        kept = may_be_best(its, np.float32(coarse[query]), task.k)
        errors = np.full(len(kept), task.errors[query], np.float32)
        if doubts is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                errors += np.where(its[kept] == np.inf, 0, doubts.of(query, kept))
        yield _Candidates(segment, places[kept], its[kept], errors)


def _products(vectors: Vectors, queries: Vectors) -> NDArray[np.float32]:
    """Multiply each query with each row, ``(q, n)``."""
    one = len(queries) == 1  # matrix times vector is faster than times a thin matrix
    products: Any = (vectors @ queries[0])[None] if one else queries @ vectors.T
    return cast("NDArray[np.float32]", products)


def _best(candidates: list[_Candidates], task: _Task, number: int) -> Hits:
    """Score the candidates of one query again in float64, and keep the best."""
    rows, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    if candidates:
        together = np.concatenate([each.scores for each in candidates])
        errors = np.concatenate([each.errors for each in candidates])
        kept = np.zeros(len(together), np.bool_)
        kept[may_be_best(together, errors, task.k)] = True
        ends = np.cumsum([len(each.places) for each in candidates])[:-1]
        for (segment, places, *_), keep in zip(candidates, np.split(kept, ends), strict=True):
            chosen = places[keep]
            for start in range(0, len(chosen), RESCORED_AT_ONCE):
                some = chosen[start : start + RESCORED_AT_ONCE]
                rows.append(segment.rows[some])
                scores.append(
                    exact_scores(segment.vectors[some], task.queries[number], task.metric)
                )
    all_rows, all_scores = np.concatenate(rows), np.concatenate(scores)
    order = np.lexsort((all_rows, -all_scores))[: task.k]
    return Hits(all_rows[order], all_scores[order])


def _is_safe(norms: NDArray[np.floating[Any]]) -> Mask:
    return (norms > _SAFE_NORMS[0]) & (norms < _SAFE_NORMS[1])


def _error_bound(
    dim: int, norms: NDArray[np.float64], largest: float, metric: SimilarityMode
) -> NDArray[np.float64]:
    """Bound how far a float32 score of a scan can be from the exact one, per query."""
    # Norms, their inverse and the scaled query are rounded too: the row norm
    # like a dot product of its own, the others by a few units.
    rounded = (2 * dim + 8) * _UNIT_ROUNDOFF
    gamma = 2 * rounded / (1 - rounded)  # twice: scores and bounds are added up in float32, too
    if metric is SimilarityMode.COSINE:
        return np.full(len(norms), gamma)
    if metric is SimilarityMode.DOT_PRODUCT:
        return gamma * norms * largest
    return gamma * np.square(norms + largest) / 2
