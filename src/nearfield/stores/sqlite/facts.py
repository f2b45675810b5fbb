"""Metadata filters answered by an index of facts.

Every fact of a metadata object is a row of ``facts``, its value bound as SQLite
stores it best: numbers as numbers, text as the bytes of its UTF-8 (so that
order is that of code points, and NUL or a lone surrogate is a byte like any
other). A condition is one of a few constant statements with its key and value
bound: a filter never becomes SQL text. Groups join the answers as bit masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.filters import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    number,
)
from nearfield.errors import CorruptStoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from nearfield.core.schema import Metadata
    from nearfield.core.search import Mask, Rows

    Check = Callable[[sqlite3.Connection], None]

TRUTH, NUMBER, TEXT, LIST, OBJECT = 1, 2, 3, 4, 5
MEMBER = 10  # added to the kind of what stands in a list

_OF_KEY = "SELECT metadata FROM facts WHERE key = ?"  # below, only constants are joined to it
_EQUAL = f"{_OF_KEY} AND kind = ? AND value = ?"
_PRESENT = f"{_OF_KEY} AND kind < {MEMBER}"
_HOLDS_TEXT = f"{_OF_KEY} AND kind = {TEXT} AND instr(value, ?) > 0"
_TEXTS = f"SELECT metadata, value FROM facts WHERE key = ? AND kind = {TEXT}"  # noqa: S608
_NOT_EMPTY = (
    f"{_OF_KEY} AND (kind IN ({TRUTH}, {NUMBER}) OR kind = {TEXT} AND value <> x'' "
    f"OR kind IN ({LIST}, {OBJECT}) AND value > 0)"
)
_ORDERED = {
    FilterOperator.LT: f"{_OF_KEY} AND kind = ? AND value < ?",
    FilterOperator.LTE: f"{_OF_KEY} AND kind = ? AND value <= ?",
    FilterOperator.GT: f"{_OF_KEY} AND kind = ? AND value > ?",
    FilterOperator.GTE: f"{_OF_KEY} AND kind = ? AND value >= ?",
}
FEW = 500
MOST_METADATA = 1 << 31


def fact_rows(owner: int, metadata: Metadata) -> Iterator[tuple[bytes, int, Any, int]]:
    """Give the rows of ``facts`` that belong to metadata.

    Args:
        owner: The metadata's number.
        metadata: The facts.

    Yields:
        Key, kind, value and owner; null is no fact.
    """
    for key, value in metadata.items():
        name = _bytes(key)
        if isinstance(value, (list, tuple)):
            yield name, LIST, len(value), owner
            for member in value:
                if isinstance(member, (str, int, float)):
                    kind, bound = _scalar(member)
                    yield name, kind + MEMBER, bound, owner
        elif isinstance(value, dict):
            yield name, OBJECT, len(value), owner
        elif value is not None:
            yield name, *_scalar(value), owner


def matching_rows(
    connection: sqlite3.Connection, filters: MetadataFilters, everything: RowOwners
) -> Rows:
    """Give the rows of the nodes whose metadata satisfies conditions.

    Args:
        connection: A connection to the index.
        filters: The conditions.
        everything: Reads the metadata number of every node, when it comes to that.

    Returns:
        Row numbers, in order.
    """
    newest = connection.execute("SELECT coalesce(max(number), 0) FROM metadata").fetchone()[0]
    if newest > MOST_METADATA:
        raise CorruptStoreError("The numbers of metadata are damaged. Verify the index.")
    mask = _evaluate(connection, filters, newest + 1)
    owners = np.flatnonzero(mask)
    if len(owners) <= FEW and not mask[0]:
        rows = [
            row
            for owner in owners.tolist()
            for (row,) in connection.execute(
                "SELECT nodes.row FROM metadata JOIN nodes USING (document) "
                "WHERE metadata.number = ? AND nodes.metadata = metadata.number",
                (owner,),
            )
        ]
        return np.sort(np.asarray(rows, np.int64))
    all_rows, all_owners = everything.read(connection)
    return all_rows[mask[all_owners]]


class RowOwners:
    """Which metadata each node has, read once per version of the index.

    Args:
        check: Refuses what a connection read of more than one version.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._read: tuple[Rows, Rows] | None = None

    def read(self, connection: sqlite3.Connection) -> tuple[Rows, Rows]:
        """Give the rows in order, and the metadata number of each."""
        if self._read is None:
            pairs = np.fromiter(
                (
                    number
                    for pair in connection.execute("SELECT row, metadata FROM nodes ORDER BY row")
                    for number in pair
                ),
                np.int64,
            ).reshape(-1, 2)
            self._check(connection)
            self._read = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        return self._read


