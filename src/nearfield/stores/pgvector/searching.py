"""The nearest vectors, exactly: PostgreSQL narrows them down, float64 decides.

pgvector computes a distance in float32. Its rounding error has a proven bound (see
:mod:`nearfield.core.search`), so every row that could be among the best is
fetched, and those few are scored again in float64. The result is that of a brute force.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nearfield.core.nearest import safe_rows, vector_lengths
from nearfield.core.search import exact_scores
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nearfield.core.vectors import Vector
    from nearfield.stores.pgvector.conditions import Conditions

OPERATORS = {
    SimilarityMode.COSINE: "<=>",
    SimilarityMode.DOT_PRODUCT: "<#>",
    SimilarityMode.EUCLIDEAN: "<->",
}
SPARE = 32
ROWS_AT_ONCE = 1024
_UNIT_ROUNDOFF = 2.0**-24


class Question(NamedTuple):
    """One query within one version of the index.

    Attributes:
        connection: A connection within a transaction.
        vector: ``(dim,)`` float32.
        k: How many rows.
        metric: How to compare.
        longest: No safe vector of the index is longer.
        conditions: On the nodes' facts.
    """

    connection: Any
    vector: Vector
    k: int
    metric: SimilarityMode
    longest: float
    conditions: Conditions | None

    def where(self, condition: str) -> str:
        """Give a WHERE clause of a condition of ours and those of the user."""
        return f"WHERE {condition}" + (f" AND {self.conditions.sql}" if self.conditions else "")

    def values(self, **own: Any) -> dict[str, Any]:
        """Give all that is bound: the vector, what is named here, what the filters bind."""
        return {"query": self.vector, **own, **(self.conditions.values if self.conditions else {})}


class Best:
    """The best rows seen so far, by score, then by the order of writing."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._rows = np.zeros(0, np.int64)
        self._scores = np.zeros(0)

    def take(self, found: Iterable[tuple[int, Any]]) -> None:
        """Score rows with their vectors, some at a time, and keep the best."""
        some: list[tuple[int, Any]] = []
        for pair in found:
            some.append(pair)
            if len(some) == ROWS_AT_ONCE:
                self._score(some)
                some = []
        if some:
            self._score(some)

    def hits(self) -> list[tuple[int, float]]:
        """Give the best rows and their scores, best first."""
        return list(zip(self._rows.tolist(), self._scores.tolist(), strict=True))

    def _score(self, some: list[tuple[int, Any]]) -> None:
        ask = self._question
        matrix = np.stack([vector.to_numpy() for _, vector in some])
        rows = np.concatenate([self._rows, np.array([row for row, _ in some], np.int64)])
        scores = np.concatenate([self._scores, exact_scores(matrix, ask.vector, ask.metric)])
        rows, first = np.unique(rows, return_index=True)
        scores = scores[first]
        order = np.lexsort((rows, -scores))[: ask.k]
        self._rows, self._scores = rows[order], scores[order]


def find_exactly(ask: Question) -> list[tuple[int, float]]:
    """Find the best rows as a float64 brute force would, best first."""
    best = Best(ask)
    if not safe_rows(ask.vector[None])[0]:
        best.take(_read(ask, ask.where("TRUE")))
        return best.hits()
    take_unsafe(ask, best)
    # The sum keeps an approximate index from serving the order.
    distance = f"(embedding {OPERATORS[ask.metric]} %(query)b) + 0"
    limit = ask.k + SPARE
    found = ask.connection.execute(
        f"SELECT row, embedding, {distance} AS distance FROM nodes {ask.where('safe')} "  # noqa: S608
        "ORDER BY distance LIMIT %(limit)s",
        ask.values(limit=limit),
        binary=True,
    ).fetchall()
    best.take((row, vector) for row, vector, _ in found)
    if len(found) == limit:
        border = found[ask.k - 1][2] + 2 * _error_bound(ask)
        if found[-1][2] <= border:  # more of them may be among the best than were fetched
            clause = ask.where(f"safe AND {distance} <= %(border)s::float8")
            best.take(_read(ask, clause, border=border))
    return best.hits()


def take_unsafe(ask: Question, best: Best) -> None:
    """Take those rows whose distances float32 cannot tell."""
    best.take(_read(ask, ask.where("NOT safe")))


def _read(ask: Question, clause: str, **own: Any) -> Iterable[tuple[int, Any]]:
    with ask.connection.cursor("candidates") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        values = ask.values(**own)
        if "%(query)" not in clause:
            del values["query"]
        cursor.execute(f"SELECT row, embedding FROM nodes {clause}", values, binary=True)  # noqa: S608
        yield from cursor


def _error_bound(ask: Question) -> float:
    """Bound how far a distance in float32 can be from the exact one."""
    # Three sums of the vector's length, their root and quotient: as in core.search.
    rounded = (2 * len(ask.vector) + 8) * _UNIT_ROUNDOFF
    gamma = rounded / (1 - rounded)
    length = float(vector_lengths(ask.vector[None])[0])
    if ask.metric is SimilarityMode.COSINE:
        return gamma
    if ask.metric is SimilarityMode.DOT_PRODUCT:
        return gamma * length * ask.longest
    return gamma * math.fsum((length, ask.longest))
