"""The forms in which people write filters, taken or refused with how they are written here."""

from __future__ import annotations

from typing import Any

from nearfield.core.filters import (
    MAX_FILTER_DEPTH,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from nearfield.errors import ConfigError

_FOREIGN = {
    "$eq": "==",
    "$ne": "!=",
    "$lt": "<",
    "$lte": "<=",
    "$gt": ">",
    "$gte": ">=",
    "$in": "in",
    "$nin": "nin",
}
"""What Chroma, Pinecone and MongoDB write; they disagree on keys that are missing."""


def as_filters(given: Any) -> MetadataFilters | None:
    """Take filters in any of the forms people write them.

    Args:
        given: :class:`MetadataFilters` or one :class:`MetadataFilter`; a
            dictionary (each key must equal its value, or be one of a list);
            LlamaIndex's objects of the same names; or ``None``.

    Returns:
        The filters, or ``None`` when there is no condition at all.

    Raises:
        ConfigError: It is none of these, or makes no sense.
    """
    if given is None or isinstance(given, MetadataFilters):
        return given
    if isinstance(given, dict):
        for key, value in given.items():
            _refuse_foreign(key, value)
        return MetadataFilters(
            MetadataFilter(
                key,
                value,
                FilterOperator.IN if isinstance(value, (list, tuple)) else FilterOperator.EQ,
            )
            for key, value in given.items()
        )
    taken = _take_foreign(given, depth=0)
    return MetadataFilters([taken]) if isinstance(taken, MetadataFilter) else taken


def _refuse_foreign(key: Any, value: Any) -> None:
    """Refuse a condition or group as others write it, with how it is written here."""
    if isinstance(value, dict):
        sign = _FOREIGN.get(next(iter(value), ""))
        ours = f"MetadataFilter({key!r}, " + (f"..., {sign!r})" if sign else "VALUE, OPERATOR)")
    elif (
        key in {"$and", "$or"}
        and isinstance(value, list)
        and any(isinstance(one, dict) for one in value)
    ):
        ours = f"MetadataFilters([...], {key[1:]!r})"
    else:
        return
    message = f"A dictionary of filters gives each key a value or a list. Write {ours}."
    raise ConfigError(message)


def _take_foreign(given: Any, *, depth: int) -> MetadataFilter | MetadataFilters:
    if isinstance(given, (MetadataFilter, MetadataFilters)):
        return given
    if depth > MAX_FILTER_DEPTH:
        message = f"The filter is nested more than {MAX_FILTER_DEPTH} deep. Flatten it."
        raise ConfigError(message)
    if hasattr(given, "filters"):
        members = [_take_foreign(member, depth=depth + 1) for member in given.filters]
        return MetadataFilters(members, getattr(given, "condition", None) or FilterCondition.AND)
    if hasattr(given, "key") and hasattr(given, "operator"):
        return MetadataFilter(given.key, getattr(given, "value", None), given.operator)
    message = f"Filters are MetadataFilters or a dictionary, not {type(given).__name__}."
    raise ConfigError(message)
