"""What a store over an engine without transactions asks of that engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.committed.rows import Row
    from nearfield.core.committed.state import State
    from nearfield.core.vectors import SimilarityMode, Vector


class Engine(Protocol):
    """Rows and a state, kept somewhere.

    Attributes:
        exact: Whether :meth:`nearest` compares with every row.
    """

    exact: bool

    def read_state(self) -> str | None:
        """Give the state as it was last written, or ``None``."""

    def write_state(self, state: str) -> None:
        """Replace the state, whole or not at all, durably."""

    def create(self, dim: int, metric: SimilarityMode) -> None:
        """Make room for rows; harmless when it is there."""

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows."""

    def remove(self, ranges: Sequence[tuple[int, int | None]]) -> None:
        """Remove rows by ranges of numbers: from one on, up to another or all."""

    def between(self, kind: str, first: int, end: int) -> list[Row]:
        """Give the rows of a kind with numbers from one up to another, in order."""

    def having(self, kind: str, name: str, values: Sequence[Any]) -> list[Row]:
        """Give the rows of a kind whose ``key`` or ``owner`` is one of some."""

    def unsafe(self) -> list[Row]:
        """Give the nodes that are not to be compared by the engine."""

    def nearest(self, query: Vector, limit: int, state: State) -> list[tuple[Row, float]]:
        """Give the best safe nodes that count, with scores, best first."""

    def size_bytes(self) -> int:
        """Give how much room it takes, if it can be told."""

    def close(self) -> None:
        """Let go of files and connections."""