def _evaluate(
    connection: sqlite3.Connection, filters: MetadataFilter | MetadataFilters, size: int
) -> Mask:
    """Say of every metadata number below ``size`` whether it satisfies the filters."""
    if isinstance(filters, MetadataFilter):
        return _holds(connection, filters, size)
    every = filters.condition is FilterCondition.AND
    mask = np.full(size, every, np.bool_)
    for member in filters.filters:
        held = _evaluate(connection, member, size)
        mask = mask & held if every else mask | held
    return ~mask if filters.condition is FilterCondition.NOT else mask


def _holds(connection: sqlite3.Connection, one: MetadataFilter, size: int) -> Mask:
    """Say of every metadata number below ``size`` whether it satisfies one condition."""
    value, operator = one.value, one.operator
    asked = _Asked(connection, _bytes(one.key), size)
    if operator in {FilterOperator.EQ, FilterOperator.NE}:
        held = asked.equal(value)
    elif operator in {FilterOperator.IN, FilterOperator.NIN}:
        held = asked.any_of(asked.equal(wanted) for wanted in value)
    elif operator is FilterOperator.CONTAINS:
        held = asked.has(value)
        if isinstance(value, str):
            held |= asked.those(_HOLDS_TEXT, _bytes(value))
    elif operator is FilterOperator.ANY:
        held = asked.any_of(asked.has(wanted) for wanted in value)
    elif operator is FilterOperator.ALL:
        held = asked.present() & ~asked.any_of(~asked.has(wanted) for wanted in value)
    elif operator is FilterOperator.IS_EMPTY:
        held = ~asked.those(_NOT_EMPTY)
    elif operator is FilterOperator.TEXT_MATCH:
        held = asked.those(_HOLDS_TEXT, _bytes(value))
    elif operator is FilterOperator.TEXT_MATCH_INSENSITIVE:
        held = asked.holding_anyhow(value.casefold())
    else:
        held = asked.those(_ORDERED[operator], *_scalar(value))
    negated = operator in {FilterOperator.NE, FilterOperator.NIN}
    return asked.present() & ~held if negated else held


class _Asked:
    """A key asked about: each method is one constant statement."""

    def __init__(self, connection: sqlite3.Connection, key: bytes, size: int) -> None:
        self._connection = connection
        self._key = key
        self._size = size

    def those(self, statement: str, *bound: Any) -> Mask:
        return self._mask(self._connection.execute(statement, (self._key, *bound)))

    def present(self) -> Mask:
        return self.those(_PRESENT)

    def equal(self, wanted: float | str) -> Mask:
        return self.those(_EQUAL, *_scalar(wanted))

    def has(self, wanted: float | str) -> Mask:
        kind, bound = _scalar(wanted)
        return self.those(_EQUAL, kind, bound) | self.those(_EQUAL, kind + MEMBER, bound)

    def holding_anyhow(self, wanted: str) -> Mask:
        texts = self._connection.execute(_TEXTS, (self._key,))
        return self._mask(
            (owner,)
            for owner, data in texts
            if wanted in data.decode("utf-8", "surrogatepass").casefold()
        )

    def any_of(self, masks: Iterable[Mask]) -> Mask:
        joined: Mask = np.zeros(self._size, np.bool_)
        for mask in masks:
            joined |= mask
        return joined

    def _mask(self, owners: Iterable[tuple[int]]) -> Mask:
        mask: Mask = np.zeros(self._size, np.bool_)
        mask[np.fromiter((owner for (owner,) in owners), np.int64)] = True
        return mask


def _scalar(value: float | str) -> tuple[int, Any]:
    """Give the kind of a value, and what SQLite is to store or compare."""
    if isinstance(value, bool):
        return TRUTH, int(value)
    if isinstance(value, str):
        return TEXT, _bytes(value)
    return NUMBER, number(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
