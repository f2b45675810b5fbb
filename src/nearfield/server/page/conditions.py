"""Conditions as people write them in a form, made into filters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nearfield.core.filters import FilterOperator, MetadataFilter, MetadataFilters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.filters import Scalar

Join = Literal["and", "or"]

_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on metadata, its value as it was typed.

    Attributes:
        key: The metadata key.
        operator: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` (one of several,
            with commas between), ``has`` (a list has it, or a text has it inside, in any
            case) or ``is_empty``.
        value: The value: ``3`` is the number and the text, ``true`` likewise.
    """

    key: str
    operator: str
    value: str = ""


def filters_of(conditions: Sequence[Condition], join: Join = "and") -> MetadataFilters | None:
    """Make filters.

    Args:
        conditions: Any number of conditions.
        join: Whether all must hold, or one.

    Returns:
        The filters; ``None`` without a condition.
    """
    if not conditions:
        return None
    return MetadataFilters([_filter(condition) for condition in conditions], join)


def _filter(condition: Condition) -> MetadataFilter | MetadataFilters:
    key, operator, typed = condition.key, condition.operator, condition.value
    if operator == "is_empty":
        return MetadataFilter(key, operator=FilterOperator.IS_EMPTY)
    if operator == "in":
        parts = [part.strip() for part in typed.split(",")]
        values = [value for part in parts for value in _meanings(part)]
        return MetadataFilter(key, values, FilterOperator.IN)
    if operator == "!=":
        return MetadataFilter(key, _meanings(typed), FilterOperator.NIN)
    if operator == "==":
        return MetadataFilter(key, _meanings(typed), FilterOperator.IN)
    if operator == "has":
        inside = MetadataFilter(key, typed, FilterOperator.TEXT_MATCH_INSENSITIVE)
        return MetadataFilters(
            [inside, MetadataFilter(key, _meanings(typed), FilterOperator.ANY)],
            "or",
        )
    return MetadataFilter(key, _meanings(typed)[-1], FilterOperator(operator))


def _meanings(typed: str) -> list[Scalar]:
    """Give what a typed value may mean: the text, and last the number or truth if it is one."""
    if typed in _TRUTHS:
        return [typed, _TRUTHS[typed]]
    try:
        value = float(typed)
    except ValueError:
        return [typed]
    if not math.isfinite(value):
        return [typed]
    return [typed, int(typed) if typed.strip().lstrip("+-").isdecimal() else value]
