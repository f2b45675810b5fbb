"""The one record that decides which rows count."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nearfield.core.store import Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import CorruptStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
Ranges = list[list[int]]
"""Row numbers as pairs of a first and one past the last."""


@dataclass(slots=True)
class State:
    """The record that decides what counts.

    Attributes:
        change: Counts the writes.
        next: The first number that does not count.
        documents: How many there are.
        nodes: How many there are.
        longest: No safe vector ever written was longer.
        hidden: Ranges of numbers that do not count either.
        changed_at: When it was last written, in seconds since 1970.
        header: The header as JSON can say it.
        format: Of the rows.
    """

    change: int = 0
    next: int = 0
    documents: int = 0
    nodes: int = 0
    longest: float = 0.0
    hidden: Ranges = field(default_factory=list)
    changed_at: float | None = None
    header: dict[str, Any] | None = None
    format: int = FORMAT

    def counts(self, number: int) -> bool:
        """Say whether a row counts."""
        return number < self.next and not any(a <= number < b for a, b in self.hidden)


def ranges_of(numbers: Iterable[int]) -> Ranges:
    """Give numbers as ranges, those that touch as one."""
    ranges: Ranges = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number, number + 1])
    return ranges


def header_of(state: State) -> Header | None:
    """Give the header of a state, if it has one."""
    if state.header is None:
        return None
    facts = deepcopy(state.header)
    return Header(**{**facts, "metric": SimilarityMode(facts["metric"])})


def plain(header: Header) -> dict[str, Any]:
    """Give a header as JSON can say it."""
    return {**asdict(header), "metric": header.metric.value}


def read_state(said: str | None, shown: str) -> State:
    """Read a state.

    Args:
        said: As :func:`written` gave it; ``None`` for a new store.
        shown: The store's place, for messages.

    Raises:
        CorruptStoreError: It is none, or of another format.
    """
    if said is None:
        return State()
    try:
        state = State(**json.loads(said))
    except (TypeError, ValueError) as error:
        message = f"{shown} holds no index of nearfield. Choose another name."
        raise CorruptStoreError(message) from error
    if state.format != FORMAT:
        message = f"{shown} is of format {state.format}; this nearfield knows {FORMAT}."
        raise CorruptStoreError(message)
    return state


def next_state(state: State, hidden: Ranges) -> State:
    """Give a state as the next write leaves it."""
    return replace(state, change=state.change + 1, changed_at=time.time(), hidden=hidden)


def written(state: State) -> str:
    """Give a state as JSON."""
    return json.dumps(asdict(state))
