"""What tells one model of another library from another: its class and its plain settings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_PRIVATE = ("key", "token", "secret", "password", "header")
_OPERATIONAL = (
    "batch_size",
    "callback",
    "chunk_size",
    "max_retries",
    "num_workers",
    "progress",
    "rate_limiter",
    "request_timeout",
    "retry",
    "reuse_client",
    "timeout",
    "verbose",
)


def foreign_name(model: object) -> str:
    """Give the name of another library's model.

    Args:
        model: An object of any class.

    Returns:
        Its ``model_name``, ``model`` or ``model_id``, or the name of its class.
    """
    for attribute in ("model_name", "model", "model_id"):
        name = getattr(model, attribute, None)
        if isinstance(name, str) and name not in {"", "unknown"}:  # LlamaIndex's word for none
            return name
    return type(model).__name__


def foreign_fingerprint(model: object) -> str:
    """Give what tells another library's model from any other, as far as it shows.

    Its class and all its public plain settings count, save keys and what only
    says how it works, not what it computes.

    Args:
        model: An object of any class.

    Returns:
        A short text.
    """
    owner = type(model)
    settings = {name: value for name, value in _vars_of(model).items() if _counts(name, value)}
    text = json.dumps(settings, sort_keys=True, default=repr)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{owner.__module__}.{owner.__qualname__}/{foreign_name(model)}/{digest}"


def _vars_of(model: object) -> dict[str, Any]:
    """Give an object's attributes by name; none for an object without a dictionary."""
    return dict(getattr(model, "__dict__", {}))


def _counts(name: str, value: object) -> bool:
    low = name.lower()
    if low.startswith("_") or any(word in low for word in (*_PRIVATE, *_OPERATIONAL)):
        return False
    return _is_plain(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _counts(k, v) for k, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, int, float, bool))
