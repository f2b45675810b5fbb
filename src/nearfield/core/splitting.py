"""Which function makes nodes of a document: the one given, or one fitted to the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nearfield.core.schema import DERIVED_ID, Node
from nearfield.core.splitter import SentenceSplitter
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.schema import Document, Metadata


def default_splitter(model: BaseEmbedding, facts: Metadata | None = None) -> SentenceSplitter:
    """Give a splitter fitted to a model: measured by its tokenizer, never over its window.

    Args:
        model: The model that will read the nodes.
        facts: What an index remembers: it keeps the sizes it was made with, as far as the
            model reads so much.

    Returns:
        The splitter.
    """
    sizes = facts or {}
    size, overlap = sizes.get("chunk_size"), sizes.get("chunk_overlap")
    if overlap is None:
        return SentenceSplitter.for_model(model, size)
    splitter = SentenceSplitter.for_model(model, size, 0)
    # The model may have come later and read less.
    fits = overlap < splitter.chunk_size
    splitter.chunk_overlap = overlap if fits else splitter.chunk_size // 4
    return splitter


def make_split(transformations: Sequence[Any]) -> Callable[[Document], list[Node]]:
    """Chain transformations into one function.

    Args:
        transformations: First a splitter, which has ``split(document)`` giving nodes, or
            ``split_text(text)`` giving texts, as the splitters of LangChain and LlamaIndex
            have; then any number of functions from a list of nodes to a list of nodes.

    Returns:
        A function from a document to its nodes, which carry its id and ids of their own.

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
    first = _first_step(splitter)

    def split(document: Document) -> list[Node]:
        nodes = list(first(document))
        for other in others:
            nodes = list(other(nodes))
        return _owned(document, nodes)

    return split


def _first_step(splitter: Any) -> Callable[[Document], Iterable[Node]]:
    if callable(getattr(splitter, "split_text", None)):
        return lambda document: _placed(document, splitter.split_text(document.text))
    if callable(getattr(splitter, "split", None)) and not isinstance(splitter, str):
        split: Callable[[Document], Iterable[Node]] = splitter.split
        return split
    message = (
        f"{splitter!r} cannot split: the first of transformations needs split(document) "
        "or split_text(text)."
    )
    raise ConfigError(message)


def _placed(document: Document, pieces: Iterable[str]) -> Iterator[Node]:
    """Make nodes of pieces of a text, and find where each stands."""
    begin = 0
    for piece in pieces:
        found = document.text.find(piece, begin)
        if found < 0:  # reworded by the splitter, or before the one before
            found = max(document.text.find(piece), 0)
        # Facts of its own, or what a function adds to one node would be added to all.
        facts = dict(document.metadata)
        yield Node(piece, document_id=document.id, start=found, metadata=facts)
        begin = found + 1


def _owned(document: Document, nodes: Sequence[Node]) -> list[Node]:
    """Give nodes the id of their document, and equal ones ids of their own."""
    times: Counter[str] = Counter()
    owned = []
    for given in nodes:
        node = given
        if node.document_id != document.id:
            # An id made from the text alone is made anew, from the document's as well.
            name = "" if node.id.startswith(DERIVED_ID) else node.id
            node = replace(node, id=name, document_id=document.id)
        times[node.id] += 1
        if times[node.id] > 1:
            node = replace(node, id=f"{node.id}-{times[node.id]}")
        owned.append(node)
    return owned
