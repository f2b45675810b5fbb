"""Sentences with counted tokens, cut where too long and packed into nodes: pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.sentences import Break

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

LONGEST_TOKEN = 64
"""Characters; a longer token, or a longer stretch without one, is where a tokenizer gave up."""
UNKNOWN_CHARACTERS = 4
"""Characters of such a stretch that count as one token."""

_VISIBLE = re.compile(r"\S")
_CLAUSES = (", ", "; ", ": ", "\u3001", "\uff0c", "\uff1b", "\uff1a")
_SPACES = (" ", "\t", "\u3000", "\u00a0")


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a part of one that is too long.

    Attributes:
        start: First character in the document.
        end: One past the last.
        first: Number of its first token, counted from anywhere, but the same for all
            pieces of a document.
        last: One past the number of its last token.
        before: How good a place to part the text its beginning is.
    """

    start: int
    end: int
    first: int
    last: int
    before: Break


class Tokens:
    """Where the tokens of a stretch of text begin and end.

    Args:
        offsets: ``(tokens, 2)`` int32, in characters of the stretch, as a measure gives them.
        length: Characters in the stretch.
        shift: Where the stretch begins in its document.
        number: The number of its first token.
    """

    def __init__(
        self, offsets: NDArray[np.int32], length: int, *, shift: int = 0, number: int = 0
    ) -> None:
        # In order already but for tokenizers that reorder characters.
        starts = np.maximum.accumulate(offsets[:, 0].astype(np.int64))
        ends = np.maximum.accumulate(offsets[:, 1].astype(np.int64))
        starts, ends = _without_gaps(starts, ends, length)
        self._starts = starts + shift
        self._ends = ends + shift
        self._number = number

    def __len__(self) -> int:
        """Give the count of tokens."""
        return len(self._starts)

    def piece(self, start: int, end: int, before: Break) -> Piece:
        """Give a part of the text with its tokens, those at its borders included."""
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._starts, end, side="left"))
        return Piece(start, end, self._number + first, self._number + last, before)

    def start_of(self, token: int) -> int:
        """Give the first character of a token, by its number."""
        return int(self._starts[token - self._number])


def _without_gaps(
    starts: NDArray[np.int64], ends: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count overlong tokens, and long stretches without any, by their characters."""
    after, until = np.append(0, ends), np.append(starts, length)
    gaps = until - after > LONGEST_TOKEN
    if gaps.any():
        starts, ends = np.append(starts, after[gaps]), np.append(ends, until[gaps])
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    lengths = ends - starts
    if not len(lengths) or lengths.max() <= LONGEST_TOKEN:
        return starts, ends
    parts = np.where(lengths > LONGEST_TOKEN, -(-lengths // UNKNOWN_CHARACTERS), 1)
    nth = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    last = nth + 1 == np.repeat(parts, parts)
    finer = np.repeat(starts, parts) + nth * UNKNOWN_CHARACTERS
    return finer, np.where(last, np.repeat(ends, parts), finer + UNKNOWN_CHARACTERS)


def cut(text: str, piece: Piece, tokens: Tokens, size: int) -> Iterator[Piece]:
    """Part a piece that is too long, at lines, clauses, words, or else at tokens.

    Args:
        text: The document's text.
        piece: What to part.
        tokens: Tokens of the stretch it lies in.
        size: The most tokens in a part, at least 1.

    Yields:
        The parts in order, without white space at their ends. One character alone
        may have more than ``size`` tokens.
    """
    before = piece.before
    while piece.last - piece.first > size:
        limit = max(tokens.start_of(piece.first + size), piece.start + 1)
        place = _parting_place(text, piece.start, limit)
        kept = len(text[piece.start : place].rstrip())
        yield tokens.piece(piece.start, piece.start + kept, before)
        following = _VISIBLE.search(text, place, piece.end)
        if following is None:
            return
        before = Break.WORD
        piece = tokens.piece(following.start(), piece.end, before)
    yield piece


def _parting_place(text: str, start: int, limit: int) -> int:
    """Find the best place to part a text, after ``start``, with no more before it than fits."""
    middle = (start + limit) // 2
    line = text.rfind("\n", middle, limit + 1)
    if line > start:
        return line
    for marks, least, most in (
        (_CLAUSES, (middle + limit) // 2, limit),
        (_SPACES, start + 1, limit + 1),  # a space may follow what fits
    ):
        place = max(text.rfind(mark, least, most) for mark in marks)
        if place > start:
            return place + 1
    return limit


def pack(pieces: Iterable[Piece], size: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """Put pieces together into nodes.

    Args:
        pieces: The pieces of a document, in order, none of more than ``size`` tokens.
        size: The most tokens in a node.
        overlap: The most tokens that a node repeats of the one before, in whole pieces.

    Yields:
        For each node its first character, one past its last, and its count of tokens.
    """
    held: list[Piece] = []
    repeated = 0  # how many of those held were in the node before
    for piece in pieces:
        while held and piece.last - held[0].first > size:
            ending = _ending(held, piece.before, repeated, size)
            done, rest = held[:ending], held[ending:]
            yield _span(done)
            shared = [one for one in done[1:] if done[-1].last - one.first <= overlap]
            held, repeated = shared + rest, len(shared)
            while repeated and piece.last - held[0].first > size:
                del held[0]
                repeated -= 1
        held.append(piece)
    if len(held) > repeated:
        yield _span(held)


def _span(pieces: Sequence[Piece]) -> tuple[int, int, int]:
    return pieces[0].start, pieces[-1].end, pieces[-1].last - pieces[0].first


def _ending(held: Sequence[Piece], following: Break, repeated: int, size: int) -> int:
    """Choose how many of the pieces held make the next node: at least one new one."""
    breaks = [*(piece.before for piece in held[1:]), following]
    choices = range(repeated + 1, len(held) + 1)
    full = [n for n in choices if 2 * (held[n - 1].last - held[0].first) >= size or n == len(held)]
    best = max(full, key=lambda n: (breaks[n - 1], n))
    if breaks[best - 1] is Break.NEVER:
        best = max(choices, key=lambda n: (breaks[n - 1], n))
    return best
