"""The records that flow through nearfield: documents, nodes, scored nodes, responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.vectors import Vector

Metadata = dict[str, Any]
"""JSON-able facts about a document or node, by name. Never part of the embedded text."""

DERIVED_ID = "node-"
"""How an id begins that a node was given because it had none."""

FILE_FACTS = frozenset(
    {"file_path", "file_type", "file_size", "creation_date", "last_modified_date"}
)
"""Facts of a file that are no part of its content: touching or moving it changes these alone."""


def content_hash(text: str, metadata: Mapping[str, Any] | None = None) -> str:
    """Give a stable name of a content: equal contents, equal hashes, on every machine.

    Args:
        text: The text, hashed as UTF-8 (lone surrogates included).
        metadata: Facts that belong to the content, hashed as sorted JSON.

    Returns:
        A SHA-256 in hexadecimal, 64 characters.

    Raises:
        ConfigError: The metadata has no end, or keys of several kinds.
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    if metadata:
        try:
            facts = json.dumps(metadata, sort_keys=True, ensure_ascii=False, default=str)
        except (RecursionError, TypeError, ValueError) as error:
            message = (
                f"The metadata of a document cannot be written as JSON: {error}. "
                "Store text, numbers, lists or None under names that are text."
            )
            raise ConfigError(message) from error
        digest.update(b"\x00" + facts.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def check_mapping(metadata: object, owner: str) -> None:
    """Refuse metadata that is not facts by name.

    Args:
        metadata: What was given.
        owner: Whose it is, for the message.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(metadata, Mapping):
        message = (
            f"The metadata of {owner} is facts by name, not {type(metadata).__name__}. "
            "Write a dictionary, such as {'source': 'a.txt'}."
        )
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, init=False)
class Document:
    """A text with a name and facts about it.

    Args:
        text: The whole text.
        metadata: Facts about the document.
        id: Its name, unique in an index. By default derived from the text, so
            that equal texts are one document.
        id_: The same as ``id``, as LlamaIndex spells it.
        doc_id: The same as ``id``, as LlamaIndex spells it.

    Raises:
        TypeError: The text or the id is no string.
        ConfigError: The metadata is not facts by name.
    """

    text: str
    metadata: Metadata
    id: str

    def __init__(
        self,
        text: str = "",
        metadata: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        *,
        id_: str | None = None,
        doc_id: str | None = None,
    ) -> None:
        if not isinstance(text, str):
            message = f"The text of a Document must be str, not {type(text).__name__}."
            raise TypeError(message)
        for given in (id, id_, doc_id):
            if not isinstance(given, str | None):
                message = f"The id of a Document must be str, not {type(given).__name__}."
                raise TypeError(message)
        if metadata is not None:
            check_mapping(metadata, "a Document")
        name = id or id_ or doc_id or f"doc-{content_hash(text)[:24]}"
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "metadata", dict(metadata or {}))
        object.__setattr__(self, "id", name)

    @property
    def id_(self) -> str:
        """The document's id, as LlamaIndex spells it."""
        return self.id

    @property
    def doc_id(self) -> str:
        """The document's id, as LlamaIndex spells it."""
        return self.id

    @property
    def hash(self) -> str:
        """The content hash of text and metadata: it changes when either does.

        The metadata in ``FILE_FACTS`` does not count: a file that was only touched or
        moved with its folder is not embedded again.
        """
        facts = {name: fact for name, fact in self.metadata.items() if name not in FILE_FACTS}
        return content_hash(self.text, facts)

    def get_content(self) -> str:
        """Give the text, as LlamaIndex spells it."""
        return self.text


def as_document(item: object) -> Document:
    """Give another library's document as one of ours.

    Args:
        item: A :class:`Document`, or an object like those of LlamaIndex (``text``,
            ``metadata``, ``id_``) or LangChain (``page_content``, ``metadata``, ``id``).

    Returns:
        The document; ``item`` itself when it is one of ours.

    Raises:
        TypeError: It is no document.
    """
    if isinstance(item, Document):
        return item
    text = getattr(item, "page_content", None)
    if text is None:
        text = getattr(item, "text", None)
    if not isinstance(text, str):
        hint = " Write Document(text=...)." if isinstance(item, str) else ""
        message = f"Expected a Document, got {type(item).__name__}.{hint}"
        raise TypeError(message)
    name = getattr(item, "id_", None) or getattr(item, "id", None)
    return Document(text, getattr(item, "metadata", None), name)


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of a document, small enough to embed whole.

    Attributes:
        text: The piece; ``document.text[start:end]`` for a node made by the splitter.
        id: Its name, unique in an index; by default derived from document, place and text,
            without a document from text and facts.
        document_id: The document it came from.
        start: First character in the document, from 0.
        end: One past the last character.
        metadata: Facts, those of the document included.
        embedding: A vector of its own, ``(dim,)``; embedded by the index when ``None``.
    """

    text: str
    id: str = ""
    document_id: str = ""
    start: int = 0
    end: int = -1
    metadata: Metadata = field(default_factory=dict)
    embedding: Vector | Sequence[float] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Fill in what was left out."""
        if not self.id:
            seed = f"{self.document_id}\x00{self.start}\x00{self.text}"
            # Of no document, equal texts are told apart by their facts alone.
            facts = None if self.document_id else self.metadata
            object.__setattr__(self, "id", f"{DERIVED_ID}{content_hash(seed, facts)[:24]}")
        if not self.document_id:
            object.__setattr__(self, "document_id", self.id)
        if self.end < 0:
            object.__setattr__(self, "end", self.start + len(self.text))

    @property
    def id_(self) -> str:
        """The node's id, as LlamaIndex spells it."""
        return self.id

    @property
    def node_id(self) -> str:
        """The node's id, as LlamaIndex spells it."""
        return self.id

    @property
    def ref_doc_id(self) -> str:
        """The document's id, as LlamaIndex spells it."""
        return self.document_id

    def get_content(self) -> str:
        """Give the text, as LlamaIndex spells it."""
        return self.text


TextNode = Node
"""LlamaIndex's name for a node."""

_FIELDS = {"id": str, "document_id": str, "text": str, "start": int, "end": int}
_PLACES = range(-(2**63), 2**63)


def check_node(node: object) -> None:
    """Refuse what no store could keep as a node.

    Args:
        node: What was given.

    Raises:
        TypeError: It is no :class:`Node`, or its texts or places are of the wrong type.
        ConfigError: A place is no number of 64 bits.
    """
    if not isinstance(node, Node):
        message = f"Expected a Node, got {type(node).__name__}. Write Node(text=...)."
        raise TypeError(message)
    for name, wanted in _FIELDS.items():
        value = getattr(node, name)
        if not isinstance(value, wanted):
            message = (
                f"The {name} of node {node.id!r} must be {wanted.__name__}, "
                f"not {type(value).__name__}."
            )
            raise TypeError(message)
        if isinstance(value, int) and value not in _PLACES:
            message = f"The {name} of node {node.id!r} must fit into 64 bits."
            raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class NodeWithScore:
    """A node found by a query.

    Attributes:
        node: The node.
        score: How near it is; higher is better, whatever the metric.
    """

    node: Node
    score: float

    @property
    def text(self) -> str:
        """The node's text."""
        return self.node.text

    @property
    def metadata(self) -> Metadata:
        """The node's facts."""
        return self.node.metadata

    @property
    def node_id(self) -> str:
        """The node's id."""
        return self.node.id

    @property
    def id_(self) -> str:
        """The node's id, as LlamaIndex spells it."""
        return self.node.id

    def get_content(self) -> str:
        """Give the node's text, as LlamaIndex spells it."""
        return self.node.text

    def get_text(self) -> str:
        """Give the node's text, as LlamaIndex spells it."""
        return self.node.text

    def get_score(self) -> float:
        """Give the score, as LlamaIndex spells it."""
        return self.score


@dataclass(frozen=True, slots=True)
class QueryBundle:
    """A question, with its vector if that is known already.

    Attributes:
        query_str: The question; words are searched by it.
        embedding: Its vector, ``(dim,)``; computed when ``None``.
    """

    query_str: str
    embedding: Vector | Sequence[float] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer and what it rests on.

    Attributes:
        response: The answer's text.
        source_nodes: The nodes it was made from, best first.
        metadata: How it was made: ``mode`` is ``"extractive"`` or ``"synthesized"``.
    """

    response: str
    source_nodes: list[NodeWithScore] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Give the answer, and below it the sources its numbers stand for."""
        return "\n\n".join(part for part in (self.response, self.get_formatted_sources()) if part)

    def get_formatted_sources(self) -> str:
        """Give one line per source: its number, its document, where in it, and its score."""
        return "\n".join(
            f"[{number}] {found.node.document_id}, characters {found.node.start}-{found.node.end}"
            f" (score {found.score:.3f})"
            for number, found in enumerate(self.source_nodes, 1)
        )
