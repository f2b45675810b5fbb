"""How ids, texts and facts are written where PostgreSQL cannot hold them as they are.

PostgreSQL's text knows no NUL and no lone surrogate. They are written as U+001A
and four hexadecimal digits, as is U+001A itself; all other text is itself.

Facts stand in a row twice: as the JSON they were given in, which is the record, and
as ``jsonb`` for filters, in a form in which PostgreSQL compares them as
:mod:`nearfield.core.filters` says. Facts that have no such form have no ``jsonb``:
those rows are judged one by one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nearfield.core.metadata import decode_metadata
from nearfield.errors import CorruptStoreError

if TYPE_CHECKING:
    from nearfield.core.schema import Metadata

_UNSAYABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")
_UNKNOWN = re.compile("[\x00\ud800-\udfff]")
_INT64 = 1 << 63


class _NoForm(Exception):  # noqa: N818 - no error: a way out of a recursion
    """Facts that ``jsonb`` cannot hold, or compares in another way."""


def storable(text: str) -> str:
    """Give text as PostgreSQL can hold it."""
    return _UNSAYABLE.sub(lambda found: f"\x1a{ord(found[0]):04x}", text)


def restored(text: str) -> str:
    """Give back the text that :func:`storable` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "\x1a" in text else text


def sayable(text: str) -> bool:
    """Say whether a text is one that facts in ``jsonb`` may have."""
    return _UNKNOWN.search(text) is None


def facts_of(data: str) -> str | None:
    """Give metadata in the form filters are answered by.

    Args:
        data: The metadata as JSON.

    Returns:
        JSON without keys that are null, whole floats written as whole numbers; ``None`` when
        PostgreSQL would not compare it as Python does.
    """
    if data == "{}":
        return data
    facts = {key: value for key, value in decode_metadata(data).items() if value is not None}
    try:
        return json.dumps(_formed(facts), ensure_ascii=False)
    except _NoForm:
        return None


def comparable(value: float | str) -> str:
    """Give one value of a filter as JSON, in the form that :func:`facts_of` writes."""
    return json.dumps(_plain(value), ensure_ascii=False)


def decoded(data: str) -> Metadata:
    """Read metadata from its JSON.

    Raises:
        CorruptStoreError: It is damaged.
    """
    try:
        return decode_metadata(data)
    except (json.JSONDecodeError, TypeError) as error:
        message = "Metadata in the index is damaged. Index its document again."
        raise CorruptStoreError(message) from error


def _formed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_formed(key): _formed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_formed(inner) for inner in value]
    if isinstance(value, str):
        if not sayable(value):
            raise _NoForm
    elif isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise _NoForm
    return _plain(value)


def _plain(value: Any) -> Any:
    # The shortest decimal of a large whole float is not its value; its digits are.
    return int(value) if isinstance(value, float) and value.is_integer() else value
