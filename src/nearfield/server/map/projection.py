"""Principal components of vectors that are read once, in a stream.

Only the mean and the covariance are kept, ``dim`` by ``dim`` numbers, however many
vectors there are. The axes are those of a singular value decomposition of the
centred matrix (Pearson 1901; Jolliffe, *Principal Component Analysis*, 2nd ed.,
section 1.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors

ROWS_AT_ONCE = 4096


class Axes(NamedTuple):
    """A flat view of a space.

    Attributes:
        center: The mean of the vectors, ``(dim,)`` float64.
        directions: ``(2, dim)`` float64, of length 1, the wider first. The number of
            largest size in each is positive, so that the same vectors give the same picture.
        explained: Which share of the variance each shows, ``(2,)``, 0 to 1.
    """

    center: NDArray[np.float64]
    directions: NDArray[np.float64]
    explained: NDArray[np.float64]


class Moments:
    """Mean and covariance of a stream of vectors.

    Args:
        dim: Numbers per vector.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._origin: NDArray[np.float64] | None = None
        self._sum = np.zeros(dim)
        self._products = np.zeros((dim, dim))

    def add(self, vectors: Vectors) -> None:
        """Take more vectors.

        Args:
            vectors: ``(n, dim)`` float32; not kept.
        """
        if self._origin is None and len(vectors):
            # Sums of products lose what is small against the mean; near it they do not.
            self._origin = vectors.mean(axis=0, dtype=np.float64)
        origin = np.zeros(vectors.shape[1]) if self._origin is None else self._origin
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            some = vectors[start : start + ROWS_AT_ONCE] - origin
            self._sum += some.sum(axis=0)
            narrow = some.astype(np.float32)
            self._products += narrow.T @ narrow
            self.count += len(some)

    def axes(self) -> Axes:
        """Give the two directions in which the vectors differ most.

        Returns:
            The axes. Where the vectors lie on a line or a point, the directions that
            are missing are zeros.
        """
        dim = len(self._sum)
        directions, explained = np.zeros((2, dim)), np.zeros(2)
        if self._origin is None:
            return Axes(np.zeros(dim), directions, explained)
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        values, columns = np.linalg.eigh(covariance)
        total = float(np.maximum(values, 0).sum())
        for place in range(min(2, dim)):
            share = float(values[-1 - place]) / total if total > 0 else 0.0
            if share > dim * np.finfo(np.float32).eps:
                direction = columns[:, -1 - place]
                directions[place] = direction * np.sign(direction[np.argmax(np.abs(direction))])
                explained[place] = share
        return Axes(self._origin + mean, directions, explained)


def project(vectors: Vectors, axes: Axes) -> NDArray[np.float32]:
    """Give the place of every vector on a flat view.

    Args:
        vectors: ``(n, dim)`` float32.
        axes: The view.

    Returns:
        ``(n, 2)`` float32.
    """
    places = np.empty((len(vectors), 2), np.float32)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        places[part] = (vectors[part] - axes.center) @ axes.directions.T
    return places


def align(places: NDArray[np.float32], towards: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn and mirror a picture so that its points move least on the way from another.

    The orthogonal Procrustes problem (Schönemann 1966); sizes are left as they are.

    Args:
        places: ``(n, 2)``, centred or not.
        towards: ``(n, 2)``, the same points in the other picture.

    Returns:
        ``(n, 2)`` float32, centred.
    """
    centred = places - places.mean(axis=0, dtype=np.float64)
    left, _, right = np.linalg.svd(centred.T @ (towards - towards.mean(axis=0, dtype=np.float64)))
    turned: NDArray[np.float32] = (centred @ (left @ right)).astype(np.float32)
    return turned
