"""From what a user wrote for a model to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.base import BaseEmbedding
from nearfield.core.registry import EMBEDDINGS, find
from nearfield.errors import ConfigError, UnknownProviderError

if TYPE_CHECKING:
    from nearfield.core.registry import Registered

DEFAULT_NAMES = ("default", "local", "bundled")
"""Names of the bundled model; no name at all is another."""

# What an object of another library is known by: its methods, never its type,
# so that the other library need not be importable. LlamaIndex first, for its
# models may carry LangChain's names too.
_FOREIGN = (
    ("llama-index", ("get_text_embedding_batch", "get_query_embedding")),
    ("langchain", ("embed_documents", "embed_query")),
)


def resolve_embed_model(model: object = None) -> BaseEmbedding:
    """Give the model that a user's value stands for.

    Args:
        model: A model; ``None``, ``"default"`` or ``"local"`` for the bundled one;
            ``"local:NAME"`` for a Hugging Face model run here; ``"openai"``,
            ``"openai:MODEL"``, ``"azure:DEPLOYMENT"`` or any other registered
            name; or an embeddings object of LangChain or LlamaIndex.

    Returns:
        The model. No name leads to a remote one unless it says so.

    Raises:
        UnknownProviderError: The string names nothing that exists.
        ConfigError: The value is of a kind that cannot embed.
        MissingDependencyError: The provider's library is not installed.
    """
    if isinstance(model, BaseEmbedding):
        return model
    if model is None:
        return _make(EMBEDDINGS["bundled"])
    if isinstance(model, str):
        return _from_name(model)
    for provider, methods in _FOREIGN:
        if not isinstance(model, type) and all(callable(getattr(model, m, None)) for m in methods):
            return _make(EMBEDDINGS[provider], model)
    hint = f" Did you mean {model.__name__}()?" if isinstance(model, type) else ""
    message = (
        f"{type(model).__name__!r} object cannot be used as an embedding model.{hint} Pass a "
        "BaseEmbedding, a LangChain or LlamaIndex embeddings object, or a name such as 'openai'."
    )
    raise ConfigError(message)


def _from_name(name: str) -> BaseEmbedding:
    if name in DEFAULT_NAMES:
        return _make(EMBEDDINGS["bundled"])
    provider, colon, argument = name.partition(":")
    try:
        registered = find("embeddings", provider)
    except UnknownProviderError as error:
        message = f"{error}{_meant(name)}"
        raise UnknownProviderError(message) from None
    if not colon:
        return _make(registered)
    if not argument or registered.argument is None:
        message = f"{name!r} is not a model name. Write {provider!r} or '{provider}:NAME'."
        raise ConfigError(message)
    return _make(registered, **{registered.argument: argument})


def _meant(name: str) -> str:
    """Guess what a name without a provider's stands for."""
    if name.startswith("text-embedding-"):
        return f" OpenAI's model is 'openai:{name}'."
    if "/" in name or "MiniLM" in name:
        return f" A model of Hugging Face, or one in a folder, is 'local:{name}'."
    return ""


def _make(registered: Registered, *args: object, **kwargs: Any) -> BaseEmbedding:
    made: BaseEmbedding = registered.load()(*args, **kwargs)
    return made
