"""Metadata filters as SQL: constant pieces, with every key and value a parameter.

A filter never becomes SQL text. Keys and values that ``jsonb`` cannot hold are
in no row it is asked of; rows without ``jsonb``, and conditions that need Python's
own idea of letters, are judged by Python, and come in as a list of rows or values.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from nearfield.core.filters import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from nearfield.stores.pgvector.records import comparable, decoded, sayable

if TYPE_CHECKING:
    from collections.abc import Sequence

TRUE, FALSE = "TRUE", "FALSE"
_SIGNS = {
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
}
_IS_TEXT = "jsonb_typeof(facts -> {key}) = 'string'"


class Conditions:
    """Filters turned into one SQL expression over the columns ``row`` and ``facts``.

    Args:
        connection: A connection within a transaction.
        filters: The conditions.

    Attributes:
        sql: The expression; it holds placeholders only for :attr:`values`.
        values: What is bound, by name.
    """

    def __init__(self, connection: Any, filters: MetadataFilters) -> None:
        self._connection = connection
        self.values: dict[str, Any] = {}
        held = self._compiled(filters)
        odd = connection.execute("SELECT row, metadata FROM nodes WHERE facts IS NULL")
        rows = [row for row, data in odd if filters.matches(decoded(data))]
        self.sql = f"(facts IS NOT NULL AND {held})"
        if rows:
            self.sql = f"({self.sql} OR row = ANY({self._bound(rows)}::bigint[]))"

    def _bound(self, value: Any) -> str:
        name = f"f{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"

    def _compiled(self, filters: MetadataFilter | MetadataFilters) -> str:
        if isinstance(filters, MetadataFilter):
            return self._leaf(filters)
        every = filters.condition is FilterCondition.AND
        members = [self._compiled(member) for member in filters.filters]
        joined = (" AND " if every else " OR ").join(members) or (TRUE if every else FALSE)
        return f"NOT ({joined})" if filters.condition is FilterCondition.NOT else f"({joined})"

    def _leaf(self, one: MetadataFilter) -> str:
        operator, value = one.operator, one.value
        if not sayable(one.key):  # no fact in jsonb has such a key
            return TRUE if operator is FilterOperator.IS_EMPTY else FALSE
        key = f"{self._bound(one.key)}::text"
        if operator is FilterOperator.EQ:  # in the form that the index on facts serves
            whole = f"{{{json.dumps(one.key, ensure_ascii=False)}: {comparable(value)}}}"
            return f"facts @> {self._bound(whole)}::jsonb" if _sayable(value) else FALSE
        if operator is FilterOperator.IS_EMPTY:
            empty = f"""(facts -> {key}) IN ('""', '[]', '{{}}')"""
            return f"(NOT jsonb_exists(facts, {key}) OR {empty})"
        if operator in _SIGNS:
            return self._ordered(key, _SIGNS[operator], value)
        if operator is FilterOperator.TEXT_MATCH:
            return self._holds_text(key, value)
        if operator is FilterOperator.TEXT_MATCH_INSENSITIVE:
            return self._holds_anyhow(one.key, key, value)
        return f"coalesce({self._compared(key, operator, value)}, FALSE)"

    def _compared(self, key: str, operator: FilterOperator, value: Any) -> str:
        """Compare with values for equality; NULL where there is no such key."""
        fact = f"(facts -> {key})"
        if operator is FilterOperator.NE:
            return f"jsonb_exists(facts, {key}) AND {fact} <> ALL({self._list([value])})"
        if operator is FilterOperator.IN:
            return f"{fact} = ANY({self._list(value)})"
        if operator is FilterOperator.NIN:
            return f"jsonb_exists(facts, {key}) AND {fact} <> ALL({self._list(value)})"
        if operator is FilterOperator.CONTAINS:
            member = f"{fact} @> ANY({self._list([value])})"
            inside = self._holds_text(key, value) if isinstance(value, str) else FALSE
            return f"({member} OR {inside})"
        if operator is FilterOperator.ANY:
            return f"{fact} @> ANY({self._list(value)})"
        if not all(_sayable(wanted) for wanted in value):
            return FALSE  # one of them is in no row
        return f"jsonb_exists(facts, {key}) AND {fact} @> ALL({self._list(value)})"

    def _list(self, values: Sequence[Any]) -> str:
        """Bind those values that a row may have."""
        return f"{self._bound([comparable(v) for v in values if _sayable(v)])}::jsonb[]"

    def _ordered(self, key: str, sign: str, value: float | str) -> str:
        if isinstance(value, str):  # by code point, which is by byte
            bound = self._bound(value.encode("utf-8", "surrogatepass"))
            kind, fact = "string", f"convert_to(facts ->> {key}, 'UTF8')"
            right = f"{bound}::bytea"
        else:
            exact = comparable(value) if math.isfinite(value) else str(value)
            kind, fact, right = "number", f"(facts -> {key})::numeric", ""
            right = f"{self._bound(exact)}::numeric"
        # CASE, for AND does not keep PostgreSQL from evaluating the second half first.
        return (
            f"(CASE WHEN jsonb_typeof(facts -> {key}) = '{kind}' "
            f"THEN {fact} {sign} {right} ELSE FALSE END)"
        )

    def _holds_text(self, key: str, wanted: str) -> str:
        if not sayable(wanted):
            return FALSE
        inside = f'strpos((facts ->> {key}) COLLATE "C", {self._bound(wanted)}::text) > 0'
        return f"(CASE WHEN {_IS_TEXT.format(key=key)} THEN {inside} ELSE FALSE END)"

    def _holds_anyhow(self, name: str, key: str, wanted: str) -> str:
        """Let Python say which of the texts there are have the wanted one, whatever the case."""
        texts = self._connection.execute(
            "SELECT DISTINCT facts ->> %(key)s::text FROM nodes "
            "WHERE jsonb_typeof(facts -> %(key)s::text) = 'string'",
            {"key": name},
        )
        folded = wanted.casefold()
        matching = [text for (text,) in texts if folded in text.casefold()]
        held = f"(facts ->> {key}) = ANY({self._bound(matching)}::text[])"
        return f"(CASE WHEN {_IS_TEXT.format(key=key)} THEN {held} ELSE FALSE END)"


def _sayable(value: Any) -> bool:
    """Say whether a row may have the value: neither odd text nor an infinite number."""
    if isinstance(value, str):
        return sayable(value)
    return not isinstance(value, float) or math.isfinite(value)
