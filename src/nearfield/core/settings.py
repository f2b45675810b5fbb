"""The process-wide settings, and the only reader of nearfield's own environment variables.

``Settings.x = value`` holds for the whole process, every thread included.
``with Settings.override(x=value):`` holds for the code in the block and the
tasks and copied contexts started in it, and for nothing else. Components read
the settings once, when they are made.

Environment variables, read at first use:

``NEARFIELD_CACHE_DIR``
    Where caches are kept; ``~/.cache/nearfield`` (or under ``XDG_CACHE_HOME``) by default.
``NEARFIELD_THREADS``
    Threads of the native engine; all cores this process may use by default.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.core.llm import check_llm
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nearfield.core.embeddings.base import BaseEmbedding

_overrides: ContextVar[Mapping[str, Any]] = ContextVar(
    "nearfield_settings", default=MappingProxyType({})
)

DEFAULT_CHUNK_OVERLAP = 32


def _resolve_model(value: object) -> BaseEmbedding | None:
    return None if value is None else resolve_embed_model(value)


def _positive(name: str, value: object, *, least: int = 1) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    message = f"Settings.{name} must be a whole number of at least {least}, not {value!r}."
    raise ConfigError(message)


_CHECKS: dict[str, Any] = {
    "embed_model": _resolve_model,
    "llm": lambda value: None if value is None else check_llm(value),
    "node_parser": lambda value: value,
    "chunk_size": lambda value: _positive("chunk_size", value),
    "chunk_overlap": lambda value: _positive("chunk_overlap", value, least=0),
    "threads": lambda value: _positive("threads", value),
    "cache_dir": lambda value: None if value is None else Path(value),
    "callback_manager": lambda value: value,
}


class SettingsStore:
    """What components use when nothing else is said.

    One object of it exists, :data:`Settings`. Setting ``None`` brings back a default.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._values: dict[str, Any] = {}
        self._bundled: BaseEmbedding | None = None

    @contextmanager
    def override(self, **values: Any) -> Iterator[None]:
        """Use other settings within a block.

        Args:
            values: Settings by name.

        Raises:
            ConfigError: A name or a value makes no sense.
        """
        checked = {_ALIASES.get(name, name): _check(name, value) for name, value in values.items()}
        token = _overrides.set(MappingProxyType({**_overrides.get(), **checked}))
        try:
            yield
        finally:
            _overrides.reset(token)

    def reset(self) -> None:
        """Bring back all defaults, for the whole process."""
        with self._lock:
            self._values.clear()

    def __setattr__(self, name: str, value: object) -> None:
        """Set a value for the whole process."""
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        name = _ALIASES.get(name, name)
        checked = _check(name, value)
        with self._lock:
            self._values[name] = checked

    def _get(self, name: str) -> Any:
        overrides = _overrides.get()
        if name in overrides:
            return overrides[name]
        with self._lock:
            return self._values.get(name)

    def _default_model(self) -> BaseEmbedding:
        with self._lock:  # two threads asking first must not load it twice
            if self._bundled is None:
                self._bundled = resolve_embed_model(None)
            return self._bundled

    @property
    def embed_model(self) -> BaseEmbedding:
        """The embedding model; the bundled one unless set.

        Anything that :func:`resolve_embed_model` takes may be assigned.
        """
        model: BaseEmbedding | None = self._get("embed_model")
        return self._default_model() if model is None else model

    @embed_model.setter
    def embed_model(self, value: object) -> None:
        """Never reached: ``__setattr__`` takes all assignments; here for type checkers."""

    @property
    def llm(self) -> Any:
        """The chat model that words answers; ``None`` means answers are extracted, not written."""
        return self._get("llm")

    @llm.setter
    def llm(self, value: object) -> None: ...

    @property
    def node_parser(self) -> Any:
        """The splitter; ``None`` means a sentence splitter fitted to the embedding model."""
        return self._get("node_parser")

    @node_parser.setter
    def node_parser(self, value: object) -> None: ...

    @property
    def text_splitter(self) -> Any:
        """The same as ``node_parser``, as LlamaIndex also spells it."""
        return self._get("node_parser")

    @text_splitter.setter
    def text_splitter(self, value: object) -> None: ...

    @property
    def chunk_size(self) -> int | None:
        """Tokens per node; ``None`` means as many as suit the model, at most 256."""
        size: int | None = self._get("chunk_size")
        return size

    @chunk_size.setter
    def chunk_size(self, value: int | None) -> None: ...

    @property
    def chunk_overlap(self) -> int:
        """Tokens that neighbouring nodes share, at most."""
        overlap: int | None = self._get("chunk_overlap")
        return DEFAULT_CHUNK_OVERLAP if overlap is None else overlap

    @chunk_overlap.setter
    def chunk_overlap(self, value: int | None) -> None: ...

    @property
    def threads(self) -> int:
        """Threads of the native engine."""
        threads: int | None = self._get("threads")
        return threads or _threads_from_environment() or available_cores()

    @threads.setter
    def threads(self, value: int | None) -> None: ...

    @property
    def cache_dir(self) -> Path:
        """The folder of caches; made when first written to."""
        folder: Path | None = self._get("cache_dir")
        return folder or _cache_dir_from_environment()

    @cache_dir.setter
    def cache_dir(self, value: Path | str | None) -> None: ...

    @property
    def callback_manager(self) -> Any:
        """Kept for LlamaIndex's sake, not used."""
        return self._get("callback_manager")

    @callback_manager.setter
    def callback_manager(self, value: object) -> None: ...


_ALIASES = {"text_splitter": "node_parser"}

Settings = SettingsStore()
"""The settings of this process."""


def available_cores() -> int:
    """Give the number of cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(name: str, value: object) -> Any:
    check = _CHECKS.get(_ALIASES.get(name, name))
    if check is None:
        message = f"Settings has no {name!r}. It has: {', '.join(sorted(_CHECKS))}."
        raise ConfigError(message)
    return check(value)


def _threads_from_environment() -> int | None:
    text = os.environ.get("NEARFIELD_THREADS")
    if not text:
        return None
    try:
        return _positive("threads", int(text))
    except ValueError as error:
        message = f"NEARFIELD_THREADS must be a whole number of at least 1, not {text!r}."
        raise ConfigError(message) from error


def _cache_dir_from_environment() -> Path:
    ours = os.environ.get("NEARFIELD_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        if ours:
            return Path(ours).expanduser()
        return (Path(base) if base else Path.home() / ".cache") / "nearfield"
    except RuntimeError as error:  # a container's user may have none
        message = f"No folder for caches: {error} Set NEARFIELD_CACHE_DIR to one."
        raise ConfigError(message) from error
