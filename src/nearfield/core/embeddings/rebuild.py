"""From a model to the name it can be made by again, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.core.registry import EMBEDDINGS

if TYPE_CHECKING:
    from nearfield.core.embeddings.base import BaseEmbedding

RUN_HERE = ("bundled", "local", "static")
"""Providers that send no text anywhere."""


def name_of(model: BaseEmbedding) -> str | None:
    """Give the name that stands for a model, for :func:`resolve_embed_model`.

    Args:
        model: Any model.

    Returns:
        Such as ``"bundled"`` or ``"local:BAAI/bge-small-en-v1.5"``; ``None`` when no
        registered provider makes it. Options besides the name are not in it.
    """
    target = f"{type(model).__module__}:{type(model).__qualname__}"
    for name, registered in EMBEDDINGS.items():
        if registered.target == target:
            return f"{name}:{model.model_name}" if registered.argument else name
    return None


def rebuild(name: object) -> BaseEmbedding | None:
    """Make a model again from its name, if that sends nothing anywhere.

    An index may come from anybody: a name in it never leads to a remote provider.

    Args:
        name: What :func:`name_of` gave.

    Returns:
        The model; ``None`` when it does not run on this machine.

    Raises:
        NearfieldError: The model cannot be loaded.
    """
    if isinstance(name, str) and name.partition(":")[0] in RUN_HERE:
        return resolve_embed_model(name)
    return None
