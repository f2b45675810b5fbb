"""New vectors of a migration, laid out by row before the index is locked to take them."""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nearfield.core.vectors import Vectors


class PreparedVectors:
    """New vectors in a file that is gone afterwards, each in the place of its row.

    Args:
        file: An empty file, to be written and read.
        dim: Numbers per vector.
        end: One past the last row it may have.
    """

    def __init__(self, file: BinaryIO, dim: int, end: int) -> None:
        self.end = end
        self._file = file
        self._dim = dim

    def write(self, rows: list[int], vectors: Vectors) -> None:
        """Put vectors in their places; ``rows`` are in order."""
        stretch = np.zeros((rows[-1] - rows[0] + 1, self._dim), np.float32)
        stretch[np.asarray(rows) - rows[0]] = vectors
        self._file.seek(rows[0] * self._dim * 4)
        try:
            self._file.write(stretch.data)
            self._file.flush()
        except OSError as error:
            why = "no space left" if error.errno == errno.ENOSPC else str(error)
            message = (
                f"The new vectors could not be laid out ({why}); the index is as it was, and "
                "what was embedded is kept. Free some space and run the same again."
            )
            raise StoreError(message) from error

    def read(self, rows: list[int]) -> Vectors:
        """Give the vectors of rows that were written, in order."""
        self._file.seek(rows[0] * self._dim * 4)
        data = self._file.read((rows[-1] - rows[0] + 1) * self._dim * 4)
        stretch = np.frombuffer(data, np.float32).reshape(-1, self._dim)
        vectors: Vectors = stretch[np.asarray(rows) - rows[0]]
        return vectors


@contextmanager
def prepared_vectors(path: Path, dim: int, end: int) -> Iterator[PreparedVectors]:
    """Lend a file for vectors, and remove it afterwards.

    Args:
        path: The file; one that is there, of a run that was killed, is replaced.
        dim: Numbers per vector.
        end: One past the last row it may have.

    Yields:
        The vectors, none yet.
    """
    with path.open("w+b") as file:
        try:
            yield PreparedVectors(file, dim, end)
        finally:
            with suppress(OSError):
                path.unlink()
