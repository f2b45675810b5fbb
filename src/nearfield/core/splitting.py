"""Which function makes nodes of a document: the one given, or one fitted to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.splitter import SentenceSplitter
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.schema import Document, Metadata, Node


def default_splitter(model: BaseEmbedding, facts: Metadata | None = None) -> SentenceSplitter:
    """Give a splitter fitted to a model: measured by its tokenizer, never over its window.

    Args:
        model: The model that will read the nodes.
        facts: What an index remembers: it keeps the sizes it was made with.

    Returns:
        The splitter.
    """
    sizes = facts or {}
    return SentenceSplitter.for_model(model, sizes.get("chunk_size"), sizes.get("chunk_overlap"))


def make_split(transformations: Sequence[Any]) -> Callable[[Document], list[Node]]:
    """Chain transformations into one function.

    Args:
        transformations: First a splitter, which has ``split(document)`` or
            LlamaIndex's ``get_nodes_from_documents([document])``; then any number of
            functions from a list of nodes to a list of nodes.

    Returns:
        A function from a document to its nodes.

    Raises:
        ConfigError: There is no splitter, or something that is neither.
    """
    if not transformations:
        message = "transformations is empty. Leave it out to use the default splitter."
        raise ConfigError(message)
    splitter, *others = transformations
    for other in others:
        if not callable(other):
            message = f"{other!r} in transformations is not a function from nodes to nodes."
            raise ConfigError(message)
    if callable(getattr(splitter, "split", None)):
        first = splitter.split
    elif callable(getattr(splitter, "get_nodes_from_documents", None)):

        def first(document: Document) -> Any:
            return splitter.get_nodes_from_documents([document])

    else:
        message = f"{splitter!r} cannot split: the first of transformations needs split(document)."
        raise ConfigError(message)

    def split(document: Document) -> list[Node]:
        nodes = list(first(document))
        for other in others:
            nodes = list(other(nodes))
        return nodes

    return split
