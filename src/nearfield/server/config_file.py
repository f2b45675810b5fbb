"""A server's configuration from a TOML file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from nearfield.errors import ConfigError
from nearfield.server.config import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KINDS: dict[str, tuple[type, str]] = {
    "host": (str, "a string"),
    "port": (int, "a whole number"),
    "api_key_file": (str, "a path"),
    "allowed_hosts": (list, "a list of names"),
    "default_model": (str, "a name"),
    "index": (str, "a path"),
    "token_arrays": (str, "a string"),
    "models": (dict, "a table"),
    "rerankers": (dict, "a table"),
    "limits": (dict, "a table"),
}


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a configuration.

    Paths in it are relative to its folder.

    Args:
        path: The file.

    Returns:
        Keywords of :class:`~nearfield.server.config.ServerConfig`, and ``api_key_file``.

    Raises:
        ConfigError: The file cannot be read, or a line of it means nothing here.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise ConfigError(message) from error
    except ValueError as error:
        message = f"{path} is not valid TOML: {error}."
        raise ConfigError(message) from error
    try:
        return _read(found, path.absolute().parent)
    except ConfigError as error:
        message = f"{path}: {error}"
        raise ConfigError(message) from error


def _read(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    unknown = [name for name in found if name not in _KINDS]
    if unknown:
        message = f"unknown setting {unknown[0]!r}. There are: {', '.join(_KINDS)}."
        raise ConfigError(message)
    for name, (kind, words) in _KINDS.items():
        if name in found:
            _check(name, found[name], kind, words)
    for name in ("index", "api_key_file"):
        if name in found and "://" not in found[name]:
            found[name] = folder / found[name]
    if "allowed_hosts" in found:
        found["allowed_hosts"] = tuple(map(str, found["allowed_hosts"]))
    if "limits" in found:
        found["limits"] = _limits(found["limits"])
    if "models" in found:
        found["models"], found["dimensions"] = _models(found["models"])
    for name, spec in found.get("rerankers", {}).items():
        _check(f"rerankers.{name}", spec, str, "what names a reranker")
    return found


def _limits(table: Mapping[str, Any]) -> Limits:
    unknown = [name for name in table if name not in Limits.__slots__]
    if unknown:
        message = f"unknown limit {unknown[0]!r}. There are: {', '.join(Limits.__slots__)}."
        raise ConfigError(message)
    return Limits(**table)


def _models(table: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Read ``name = "SPEC"`` and ``name = { spec = "SPEC", dimensions = [256] }``."""
    models: dict[str, str] = {}
    dimensions: dict[str, tuple[int, ...]] = {}
    for name, given in table.items():
        entry = {"spec": given} if isinstance(given, str) else given
        _check(f"models.{name}", entry, dict, "what names a model, or a table")
        spec, shorter = entry.get("spec"), entry.get("dimensions", [])
        _check(f"models.{name}.spec", spec, str, "what names a model")
        _check(f"models.{name}.dimensions", shorter, list, "a list of whole numbers")
        unknown = entry.keys() - {"spec", "dimensions"}
        if unknown or not all(type(number) is int and number > 0 for number in shorter):
            message = f"models.{name} takes 'spec' and 'dimensions', a list of whole numbers."
            raise ConfigError(message)
        models[name] = str(spec)
        if shorter:
            dimensions[name] = tuple(map(int, shorter))
    return models, dimensions


def _check(name: str, value: object, kind: type, words: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        message = f"{name} must be {words}, not {value!r}."
        raise ConfigError(message)
