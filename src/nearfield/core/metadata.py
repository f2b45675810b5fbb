"""Metadata as stores keep it: checked, and written as JSON that reads back the same.

Metadata is what JSON can say: text, whole numbers, finite floats, true, false,
null, lists and objects with text keys. Anything else is refused when it is
written, by name, so that no store loses or changes it on the way.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from nearfield.core.schema import check_mapping
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nearfield.core.schema import Metadata

MAX_DEPTH = 64


def encode_metadata(metadata: Mapping[str, Any], owner: str) -> str:
    """Write metadata as JSON in plain ASCII.

    Args:
        metadata: The facts; tuples are written as lists.
        owner: Whose facts they are, for the message: ``"document 'a'"``.

    Returns:
        The JSON of an object; ``"{}"`` when there are none.

    Raises:
        ConfigError: It is no mapping, a key is not text, a value is not JSON, a float is not
            finite, a whole number has too many digits, or it is nested more than 64 deep.
    """
    check_metadata(metadata, owner)
    if not metadata:
        return "{}"
    facts = dict(metadata)
    try:
        return json.dumps(facts, allow_nan=False)
    except ValueError as error:  # of a whole number, that it has too many digits
        message = f"The metadata of {owner} cannot be written as JSON: {error}. Write it as text."
        raise ConfigError(message) from error


def check_metadata(metadata: Mapping[str, Any], owner: str) -> None:
    """Refuse metadata that :func:`encode_metadata` would, but for numbers of too many digits.

    Args:
        metadata: The facts.
        owner: Whose facts they are, for the message.

    Raises:
        ConfigError: As for :func:`encode_metadata`.
    """
    check_mapping(metadata, owner)
    _check(dict(metadata), owner, depth=1)


def decode_metadata(data: str) -> Metadata:
    """Read what :func:`encode_metadata` wrote.

    Args:
        data: The JSON of an object.

    Returns:
        A new dictionary.
    """
    facts: Metadata = json.loads(data) if data != "{}" else {}
    return facts


def _check(value: Any, owner: str, *, depth: int, key: str | None = None) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(key, owner, f"is {value}, which JSON cannot say")
    if value is None or isinstance(value, (str, int, float)):  # bool is an int
        return
    if depth > MAX_DEPTH:
        raise _refused(key, owner, f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                message = f"Metadata keys are text, but {owner} has {name!r}. Use str() on it."
                raise ConfigError(message)
            _check(inner, owner, depth=depth + 1, key=key or name)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner, owner, depth=depth + 1, key=key)
    else:
        raise _refused(key, owner, f"is of type {type(value).__name__}, which JSON cannot say")


def _refused(key: str | None, owner: str, why: str) -> ConfigError:
    advice = "Store it as text, a number, a list or None."
    return ConfigError(f"Metadata {key!r} of {owner} {why}. {advice}")
