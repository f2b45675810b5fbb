"""Which points are nearest to which, by cosine: exactly, or among those of near landmarks.

Up to ``EXACT_UP_TO`` points all pairs are compared. Beyond that the points are
gathered around landmarks (spherical k-means: Dhillon & Modha 2001) and each is
compared with those of the nearest landmarks only, as an inverted file does
(Jégou, Douze & Schmid 2011). What that misses is measured, not guessed: see
:attr:`Neighbours.recall`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nearfield.core.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors

    Step = Callable[[float], None]
    """Told which share of a job is done, 0 to 1; it raises to stop the job."""

EXACT_UP_TO = 20_000
POINTS_PER_LANDMARK = 256
LANDMARKS_SEARCHED = 16
ROUNDS = 4
CHECKED = 256
SCORES_AT_ONCE = 1 << 23


class Neighbours(NamedTuple):
    """The nearest points of each point, nearest first, itself left out.

    Attributes:
        places: Point numbers, ``(n, k)`` int32.
        similarities: Their cosines, ``(n, k)`` float32.
        recall: Which share of the true neighbours was found: 1 where all pairs were
            compared, else measured on ``CHECKED`` points.
    """

    places: NDArray[np.int32]
    similarities: NDArray[np.float32]
    recall: float


def find_neighbours(
    vectors: Vectors, k: int, *, step: Step, exact_up_to: int = EXACT_UP_TO, seed: int = 0
) -> Neighbours:
    """Find the nearest points of each point.

    Args:
        vectors: ``(n, dim)`` float32, of length 1 or zeros.
        k: How many, at most; ``n - 1`` where there are no more.
        step: Told how far it is.
        exact_up_to: Up to how many points all pairs are compared.
        seed: Of the landmarks and of the points that are checked.

    Returns:
        The neighbours.
    """
    n = len(vectors)
    k = max(min(k, n - 1), 0)
    found = Neighbours(np.zeros((n, k), np.int32), np.zeros((n, k), np.float32), 1.0)
    if not k:
        return found
    if n <= exact_up_to:
        everyone = np.arange(n, dtype=np.int32)
        _compare(vectors, everyone, everyone, found, step=step)
        return found
    random = np.random.default_rng(seed)
    members, near = _gather(vectors, random, lambda share: step(share / 4))
    for number, (askers, others) in enumerate(zip(members, near, strict=True)):
        among = np.sort(np.concatenate([members[other] for other in others]))
        if len(among) <= k:  # a lonely landmark: everybody is looked at
            among = np.arange(n, dtype=np.int32)
        _compare(vectors, askers, among, found)
        step(0.25 + 0.75 * (number + 1) / len(members))
    return found._replace(recall=_recall(vectors, found, random))


def _compare(
    vectors: Vectors,
    askers: NDArray[np.int32],
    among: NDArray[np.int32],
    found: Neighbours,
    *,
    step: Step = lambda _: None,
) -> None:
    """Write the nearest of some points among others into ``found``."""
    k = found.places.shape[1]
    everyone = len(among) == len(vectors)
    others = vectors if everyone else vectors[among]
    rows = max(SCORES_AT_ONCE // len(among), 1)
    for start in range(0, len(askers), rows):
        some = askers[start : start + rows]
        scores = vectors[some] @ others.T
        scores[np.arange(len(some)), np.searchsorted(among, some)] = -np.inf  # itself
        borders = np.partition(scores, len(among) - k, axis=1)[:, len(among) - k]
        for asker, row, border in zip(some, scores, borders, strict=True):
            best = _best(row, border, k)
            found.places[asker] = among[best]
            found.similarities[asker] = row[best]
        step((start + len(some)) / len(askers))


def _best(row: NDArray[np.float32], border: np.float32, k: int) -> NDArray[np.intp]:
    """Give the k best of a row, equal ones in order, when the k-th score is known."""
    best = np.flatnonzero(row >= border)
    if len(best) > k:  # more of them reach the border than are wanted
        above = row[best] > border
        best = np.concatenate([best[above], best[~above][: k - np.count_nonzero(above)]])
    return best[np.argsort(-row[best], kind="stable")]


def _gather(
    vectors: Vectors, random: np.random.Generator, step: Step
) -> tuple[list[NDArray[np.int32]], NDArray[np.intp]]:
    """Give the points of each landmark, and the landmarks nearest to each, itself first."""
    n = len(vectors)
    count = max(n // POINTS_PER_LANDMARK, 1)
    landmarks = vectors[np.sort(random.choice(n, count, replace=False))]
    rows = max(SCORES_AT_ONCE // count, 1)
    owners = np.zeros(n, np.int64)
    for turn in range(ROUNDS):
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            owners[part] = (vectors[part] @ landmarks.T).argmax(axis=1)
        order = np.argsort(owners, kind="stable")
        kept, starts = np.unique(owners[order], return_index=True)
        landmarks = landmarks[kept]
        if turn < ROUNDS - 1:
            landmarks = normalize(np.add.reduceat(vectors[order], starts, axis=0))
        step((turn + 1) / ROUNDS)
    members = [part.astype(np.int32) for part in np.split(order, starts[1:])]
    likeness = landmarks @ landmarks.T
    np.fill_diagonal(likeness, np.inf)
    near = np.argsort(-likeness, axis=1, kind="stable")[:, :LANDMARKS_SEARCHED]
    return members, near


def _recall(vectors: Vectors, found: Neighbours, random: np.random.Generator) -> float:
    """Compare the neighbours of some points with the true ones."""
    n, k = found.places.shape
    checked = np.sort(random.choice(n, min(CHECKED, n), replace=False)).astype(np.int32)
    true = Neighbours(np.zeros((n, k), np.int32), np.zeros((n, k), np.float32), 1.0)
    _compare(vectors, checked, np.arange(n, dtype=np.int32), true)
    # By similarity, not by number: among equals any is as near as another.
    reached = found.similarities[checked] >= true.similarities[checked][:, -1:] - 1e-6
    return float(reached.mean())
