"""Vectors rounded to a byte a number, for a first look at all of them.

A row ``v`` becomes whole numbers ``c`` from -127 to 127 and the worth ``u`` of their
unit; what rounding took away, ``v - u*c``, has a known length ``l``. A query ``q``
becomes 16-bit numbers ``d`` of worth ``t``. Then, by Cauchy and Schwarz,

    |q.v - u*t*(c.d)| <= |q|*l + |u*c| * |q - t*d|

so a scan of the codes, a quarter of the bytes, tells which rows could be among the
best, and only those are compared exactly (:mod:`nearfield.core.search`). The products
``c.d`` are whole numbers below 2**31 and free of rounding.

Codes are made in memory, from the fourth question to the same vectors on: a program
that asks once never pays for them. Without the compiled part there are none, and floats
are compared; so they are for many questions at once, a matrix product, which libraries
run on all cores.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nearfield.core.fork_lock import ForkLock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors

STEP = 32
"""A row of codes is a multiple of this, filled up with zeros."""
WORTH_CODES = 1 << 20
"""Numbers in all vectors below which a scan takes no time anyway."""
ASKED_BEFORE = 3
MOST_QUERIES = 16
"""Of one call; a matrix product of floats is as fast for more."""
SHARE_OF_MEMORY = 0.25
PLAINLY = 0
"""1 does without the processor's own instructions."""
_LARGEST = 127
_LARGEST_16 = 32767
_ROWS_AT_ONCE = 1 << 14
_SOME_MEMORY = 4 << 30
_CARE = 1 + 1e-5
"""Lengths are computed in float32, which loses less than this for some thousand numbers; for
more it is covered by the bound of a scan of floats, which is added to that of codes."""


def _load() -> Any:
    try:
        return import_module("nearfield.core._scan")
    except ImportError:
        return None


_scan = _load()


