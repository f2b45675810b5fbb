"""Rows looked up in an engine: those that count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from nearfield.core.committed.rows import NODE, key_of
from nearfield.core.store_checks import shown
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.committed.engine import Engine
    from nearfield.core.committed.rows import Row
    from nearfield.core.committed.state import State
    from nearfield.core.store_checks import CheckedEntry

ROWS_AT_ONCE = 1_000
_Thing = TypeVar("_Thing")


def all_rows(engine: Engine, state: State, kind: str) -> list[Row]:
    """Give all rows of a kind, in the order of writing."""
    return [
        row
        for first in range(0, state.next, ROWS_AT_ONCE)
        for row in engine.between(kind, first, min(first + ROWS_AT_ONCE, state.next))
        if state.counts(row.number)
    ]


def named_rows(engine: Engine, state: State, kind: str, ids: Sequence[str]) -> list[Row]:
    """Give the rows of some ids, in the order of writing; unknown ids are passed over."""
    wanted = set(ids)
    keys = [key_of(name) for name in wanted]
    rows = [row for some in portions(keys) for row in engine.having(kind, "key", some)]
    there = (row for row in rows if state.counts(row.number))
    named = (row for row in there if json.loads(row.data)["id"] in wanted)
    return sorted(named, key=lambda row: row.number)


def owned_rows(engine: Engine, state: State, documents: Sequence[int]) -> list[Row]:
    """Give the nodes of documents, which are given by number."""
    rows = (row for some in portions(documents) for row in engine.having(NODE, "owner", some))
    return [row for row in rows if state.counts(row.number)]


def portions(some: Sequence[_Thing]) -> Iterator[Sequence[_Thing]]:
    """Give a sequence in parts that an engine takes at once."""
    for start in range(0, len(some), ROWS_AT_ONCE):
        yield some[start : start + ROWS_AT_ONCE]


def refuse_taken(
    engine: Engine, state: State, checked: Sequence[CheckedEntry], replaced: set[int]
) -> None:
    """Refuse node ids that belong to documents other than those being replaced.

    Raises:
        StoreError: There is one.
    """
    ids = [node.id for one in checked for node in one.entry.nodes]
    for row in named_rows(engine, state, NODE, ids):
        if row.owner not in replaced:
            facts = json.loads(row.data)
            message = (
                f"Node id {shown(facts['id'])} already belongs to document "
                f"{shown(facts['document'])}. Node ids are unique in an index."
            )
            raise StoreError(message)
