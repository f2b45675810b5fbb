"""The pure plan of an embedding call: what is computed, in which batches, and where it goes.

Nothing here computes or waits. A driver, sync or async, takes the batches of
a plan, computes them in any order, and hands the results back; the plan puts
every vector in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nearfield.core.vectors import as_matrix
from nearfield.errors import InvalidVectorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from nearfield.core.vectors import Vector, Vectors
else:
    from nearfield.core.arrays import np

PREVIEW_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts to be computed together.

    Attributes:
        texts: The texts.
        rows: For each text, its number among the unique texts of the plan.
    """

    texts: list[str]
    rows: list[int]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a batch may weigh.

    Attributes:
        limit: The most weight in a batch.
        weigh: Gives a text's weight, at least 0: its tokens, known or estimated.
    """

    limit: int
    weigh: Callable[[str], int]


@dataclass(slots=True)
class Plan:
    """An embedding call, laid out.

    Attributes:
        unique: Each different text once, in order of first appearance.
        places: For each input text, its number in ``unique``.
        known: Vectors that need no computing, by number in ``unique``.
        batch_size: The most texts in a batch.
        budget: The most weight in a batch, and how a text is weighed; a heavier
            text has a batch to itself.
    """

    unique: list[str]
    places: list[int]
    known: dict[int, Vector] = field(default_factory=dict)
    batch_size: int = 10
    budget: Budget | None = None
    _matrix: Vectors | None = None
    _filled: int = 0

    @property
    def missing(self) -> list[int]:
        """The numbers of the unique texts still to be computed."""
        return [row for row in range(len(self.unique)) if row not in self.known]

    def batches(self) -> list[Batch]:
        """Give the texts to compute, in order, cut into batches."""
        cut: list[Batch] = []
        room = 0
        for row in self.missing:
            text = self.unique[row]
            weight = self.budget.weigh(text) if self.budget else 0
            if not cut or len(cut[-1].rows) == self.batch_size or weight > room:
                cut.append(Batch([], []))
                room = self.budget.limit if self.budget else 0
            cut[-1].texts.append(text)
            cut[-1].rows.append(row)
            room -= weight
        return cut

    def accept(self, batch: Batch, values: object, *, dim: int | None = None) -> Vectors:
        """Take the vectors of a batch, checked.

        Args:
            batch: One of :meth:`batches`.
            values: What the model returned for it.
            dim: How long the vectors must be, when known.

        Returns:
            ``(len(batch.texts), dim)`` float32.

        Raises:
            InvalidVectorsError: Wrong count or length, or not finite; the message
                names the first text concerned.
        """
        try:
            matrix = as_matrix(values, rows=len(batch.texts), dim=dim)
            self._place(batch.rows, matrix)
        except InvalidVectorsError as error:
            raise InvalidVectorsError(_blame(error, batch, values)) from error
        self._filled += len(matrix)
        return matrix

    def assemble(self, dim: int | None) -> Vectors:
        """Give the vectors of all input texts, in their order.

        Args:
            dim: Numbers per vector when there is no text at all.

        Returns:
            ``(n, dim)`` float32, C-contiguous.

        Raises:
            InvalidVectorsError: Batches came back with vectors of different lengths,
                or not all batches were accepted.
        """
        if not self.unique:
            return np.zeros((0, dim or 0), np.float32)
        for row, vector in self.known.items():
            try:
                self._place([row], vector[None])
            except InvalidVectorsError as error:
                message = (
                    f"{error} Some are from its cache: it has changed since. Clear the cache "
                    "(`nearfield cache clear`, or clear() of your own), or rename the model."
                )
                raise InvalidVectorsError(message) from None
        if self._matrix is None or self._filled + len(self.known) != len(self.unique):
            message = f"Only {self._filled} of {len(self.missing)} texts have a vector."
            raise InvalidVectorsError(message)
        one_each = len(self.places) == len(self.unique)
        return self._matrix if one_each else self._matrix[self.places]

    def _place(self, rows: Sequence[int], matrix: Vectors) -> None:
        # Always a copy, though one batch may hold all: what a model returns may be its own still,
        # to be written over by its next batch.
        if self._matrix is None:
            self._matrix = np.empty((len(self.unique), matrix.shape[1]), np.float32)
        if matrix.shape[1] != self._matrix.shape[1]:
            message = (
                f"The model returned vectors of {matrix.shape[1]} numbers "
                f"after vectors of {self._matrix.shape[1]}."
            )
            raise InvalidVectorsError(message)
        self._matrix[rows] = matrix


def make_plan(
    texts: Sequence[str],
    *,
    batch_size: int,
    known: Mapping[str, Vector] | None = None,
    budget: Budget | None = None,
) -> Plan:
    """Lay out an embedding call: equal texts once, known ones not at all.

    Args:
        texts: The input texts, in order.
        batch_size: The most texts in a batch, at least 1.
        known: Vectors already at hand, by text.
        budget: What a batch may weigh; no limit when not given.

    Returns:
        The plan.
    """
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in texts]
    unique = list(numbers)
    at_hand = known or {}
    return Plan(
        unique,
        places,
        {row: at_hand[text] for row, text in enumerate(unique) if text in at_hand},
        batch_size,
        budget,
    )


def preview(text: str) -> str:
    """Give the beginning of a text for an error message.

    Args:
        text: Any text.

    Returns:
        At most 60 characters, quoted.
    """
    cut = text[:PREVIEW_CHARACTERS]
    return repr(cut + ("..." if len(text) > len(cut) else ""))


def _blame(error: InvalidVectorsError, batch: Batch, values: object) -> str:
    """Name the first text whose vector is at fault."""
    culprit = 0
    rows = values if isinstance(values, (list, tuple, np.ndarray)) else []
    for number, row in enumerate(rows[: len(batch.texts)]):
        try:
            as_matrix([row])
        except InvalidVectorsError:
            culprit = number
            break
    where = f"text {batch.rows[culprit]} ({preview(batch.texts[culprit])})"
    return f"{error} First concerned: {where}."