class Codes(NamedTuple):
    """Rows of one byte a number.

    Attributes:
        codes: ``(n, width)`` int8, ``width`` the dimension filled up to a multiple of 32.
        units: What a code's unit is worth, ``(n,)`` float32.
        lost: At least the length of what rounding took away, ``(n,)`` float32.
    """

    codes: NDArray[np.int8]
    units: NDArray[np.float32]
    lost: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: Vectors) -> Codes:
        """Round vectors.

        Args:
            vectors: ``(n, dim)`` float32, finite.
        """
        count, dim = vectors.shape
        codes = np.empty((count, -(-dim // STEP) * STEP), np.int8)
        units, lost = np.empty(count, np.float32), np.empty(count, np.float32)
        for start in range(0, count, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            rows = np.ascontiguousarray(vectors[part], np.float32)
            _scan.encode(rows, codes[part], units[part], lost[part], PLAINLY)
        lost *= np.float32(_CARE)
        return cls(codes, units, lost)

    def part(self, rows: slice | NDArray[np.intp]) -> Codes:
        """Give some of the rows."""
        return Codes(self.codes[rows], self.units[rows], self.lost[rows])

    def scores(
        self, queries: ShortQueries, factors: NDArray[np.float32] | float
    ) -> NDArray[np.float32]:
        """Multiply each query with each row, nearly.

        Args:
            queries: The queries.
            factors: What the products of each row are multiplied with, ``(n,)`` or for all.

        Returns:
            ``(q, n)`` float32.
        """
        scores = np.empty((len(queries.numbers), len(self.codes)), np.float32)
        of_rows = np.ascontiguousarray(self.units * np.float32(factors))
        _scan.multiply(self.codes, of_rows, queries.numbers, queries.units, scores, PLAINLY)
        return scores

    def doubts(self, queries: ShortQueries, norms: NDArray[np.float32]) -> Doubts:
        """Say how far products can be from the right ones.

        Args:
            queries: The queries.
            norms: The lengths of the rows, ``(n,)``.
        """
        return Doubts(queries.norms, queries.lost, self.lost, norms + self.lost)


class Doubts(NamedTuple):
    """How far the product of each query and row can be off: ``|q| l + |q - td| |uc|``.

    Attributes:
        norms: ``|q|``.
        lost: ``|q - td|``, both ``(q,)``.
        row_lost: ``l``.
        row_norms: At least ``|uc|``, both ``(n,)``.
    """

    norms: NDArray[np.float32]
    lost: NDArray[np.float32]
    row_lost: NDArray[np.float32]
    row_norms: NDArray[np.float32]

    def scaled(self, factors: NDArray[np.float32] | float) -> Doubts:
        """Give the doubts of products that are multiplied, row by row."""
        by = np.float32(factors)
        return self._replace(row_lost=self.row_lost * by, row_norms=self.row_norms * by)

    def largest(self, among: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Give the largest doubt of each query among some rows, ``(q,)``."""
        lost, norms = self.row_lost, self.row_norms
        if among is not None:
            lost, norms = lost[among], norms[among]
        largest: NDArray[np.float32] = self.norms * lost.max(initial=0) + self.lost * norms.max(
            initial=0
        )
        return largest

    def of(self, query: int, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Give the doubts of some rows, ``(len(rows),)``."""
        doubts: NDArray[np.float32] = self.row_lost[rows] * self.norms[query]
        doubts += self.row_norms[rows] * self.lost[query]
        return doubts


class ShortQueries(NamedTuple):
    """Queries of 16 bits a number.

    Attributes:
        numbers: ``(q, width)`` int16.
        units: What their unit is worth, ``(q,)`` float32.
        norms: At least the lengths of the queries, ``(q,)`` float32.
        lost: At least the lengths of what rounding took away, ``(q,)`` float32.
    """

    numbers: NDArray[np.int16]
    units: NDArray[np.float32]
    norms: NDArray[np.float32]
    lost: NDArray[np.float32]

    @classmethod
    def of(cls, queries: Vectors) -> ShortQueries:
        """Round queries.

        Args:
            queries: ``(q, dim)`` float32, of lengths that float32 can bear.
        """
        count, dim = queries.shape
        exact = queries.astype(np.float64)
        lengths = np.sqrt(np.square(exact).sum(axis=1))
        # No sum of products with codes may pass 2**31: |c| |d| does not.
        longest = (2.0**31 - 1) / (_LARGEST * np.sqrt(dim)) - np.sqrt(dim)
        units = np.maximum(np.abs(exact).max(axis=1, initial=0) / _LARGEST_16, lengths / longest)
        units = np.nextafter(units.astype(np.float32), np.float32(np.inf))
        numbers = np.zeros((count, -(-dim // STEP) * STEP), np.int16)
        numbers[:, :dim] = np.rint(exact / units[:, None])
        rest = exact - numbers[:, :dim] * units[:, None].astype(np.float64)
        lost = np.sqrt(np.square(rest).sum(axis=1))
        return cls(
            numbers,
            units,
            (lengths * _CARE).astype(np.float32),
            (lost * _CARE).astype(np.float32),
        )


class CodesOnDemand:
    """The codes of vectors that never change, made once they are asked often."""

    def __init__(self) -> None:
        self._asked = 0
        self._codes: Codes | None = None
        self._lock = ForkLock()

    def of(self, vectors: Vectors, queries: int) -> Codes | None:
        """Give the codes, if it is time to have them.

        Args:
            vectors: ``(n, dim)`` float32, the same at each call.
            queries: How many are about to be answered.

        Returns:
            The codes, or ``None``: then the vectors themselves are to be compared.
        """
        if queries > MOST_QUERIES or _scan is None or vectors.size < WORTH_CODES:
            return None
        if self._codes is not None:
            return self._codes
        self._asked += 1
        if self._asked <= ASKED_BEFORE or vectors.size > SHARE_OF_MEMORY * _memory():
            return None
        with self._lock:
            if self._codes is None:
                self._codes = Codes.of(vectors)
        return self._codes


def _memory() -> int:
    """Give the bytes of memory this machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _SOME_MEMORY
