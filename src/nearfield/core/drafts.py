"""Documents on their way into a store: split into drafts, packed into windows, counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nearfield.core.metadata import check_metadata
from nearfield.core.schema import as_document
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nearfield.core.schema import Document, Metadata, Node

WINDOW_NODES = 512
WINDOW_CHARACTERS = 1 << 22
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Skipped:
    """A document that was left out.

    Attributes:
        document_id: Its id.
        reason: Why, in one sentence.
    """

    document_id: str
    reason: str


@dataclass(slots=True)
class IngestReport:
    """What a stream did.

    Attributes:
        added: Documents that were new.
        changed: Documents that replaced an older version.
        unchanged: Documents passed over because the store has the same content.
        removed: Documents deleted because they were no longer there.
        skipped: Documents left out, and why.
        nodes: Nodes written.
        embedded: Different texts the model computed.
        truncated_texts: Texts longer than the model reads.
        truncated_tokens: Tokens cut from them.
        seconds: How long it took.
        embedding_s: How much of that the model was at work.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    nodes: int = 0
    embedded: int = 0
    truncated_texts: int = 0
    truncated_tokens: int = 0
    seconds: float = 0.0
    embedding_s: float = 0.0

    def tally(self, drafts: Sequence[Draft]) -> None:
        """Count drafts that were embedded."""
        changed = sum(draft.replaces for draft in drafts)
        self.changed += changed
        self.added += len(drafts) - changed
        self.nodes += sum(len(draft.nodes) for draft in drafts)

    @property
    def busy_share(self) -> float:
        """The part of the time the model was at work, 0 to 1."""
        return min(self.embedding_s / self.seconds, 1.0) if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A document split into nodes, not yet embedded.

    Attributes:
        document_id: The document's id.
        content_hash: The hash of what the nodes were made from.
        nodes: Its nodes, in order.
        metadata: The document's facts.
        replaces: Whether the store has an older version.
    """

    document_id: str
    content_hash: str
    nodes: Sequence[Node]
    metadata: Metadata
    replaces: bool = False


@dataclass(slots=True)
class Window:
    """Drafts that are embedded and written together.

    Attributes:
        drafts: The drafts, in order.
        seen: Documents looked at, unchanged ones included.
        nodes: Nodes of the drafts.
        characters: Characters of those nodes.
    """

    drafts: list[Draft] = field(default_factory=list)
    seen: int = 0
    nodes: int = 0
    characters: int = 0

    def take(self, draft: Draft | None) -> None:
        """Add a draft, or a document that needs nothing done."""
        self.seen += 1
        if draft is not None:
            self.drafts.append(draft)
            self.nodes += len(draft.nodes)
            self.characters += sum(len(node.text) for node in draft.nodes)

    def full(self, most_nodes: int) -> bool:
        """Say whether it is time to embed, or, with nothing to embed, to say how far we are."""
        return max(self.nodes, self.seen) >= most_nodes or self.characters >= WINDOW_CHARACTERS


def make_drafts(
    documents: Iterable[Document],
    split: Callable[[Document], Sequence[Node]],
    known: Mapping[str, str],
    seen: dict[str, str],
    report: IngestReport,
) -> Iterator[Draft | None]:
    """Split what is new or changed.

    Args:
        documents: Any iterable.
        split: Gives the nodes of a document.
        known: The stored content hashes, by document id.
        seen: Takes the content hashes of all documents, as they come.
        report: Takes the counts of unchanged and skipped ones, as they come.

    Yields:
        One item per document: its draft, or ``None`` when nothing is to be done.

    Raises:
        TypeError: Something is not a document.
        ConfigError: The metadata of a document is not JSON, or its text holds half a character:
            told before it is embedded, so that what came before it is written.
    """
    for item in documents:
        document = as_document(item)
        name, content = document.id, document.hash
        if name in seen and seen[name] != content:
            reason = "Another document with the same id, but other content, came before it."
            if "file_path" in document.metadata:
                reason += f" This one is of the file {document.metadata['file_path']!r}."
            report.skipped.append(Skipped(name, reason))
            yield None
        elif name in seen or known.get(name) == content:
            report.unchanged += 1
            seen[name] = content
            yield None
        else:
            seen[name] = content
            shown = repr(name[:SHOWN_CHARACTERS])
            check_metadata(document.metadata, f"document {shown}")
            nodes = split(document)
            _check_texts(nodes, shown)
            yield Draft(name, content, nodes, document.metadata, replaces=name in known)


def _check_texts(nodes: Sequence[Node], shown: str) -> None:
    """Refuse what no model reads, by the document's name: a model knows it by a number only."""
    for node in nodes:
        try:
            if node.embedding is None and isinstance(node.text, str):
                node.text.encode()
        except UnicodeEncodeError as error:
            place = node.start + error.start
            message = (
                f"Document {shown} holds half a character (a lone surrogate) near {place}. "
                "Replace it: text.encode('utf-8', 'replace').decode()."
            )
            raise ConfigError(message) from error


def pack(drafts: Iterable[Draft | None], most_nodes: int) -> Iterator[Window]:
    """Pack drafts into windows.

    Args:
        drafts: Drafts, and ``None`` for documents that need nothing done.
        most_nodes: Where a window is full.

    Yields:
        Windows, in order; when the drafts end in an error, what came before it first.
    """
    window = Window()
    failure: Exception | None = None
    try:
        for draft in drafts:
            window.take(draft)
            if window.full(most_nodes):
                yield window
                window = Window()
    except Exception as error:  # noqa: BLE001 - raised below, after the last window
        failure = error
    yield window
    if failure is not None:
        raise failure
