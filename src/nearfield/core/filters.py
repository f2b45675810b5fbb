"""Conditions on metadata: what they mean, exactly, on every store.

A metadata value is text, a number, a truth value, a list, an object or
nothing (null). Two values are equal when they are of one kind and equal:
``1 == 1.0``, but ``True`` is not ``1`` and ``"1"`` is not ``1``. Whole numbers
beyond 64 bits are compared as floats.

=========================  ======================================================
``==``                     the value equals
``!=``                     the key is there, and its value does not equal
``<  <=  >  >=``           numbers with numbers by size, text with text by code point
``in``                     the value equals one of the given
``nin``                    the key is there, and its value equals none of the given
``contains``               the list has the value; or the text has it inside
``any``                    the list has at least one of the given
``all``                    the list has every one of the given
``is_empty``               the key is missing, or its value is null, ``""``, ``[]`` or ``{}``
``text_match``             the text has the given text inside, letter for letter
``text_match_insensitive`` the same, whatever the case
=========================  ======================================================

A key that is missing or null satisfies no condition but ``is_empty``. For
``contains``, ``any`` and ``all`` a single value counts as a list of one.
A group is ``and`` (all hold), ``or`` (at least one holds) or ``not`` (none
holds); an empty ``and`` or ``not`` holds, an empty ``or`` does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Scalar = str | bool | int | float
_Member = TypeVar("_Member", bound=Enum)

MAX_FILTER_DEPTH = 32
MAX_CONDITIONS = 1_000
MAX_VALUES = 10_000
_INT64 = 1 << 63


class FilterOperator(str, Enum):
    """How a condition compares; the names and signs are those of LlamaIndex."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    ANY = "any"
    ALL = "all"
    IS_EMPTY = "is_empty"
    TEXT_MATCH = "text_match"
    TEXT_MATCH_INSENSITIVE = "text_match_insensitive"


class FilterCondition(str, Enum):
    """How the conditions of a group join."""

    AND = "and"
    OR = "or"
    NOT = "not"


_TAKES_LIST = {FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL}
_TAKES_ORDERED = {FilterOperator.LT, FilterOperator.LTE, FilterOperator.GT, FilterOperator.GTE}
_TAKES_TEXT = {FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE}


@dataclass(frozen=True, slots=True)
class MetadataFilter:
    """One condition on one key.

    Args:
        key: The metadata key, taken literally: dots and quotes mean nothing.
        value: What to compare with; a list for ``in``, ``nin``, ``any`` and
            ``all``; not needed for ``is_empty``.
        operator: How to compare, as :class:`FilterOperator` or its sign.

    Raises:
        ConfigError: The key, operator or value makes no sense.
    """

    key: str
    value: Any = None
    operator: FilterOperator = FilterOperator.EQ

    def __post_init__(self) -> None:
        """Check the condition, and give the value its plain form."""
        if not isinstance(self.key, str):
            message = f"A filter's key is text, not {self.key!r}."
            raise ConfigError(message)
        operator = _enum(FilterOperator, self.operator, "filter operator")
        object.__setattr__(self, "operator", operator)
        object.__setattr__(self, "value", _checked_value(self.key, operator, self.value))

    @property
    def depth(self) -> int:
        """Always 0: a condition holds no other."""
        return 0

    @property
    def size(self) -> int:
        """Always 1: it is one condition."""
        return 1

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Say whether metadata satisfies the condition.

        Args:
            metadata: The facts of a node.

        Returns:
            Whether it holds.
        """
        found, wanted, operator = metadata.get(self.key), self.value, self.operator
        if operator is FilterOperator.IS_EMPTY:
            return found is None or found in ("", [], {}, ())
        if found is None:
            return False
        if operator in _TAKES_LIST or operator is FilterOperator.CONTAINS:
            return _matches_members(operator, found, wanted)
        if operator in _TAKES_TEXT:
            return isinstance(found, str) and _matches_text(operator, found, wanted)
        if operator in _TAKES_ORDERED:
            return _matches_order(operator, found, wanted)
        return _equal(found, wanted) is (operator is FilterOperator.EQ)


@dataclass(frozen=True, slots=True)
class MetadataFilters:
    """Conditions and groups of conditions, joined.

    Args:
        filters: :class:`MetadataFilter` and :class:`MetadataFilters`, in any mixture.
        condition: ``"and"``, ``"or"`` or ``"not"``.

    Raises:
        ConfigError: A member is neither, the groups are nested more than 32
            deep, or there are more than 1,000 conditions in all.
    """

    filters: tuple[MetadataFilter | MetadataFilters, ...]
    condition: FilterCondition = FilterCondition.AND
    depth: int = 0
    size: int = 0

    def __init__(
        self,
        filters: Iterable[MetadataFilter | MetadataFilters],
        condition: FilterCondition | str = FilterCondition.AND,
    ) -> None:
        members = tuple(filters)
        for member in members:
            if not isinstance(member, (MetadataFilter, MetadataFilters)):
                message = f"A filter group holds MetadataFilter or MetadataFilters, not {member!r}."
                raise ConfigError(message)
        # Each group knows its own depth and size, so that no check ever recurses.
        depth = 1 + max((member.depth for member in members), default=0)
        size = sum(member.size for member in members)
        if depth > MAX_FILTER_DEPTH or size > MAX_CONDITIONS:
            message = (
                f"The filter is {depth} deep with {size} conditions; at most {MAX_FILTER_DEPTH} "
                f"and {MAX_CONDITIONS} are allowed. Use 'in' with a list where many are alike."
            )
            raise ConfigError(message)
        object.__setattr__(self, "filters", members)
        object.__setattr__(self, "condition", _enum(FilterCondition, condition, "filter condition"))
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "size", size)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Say whether metadata satisfies the group.

        Args:
            metadata: The facts of a node.

        Returns:
            Whether it holds.
        """
        held = (member.matches(metadata) for member in self.filters)
        if self.condition is FilterCondition.AND:
            return all(held)
        return any(held) is (self.condition is FilterCondition.OR)


