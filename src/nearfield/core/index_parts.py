"""What an index is put together from: its store, its model, its way to compare."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.rebuild import rebuild
from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.core.settings import Settings
from nearfield.core.storage import open_store
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, ModelMismatchError, NearfieldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.storage import StorageContext
    from nearfield.core.store import Header, VectorStore


@contextmanager
def closed_on_failure(store: VectorStore) -> Iterator[VectorStore]:
    """Give a store that was just opened, and close it where the block fails.

    Args:
        store: The store.
    """
    try:
        yield store
    except BaseException:
        store.close()
        raise


def one_store(store: VectorStore | None, context: StorageContext | None) -> VectorStore:
    """Give the one place that an index was told to be in; memory where none is named.

    Args:
        store: The store, if one was given.
        context: LlamaIndex's way to name it.

    Raises:
        ConfigError: Both were given.
    """
    if store is not None and context is not None:
        message = "Pass store or storage_context, not both: an index has one place."
        raise ConfigError(message)
    if context is not None:
        return context.vector_store
    return open_store("memory://") if store is None else store


def metric_for(header: Header | None, given: SimilarityMode | str | None) -> SimilarityMode | None:
    """Give the comparison of a new index, and refuse to change that of an old one.

    Args:
        header: The store's; ``None`` where it is new.
        given: What was asked for, if anything.

    Raises:
        ConfigError: The index compares otherwise.
    """
    metric = None if given is None else SimilarityMode(given)
    if header is not None and metric not in (None, header.metric):
        message = (
            f"The index compares by {header.metric.value!r}, not by {metric.value!r}. "
            "Leave similarity_mode out, or make a new index."
        )
        raise ConfigError(message)
    return metric


def model_for(header: Header | None, given: Any, *, check: bool = True) -> BaseEmbedding:
    """Give the model of an index, and refuse one that did not make it.

    Args:
        header: The store's; ``None`` where it is new.
        given: What was asked for; ``None`` for the settings' model, or the one the index names.
        check: Whether another model is refused.

    Raises:
        ModelMismatchError: Another model made the index.
    """
    model = Settings.embed_model if given is None else resolve_embed_model(given)
    if header is None or not check or model.fingerprint == header.fingerprint:
        return model
    name, cause = header.facts.get("embed_model"), None
    if given is None:
        try:
            again = rebuild(name)
        except NearfieldError as error:
            again, cause = None, error
        if again is not None and again.fingerprint == header.fingerprint:
            return again
    way_out = f"embed_model={name!r}" if name else "the model that made it"
    message = (
        f"The index was made by {header.model_name!r} ({header.fingerprint}), the model in use "
        f"is {model.model_name!r} ({model.fingerprint}). Open it with {way_out}, re-embed "
        "it with this one (`nearfield migrate`), or index the documents anew; check_model=False "
        "uses it all the same."
    )
    raise ModelMismatchError(message) from cause
