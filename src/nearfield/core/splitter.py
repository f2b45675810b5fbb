"""Documents into nodes: pieces that the embedding model reads whole.

A document is tokenised once, in sections of bounded length, by the model's own
tokenizer. Sentences are then packed into nodes by the places of their tokens.
Only nodes close to the limit, or cut inside a word, are counted again, as a
piece may have a token more alone than it had in its document.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING

from nearfield.core.pieces import Piece, Tokens, cut, pack
from nearfield.core.schema import Node
from nearfield.core.sentences import Break, sentences
from nearfield.core.settings import Settings
from nearfield.core.tokens import EstimatedMeasure
from nearfield.core.warn import warn
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nearfield.core.embeddings.base import BaseEmbedding
    from nearfield.core.schema import Document
    from nearfield.core.tokens import TokenMeasure

DEFAULT_CHUNK_SIZE = 256

SECTION_CHARACTERS = 65_536
"""The longest stretch handed to a tokenizer at once."""
BATCH_CHARACTERS = 4 * SECTION_CHARACTERS
"""How much is tokenised in one call, over several documents."""
BORDER_TOKENS = 8
"""How many tokens a node may gain by standing alone without being counted again."""
RECOUNT_NODES = 64

_SECTION_ENDS = (("\n\n", Break.PARAGRAPH), ("\n", Break.SENTENCE), (" ", Break.WORD))


class SentenceSplitter:
    """Cuts documents into nodes at paragraphs and sentences.

    A node holds as many whole sentences as fit, ends at a heading or paragraph
    where that leaves it at least half full, and begins with the last sentences of
    the node before, as far as they fit the overlap. Sentences longer than a node
    are cut at lines, clauses, words, and at last at tokens.

    Args:
        chunk_size: The most tokens in a node; by default ``Settings.chunk_size``, or
            else 256 or what the model reads, whichever is less.
        chunk_overlap: The most tokens that a node shares with the one before; by default
            ``Settings.chunk_overlap``, and no more than a quarter of a size that is not that of
            the settings, or of any size where no overlap was set.
        measure: Counts the tokens; by default that of ``Settings.embed_model``.
        window: The most tokens the model reads, specials left out; a greater
            ``chunk_size`` is brought down to it, with a warning. By default that of
            ``Settings.embed_model``, if ``measure`` is.

    Raises:
        ConfigError: The size is less than 1, or the overlap not less than the size.
    """

    def __init__(
        self,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        measure: TokenMeasure | None = None,
        *,
        window: int | None = None,
    ) -> None:
        if measure is None:
            model = Settings.embed_model
            measure = _measure(model)
            window = window or _window(model, measure)
        self.measure = measure
        self.chunk_size = _checked_size(chunk_size, window)
        as_set = chunk_size is None and Settings.chunk_size in (None, self.chunk_size)
        if chunk_overlap is None and as_set:
            # It was set for this very size, and is not made to fit in silence.
            chunk_overlap = Settings._get("chunk_overlap")  # noqa: SLF001 - None where it is not set
        self.chunk_overlap = _checked_overlap(chunk_overlap, self.chunk_size)

    @classmethod
    def for_model(
        cls,
        model: BaseEmbedding,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
    ) -> SentenceSplitter:
        """Make a splitter fitted to a model.

        Args:
            model: Counts the tokens, and sets the most there may be. A model without
                a tokenizer at hand is measured by :class:`EstimatedMeasure`.
            chunk_size: As for the class.
            chunk_overlap: As for the class.

        Returns:
            The splitter.
        """
        measure = _measure(model)
        return cls(chunk_size, chunk_overlap, measure, window=_window(model, measure))

    def __repr__(self) -> str:
        """Name the size and the overlap, in tokens."""
        return f"SentenceSplitter(chunk_size={self.chunk_size}, chunk_overlap={self.chunk_overlap})"

    def split(self, document: Document) -> list[Node]:
        """Cut one document.

        Args:
            document: The document.

        Returns:
            Its nodes in order, ``document.text[node.start:node.end] == node.text``;
            ``[]`` when it holds white space only.
        """
        return list(self.iter_nodes([document]))

    def get_nodes_from_documents(
        self,
        documents: Sequence[Document],
        show_progress: bool = False,  # noqa: ARG002, FBT001, FBT002 - LlamaIndex's signature
    ) -> list[Node]:
        """Cut documents, as LlamaIndex spells it.

        Args:
            documents: Any number of documents.
            show_progress: Accepted for LlamaIndex's sake, not used.

        Returns:
            The nodes, in the order of the documents.
        """
        return list(self.iter_nodes(documents))

    def iter_nodes(self, documents: Iterable[Document]) -> Iterator[Node]:
        """Cut documents as they come, many small ones at once.

        Args:
            documents: Any number of documents; read ahead of the nodes by no more than
                262,144 characters and one document.

        Yields:
            The nodes, in the order of the documents.
        """
        for document, pieces in self._measured(documents):
            spans = pack(pieces, self.chunk_size, self.chunk_overlap)
            for start, end in self._fitted(document.text, spans):
                yield Node(
                    document.text[start:end],
                    document_id=document.id,
                    start=start,
                    end=end,
                    metadata=dict(document.metadata),
                )

    def _measured(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[Document, Iterator[Piece]]]:
        """Give every document that has any with its pieces."""
        stream = self._pieces(documents)
        for _, group in groupby(stream, key=lambda item: item[0].number):
            section, first = next(group)
            rest = map(itemgetter(1), group)  # noqa: B031 - goes on where next() stopped
            yield section.document, chain([first], rest)

    def _pieces(self, documents: Iterable[Document]) -> Iterator[tuple[_Section, Piece]]:
        """Tokenise sections together, across documents, and give their sentences."""
        number = 0
        for batch in _batches(_sections(documents)):
            counted = self.measure.offsets([section.text for section in batch])
            for section, offsets in zip(batch, counted, strict=True):
                length = section.end - section.start
                tokens = Tokens(offsets, length, shift=section.start, number=number)
                number += len(tokens)
                text, before = section.document.text, section.before
                for found in sentences(text, section.start, section.end):
                    strength = found.before if found.start > section.start else before
                    piece = tokens.piece(found.start, found.end, strength)
                    for part in cut(text, piece, tokens, self.chunk_size):
                        yield section, part

    def _fitted(
        self, text: str, spans: Iterator[tuple[int, int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Count again what may have grown by standing alone, and cut what did."""
        while group := list(islice(spans, RECOUNT_NODES)):
            doubtful = [
                (start, end)
                for start, end, count in group
                if count > self.chunk_size - BORDER_TOKENS or not _stands_alone(text, start, end)
            ]
            counts = self.measure.offsets([text[start:end] for start, end in doubtful])
            recounted = dict(zip(doubtful, counts, strict=True))
            for start, end, _ in group:
                offsets = recounted.get((start, end))
                if offsets is None:
                    yield start, end
                else:
                    yield from self._cut_to_fit(text, start, end, offsets)

    def _cut_to_fit(
        self, text: str, start: int, end: int, offsets: NDArray[np.int32]
    ) -> Iterator[tuple[int, int]]:
        """Cut a node in two or more, if it has too many tokens by itself."""
        if len(offsets) <= self.chunk_size or end - start == 1:
            yield start, end
            return
        tokens = Tokens(offsets, end - start, shift=start)
        # A part may gain tokens as well: leave room, and never try with the whole again.
        size = max(min(self.chunk_size - BORDER_TOKENS, len(offsets) // 2), 1)
        for part in cut(text, tokens.piece(start, end, Break.WORD), tokens, size):
            alone = self.measure.offsets([text[part.start : part.end]])[0]
            yield from self._cut_to_fit(text, part.start, part.end, alone)


@dataclass(frozen=True, slots=True)
class _Section:
    """A stretch of a document that is tokenised at once."""

    number: int
    document: Document
    start: int
    end: int
    before: Break

    @property
    def text(self) -> str:
        return self.document.text[self.start : self.end]


def _sections(documents: Iterable[Document]) -> Iterator[_Section]:
    """Cut documents into sections, at an empty line, a line or a word where there is one."""
    for number, document in enumerate(documents):
        text, start, before = document.text, 0, Break.PARAGRAPH
        while start < len(text):
            end, after = min(start + SECTION_CHARACTERS, len(text)), Break.WORD
            if end < len(text):
                end, after = _section_end(text, start, end)
            yield _Section(number, document, start, end, before)
            start, before = end, after


def _section_end(text: str, start: int, limit: int) -> tuple[int, Break]:
    for mark, strength in _SECTION_ENDS:
        place = text.rfind(mark, (start + limit) // 2, limit)
        if place >= 0:
            return place + len(mark), strength
    return limit, Break.WORD


def _batches(sections: Iterator[_Section]) -> Iterator[list[_Section]]:
    batch: list[_Section] = []
    size = 0
    for section in sections:
        batch.append(section)
        size += section.end - section.start
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether white space, or nothing, is on either side."""
    return (start == 0 or text[start - 1].isspace()) and (end >= len(text) or text[end].isspace())


def _measure(model: BaseEmbedding) -> TokenMeasure:
    return model.measure or EstimatedMeasure()


def _window(model: BaseEmbedding, measure: TokenMeasure) -> int | None:
    return model.max_tokens - measure.special_tokens if model.max_tokens else None


def _checked_size(asked: int | None, window: int | None) -> int:
    wanted = Settings.chunk_size if asked is None else asked
    if wanted is None:
        return min(DEFAULT_CHUNK_SIZE, window or DEFAULT_CHUNK_SIZE)
    if wanted < 1:
        message = f"chunk_size must be at least 1 token, not {wanted}."
        raise ConfigError(message)
    if window is not None and wanted > window:
        warn(
            f"chunk_size {wanted} is more than the {window} tokens the model reads; "
            f"{window} is used."
        )
        return window
    return wanted


def _checked_overlap(asked: int | None, size: int) -> int:
    if asked is None:
        return min(Settings.chunk_overlap, size // 4)
    if not 0 <= asked < size:
        message = f"chunk_overlap must be from 0 to {size - 1} (chunk_size - 1), not {asked}."
        raise ConfigError(message)
    return asked
