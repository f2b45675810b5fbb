"""What the server serves, to whom, and how much of it: fixed before the first request."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nearfield.errors import ConfigError
from nearfield.remote.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.index import VectorStoreIndex

API_KEY_VARIABLE = "NEARFIELD_API_KEY"
DEFAULT_PORT = 8000
LEAST_KEY_CHARACTERS = 8
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

TokenArrays = Literal["cl100k", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the server takes, and how long it waits; all at least 1, times above 0.

    Attributes:
        max_body_bytes: Bytes of a request's body.
        max_inputs: Texts in a request.
        max_text_characters: Characters in a text.
        max_request_tokens: Tokens in a request, all texts together.
        max_connections: Connections open at once; more are answered 503.
        queue_requests: Requests that may wait or be computed at once; more are answered 429.
        queue_texts: Texts of all of them.
        queue_bytes: Bytes of the bodies of all of them, and of those that are being read.
        batch_texts: Texts computed together.
        batch_tokens: Tokens computed together, but for a longer text, which goes alone.
        header_timeout_s: Seconds from a request's first byte to the end of its head, and
            from the opening of a connection to its first byte.
        body_timeout_s: Seconds from the head to the end of the body.
        request_timeout_s: Seconds a request may wait for its answer.
        keep_alive_s: Seconds an idle connection is kept open.
        drain_s: Seconds that requests under way are given when the server is stopped.
    """

    max_body_bytes: int = 8 << 20
    max_inputs: int = 2048
    max_text_characters: int = 1_000_000
    max_request_tokens: int = 300_000
    max_connections: int = 4096
    queue_requests: int = 1024
    queue_texts: int = 16_384
    queue_bytes: int = 256 << 20
    batch_texts: int = 32
    batch_tokens: int = 2048
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    request_timeout_s: float = 120.0
    keep_alive_s: float = 30.0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that leave nothing, and those that are no numbers."""
        for name in self.__slots__:
            value = getattr(self, name)
            whole = not name.endswith("_s")
            right = type(value) is int or (not whole and type(value) is float)
            if not right or not value >= (1 if whole else 0.001):
                kind = "a whole number of at least 1" if whole else "a number of seconds above 0"
                message = f"{name} must be {kind}, not {value!r}."
                raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What is served. No request can add to it.

    Args:
        models: By the name clients ask for: a model, or what
            :func:`~nearfield.core.embeddings.resolve_embed_model` makes one of.
        default_model: The model of those who name none; the first by default.
        index: An index, or the path of one; ``/v1/search`` and the page need it.
        rerankers: By name: a reranker, or what names one.
        host: The address to listen at. Others than this machine's own need a key.
        port: The port; 0 for any free one.
        api_key: What clients must send as ``Authorization: Bearer KEY``.
        allowed_hosts: Names that a request's ``Host`` may have; by default this machine's
            own names and ``host``, or any when there is a key.
        token_arrays: How arrays of numbers are read: as OpenAI's clients send them
            (``"cl100k"``), or as the model's own token numbers (``"model"``).
        dimensions: By model: the shorter vectors it was trained for. A model without an
            entry gives its own length only.
        limits: How much is taken.

    Raises:
        ConfigError: The parts do not fit together; an open address has no key.
    """

    models: Mapping[str, str | BaseEmbedding] = field(default_factory=dict)
    default_model: str | None = None
    index: str | Path | VectorStoreIndex | None = None
    rerankers: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    api_key: Secret = field(default_factory=lambda: Secret(variable=API_KEY_VARIABLE))
    allowed_hosts: tuple[str, ...] = ()
    token_arrays: TokenArrays = "cl100k"  # noqa: S105 - not a password
    dimensions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded."""
        if not 0 <= self.port < 1 << 16:
            message = f"port must be between 0 and 65535, not {self.port!r}."
            raise ConfigError(message)
        if self.token_arrays not in ("cl100k", "model"):
            message = f"token_arrays must be 'cl100k' or 'model', not {self.token_arrays!r}."
            raise ConfigError(message)
        for named in (self.default_model, *self.dimensions):
            if named is not None and self.models and named not in self.models:
                message = f"There is no model {named!r} among {', '.join(self.models)}."
                raise ConfigError(message)
        key = self.api_key.reveal()
        if key is not None and (len(key) < LEAST_KEY_CHARACTERS or not _sendable(key)):
            message = (
                f"The API key must have at least {LEAST_KEY_CHARACTERS} characters, all of them "
                "printable ASCII without spaces. Make one with: openssl rand -hex 32"
            )
            raise ConfigError(message)
        if key is None and not is_local(self.host):
            message = (
                f"Listening at {self.host} opens the server to other machines, so it needs a key. "
                f"Pass --api-key-file FILE or set {API_KEY_VARIABLE}, or listen at 127.0.0.1."
            )
            raise ConfigError(message)

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names a request's ``Host`` may have, in lower case; ``None`` for any."""
        if self.allowed_hosts:
            return frozenset(name.lower() for name in (*self.allowed_hosts, *LOCAL_NAMES))
        if self.api_key.reveal() is not None:
            return None  # a page that rebinds its name does not know the key
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset((*LOCAL_NAMES, own.lower()))


def is_local(host: str) -> bool:
    """Say whether an address can be reached from this machine only.

    Args:
        host: A name or an address.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
