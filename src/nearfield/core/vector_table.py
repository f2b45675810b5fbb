"""Vectors in memory that grow and shrink while others search them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from nearfield.core.codes import CodesOnDemand
from nearfield.core.search import Lengths, Segment, row_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.search import Mask
    from nearfield.core.vectors import Vectors

SMALLEST_CAPACITY = 64
_Array = TypeVar("_Array", bound=NDArray[Any])


class VectorTable:
    """A matrix that grows at its end, with rows that can be struck out.

    Not safe to change from several threads; but a :meth:`segment`, once
    given, never changes, so it may be searched while the table is written.
    """

    def __init__(self) -> None:
        self._vectors: Vectors = np.zeros((0, 0), np.float32)
        self._norms = np.zeros(0, np.float32)
        self._live: Mask = np.zeros(0, np.bool_)
        self._used = 0
        self._segment: Segment | None = None

    def __len__(self) -> int:
        """Give the number of rows, those struck out included."""
        return self._used

    def append(self, vectors: Vectors) -> None:
        """Add rows at the end.

        Args:
            vectors: ``(n, dim)`` float32, finite.
        """
        start, end = self._used, self._used + len(vectors)
        if end > len(self._vectors):
            # Doubling keeps the cost of a row constant, whatever the number of calls.
            capacity = max(end, SMALLEST_CAPACITY, 2 * len(self._vectors))
            self._vectors = _grown(self._vectors, (capacity, vectors.shape[1]), start)
            self._norms = _grown(self._norms, (capacity,), start)
            self._live = _grown(self._live, (capacity,), start)
        self._vectors[start:end] = vectors
        self._norms[start:end] = row_norms(vectors)
        self._live[start:end] = True
        self._used = end
        self._segment = None

    def strike(self, rows: Sequence[int]) -> None:
        """Take rows out of all searches to come; their numbers stay taken.

        Args:
            rows: Row numbers.
        """
        self._live = self._live.copy()  # a search may be reading the old one
        self._live[rows] = False
        self._segment = None

    def compact(self) -> NDArray[np.intp]:
        """Forget the rows struck out; the others move up, in order.

        Returns:
            The old numbers of the rows that stayed, in their new order.
        """
        kept = np.flatnonzero(self._live[: self._used])
        self._vectors, self._norms = self._vectors[kept], self._norms[kept]
        self._live = np.ones(len(kept), np.bool_)
        self._used = len(kept)
        self._segment = None
        return kept

    def segment(self) -> Segment:
        """Give the table as it is now, ready to be scanned."""
        if self._segment is None:
            live = self._live[: self._used]
            self._segment = Segment(
                self._vectors[: self._used],
                Lengths.of(self._norms[: self._used]),
                np.arange(self._used, dtype=np.int64),
                None if live.all() else live,
                CodesOnDemand(),
            )
        return self._segment


def _grown(array: _Array, shape: tuple[int, ...], used: int) -> _Array:
    """Give a larger array that begins with the used part of this one."""
    grown: Any = np.zeros(shape, array.dtype)
    if used:
        grown[:used] = array[:used]
    return cast("_Array", grown)