def number(value: float) -> float:
    """Give a number as stores compare it: a whole one beyond 64 bits becomes a float.

    Args:
        value: A finite or infinite number.

    Returns:
        The same number, or the nearest float.
    """
    if isinstance(value, float) or -_INT64 <= value < _INT64:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _enum(kind: type[_Member], given: Any, what: str) -> _Member:
    try:
        return kind(getattr(given, "value", given))
    except ValueError as error:
        known = ", ".join(repr(member.value) for member in kind)
        message = f"Unknown {what} {given!r}. Choose one of {known}."
        raise ConfigError(message) from error


def _checked_value(key: str, operator: FilterOperator, value: Any) -> Any:
    if operator is FilterOperator.IS_EMPTY:
        return None
    if operator in _TAKES_LIST:
        if not isinstance(value, (list, tuple, set, frozenset)):
            message = f"{operator.value!r} on {key!r} takes a list of values, not {value!r}."
            raise ConfigError(message)
        if len(value) > MAX_VALUES:
            message = (
                f"{operator.value!r} on {key!r} has {len(value)} values; at most {MAX_VALUES}."
            )
            raise ConfigError(message)
        return tuple(_scalar(key, operator, member) for member in value)
    plain = _scalar(key, operator, value)
    if operator in _TAKES_ORDERED and isinstance(plain, bool):
        message = f"{operator.value!r} on {key!r} compares numbers or text, not {value!r}."
        raise ConfigError(message)
    if operator in _TAKES_TEXT and not isinstance(plain, str):
        message = f"{operator.value!r} on {key!r} takes text, not {value!r}."
        raise ConfigError(message)
    return plain


def _scalar(key: str, operator: FilterOperator, value: Any) -> Scalar:
    if not isinstance(value, (str, int, float)) and hasattr(value, "item"):
        value = value.item()  # a numpy scalar
    if isinstance(value, float) and math.isnan(value):
        message = f"{operator.value!r} on {key!r} compares with NaN, which equals nothing."
        raise ConfigError(message)
    if isinstance(value, (str, int, float)):  # bool is an int
        return value if isinstance(value, (str, bool)) else number(value)
    advice = " Use the operator 'is_empty'." if value is None else ""
    message = (
        f"{operator.value!r} on {key!r} takes text, a number or a truth value, "
        f"not {value!r}.{advice}"
    )
    raise ConfigError(message)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else None


def _equal(found: Any, wanted: Scalar) -> bool:
    kind = _kind(found)
    if kind is None or kind != _kind(wanted):
        return False
    return bool(number(found) == wanted if kind == "number" else found == wanted)


def _matches_order(operator: FilterOperator, found: Any, wanted: Any) -> bool:
    kind = _kind(found)
    if kind is None or kind == "truth" or kind != _kind(wanted):
        return False
    left = number(found) if kind == "number" else found
    if operator is FilterOperator.LT:
        return bool(left < wanted)
    if operator is FilterOperator.LTE:
        return bool(left <= wanted)
    return bool(left > wanted if operator is FilterOperator.GT else left >= wanted)


def _matches_text(operator: FilterOperator, found: str, wanted: str) -> bool:
    if operator is FilterOperator.TEXT_MATCH:
        return wanted in found
    return wanted.casefold() in found.casefold()


def _matches_members(operator: FilterOperator, found: Any, wanted: Any) -> bool:
    if operator is FilterOperator.IN:
        return any(_equal(found, one) for one in wanted)
    if operator is FilterOperator.NIN:
        return not any(_equal(found, one) for one in wanted)
    members = found if isinstance(found, (list, tuple)) else [found]
    if operator is FilterOperator.CONTAINS:
        inside = isinstance(found, str) and isinstance(wanted, str) and wanted in found
        return inside or any(_equal(member, wanted) for member in members)
    join = any if operator is FilterOperator.ANY else all
    return join(any(_equal(member, one) for member in members) for one in wanted)
