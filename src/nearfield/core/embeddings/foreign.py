"""Models of other libraries: one class that computes through theirs, and what tells them apart."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nearfield.core.embeddings.base import BaseEmbedding
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.embeddings.base import InputType

DEFAULT_BATCH_SIZE = 256

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


class Methods(NamedTuple):
    """What a library calls the methods of its models.

    Attributes:
        documents: Takes a list of texts.
        query: Takes one question.
    """

    documents: str
    query: str


class ForeignEmbedding(BaseEmbedding):
    """A model that computes through the methods of another library's object.

    The object is known by these methods: its library need not be installed. Batches are
    large because the libraries' classes cut them again to their own size.

    Args:
        model: The object.
        model_name: A name for it, part of the fingerprint; its own by default.
        embed_batch_size: Texts handed over at once, 1 to 2,048.
        num_workers: Batches under way at the same time.
        cache: Where vectors are kept between calls; nowhere by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: The object lacks one of the methods.
    """

    library: ClassVar[str]
    """What comes before the fingerprint, and keeps those of two libraries apart."""
    kind: ClassVar[str]
    """What the library calls such an object, for messages."""
    methods: ClassVar[Methods]
    """What it calls the methods; those that wait have an ``a`` before."""

    def __init__(
        self,
        model: Any,
        model_name: str | None = None,
        embed_batch_size: int = DEFAULT_BATCH_SIZE,
        *,
        num_workers: int | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,
    ) -> None:
        if isinstance(model, type) or not all(
            callable(getattr(model, name, None)) for name in self.methods
        ):
            documents, query = self.methods
            message = (
                f"{model!r} is no {self.kind}: it needs {documents}(texts) and {query}(query)."
            )
            raise ConfigError(message)
        super().__init__(
            model_name or foreign_name(model),
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        self._model = model
        self._foreign = foreign_fingerprint(model)
        if model_name and model_name != foreign_name(model):  # tells apart what looks alike
            self._foreign += f"/{model_name}"

    @property
    def fingerprint(self) -> str:
        """The object's class, name and plain settings, and the name given to it here."""
        return f"{self.library}:{self._foreign}"

    def __repr__(self) -> str:
        """Name the object's class and the model; never its settings."""
        return (
            f"{type(self).__name__}({type(self._model).__name__}, model_name={self.model_name!r})"
        )

    def _encode(self, texts: Sequence[str], input_type: InputType) -> object:
        if input_type == "query":
            ask = getattr(self._model, self.methods.query)
            return [ask(text) for text in texts]
        return getattr(self._model, self.methods.documents)(list(texts))

    async def _aencode(self, texts: Sequence[str], input_type: InputType) -> object:
        asks = input_type == "query"
        name = self.methods.query if asks else self.methods.documents
        method = getattr(self._model, f"a{name}", None)
        # LlamaIndex wraps its methods for tracing; unwrap to see what they are.
        if method is None or not inspect.iscoroutinefunction(inspect.unwrap(method)):
            return await asyncio.to_thread(self._encode, texts, input_type)
        if asks:
            return await asyncio.gather(*map(method, texts))
        return await method(list(texts))


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
    counting = {name: value for name, value in _vars_of(model).items() if _counts(name, value)}
    text = json.dumps(_shown(counting), sort_keys=True, default=repr)
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
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, int, float, bool, dict))


def _shown(value: object) -> object:
    """Give a plain value; of a dictionary, in it too, the entries that count."""
    if isinstance(value, dict):
        return {
            name: _shown(entry)
            for name, entry in value.items()
            if isinstance(name, str) and (entry is None or _counts(name, entry))
        }
    return [_shown(item) for item in value] if isinstance(value, (list, tuple)) else value
