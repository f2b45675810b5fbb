"""Where sentences, paragraphs and headings begin and end.

Rules, not a model: a sentence ends at its mark when white space and no small
letter follow, and when the word before is no abbreviation; at the marks of
Chinese, Japanese and other scripts at once; at an empty line; before a list
item, a table row or a heading, and after a heading. A wrapped line does not
end one. Doubtful places stay joined: two sentences in one span do less harm
than half of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Break(IntEnum):
    """How good a place it is to part a text, before a sentence; higher is better."""

    NEVER = 0
    """Right after a heading, which belongs to what follows."""
    WORD = 1
    """Inside a sentence."""
    SENTENCE = 2
    LINE = 3
    """Before a list item or a table row."""
    PARAGRAPH = 4
    HEADING = 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its place.

    Attributes:
        start: First character.
        end: One past the last character; no white space at either end.
        before: How good a place to part the text its beginning is.
    """

    start: int
    end: int
    before: Break


# Devanagari, Arabic, Urdu, Ethiopic, Khmer, Burmese and Armenian full stops stand with the
# Chinese and Japanese ones.
_WIDE = "\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4\u1362\u17d4\u104b\u0589"
_MARKS = ".!?\u2026\u203d"
_CLOSERS = "[\"'*_)\\]}\u2019\u201d\u00bb\u300d\u300f\uff09\u3011\u300b]"
# Linear in any text: each alternative can begin only at the first of a run (a look-behind or
# a line's beginning), and gives nothing back once it has taken it (possessive).
_BOUNDARY = re.compile(
    rf"""
      (?P<empty>\n[^\S\n]*+\n(?:[^\S\n]*+\n)*+)
    | (?P<heading>^(?: \#{{1,6}}[^\S\n][^\n]*+
                     | (?![|>\-*+]\s)\S[^\n]{{0,119}}+\n[=\-~^]{{3,200}}+[^\S\n]*+$ ))
    | (?P<line>\n(?=[^\S\n]{{0,12}}(?:[-*+\u2022]\s|\d{{1,3}}[.)]\s|\|)))
    | (?<![{_MARKS}])(?P<mark>[{_MARKS}]++){_CLOSERS}*+(?=\s)
    | (?<![{_WIDE}])[{_WIDE}]++{_CLOSERS}*+
    """,
    re.VERBOSE | re.MULTILINE,
)
_NEXT = re.compile(r"\S")
_LONGEST_ABBREVIATION = 12
_OPENERS = "([{\"'\u201c\u2018\u00ab*_"

# fmt: off
_NEVER_LAST = frozenset({
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "rev", "hon", "gov", "sen", "rep", "gen", "col",
    "sgt", "capt", "lt", "mt", "messrs", "vs", "al", "cf", "e.g", "i.e", "viz", "resp", "incl",
    "approx", "ca", "bzw", "dott", "sig", "sra",
})
"""Words whose full stop does not end a sentence."""
_BEFORE_NUMBERS = frozenset({
    "no", "nos", "nr", "fig", "figs", "eq", "eqs", "sec", "ch", "chap", "art", "vol", "vols", "p",
    "pp", "ed", "tab", "app", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
    "oct", "nov", "dec",
})
"""Words whose full stop does not end a sentence when a number follows."""
# fmt: on


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[Sentence]:
    """Find the sentences of a text, or of a part of it.

    Args:
        text: Any text.
        start: Where to begin.
        end: Where to stop; the end of the text by default.

    Yields:
        The sentences in order. Between them lies white space only; none is empty.
    """
    stop = len(text) if end is None else end
    here, before = start, Break.PARAGRAPH
    for found in _BOUNDARY.finditer(text, start, stop):
        kind = found.lastgroup
        if kind == "mark" and not _ends_sentence(text, found.start(), found.end(), stop):
            continue
        cut = found.start() if kind == "heading" else found.end()
        span = _trimmed(text, here, cut)
        if span is not None:
            yield Sentence(*span, before)
            before = Break.SENTENCE
        here = cut
        if kind == "heading":
            strength = Break.NEVER if before is Break.NEVER else Break.HEADING
            yield Sentence(cut, cut + len(found.group().rstrip()), strength)
            here, before = found.end(), Break.NEVER
        elif before is not Break.NEVER and kind in _STRENGTH:
            before = max(before, _STRENGTH[kind])
    span = _trimmed(text, here, stop)
    if span is not None:
        yield Sentence(*span, before)


_STRENGTH = {"empty": Break.PARAGRAPH, "line": Break.LINE}


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Give the place of every sentence.

    Args:
        text: Any text.

    Returns:
        First character and one past the last of each, in order, without white
        space at the ends; ``[]`` for a text of white space.
    """
    return [(sentence.start, sentence.end) for sentence in sentences(text)]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Leave out the white space at both ends; ``None`` when nothing is left."""
    piece = text[start:end]
    kept = piece.strip()
    if not kept:
        return None
    first = start + len(piece) - len(piece.lstrip())
    return first, first + len(kept)


def _ends_sentence(text: str, mark: int, after: int, stop: int) -> bool:
    """Say whether the mark ends a sentence, by what stands around it."""
    following = _NEXT.search(text, after, stop)
    if following is None:
        return True
    first = following.group()
    if first.islower():
        return False
    if text[mark] != "." or text[mark + 1 : mark + 2] == ".":
        return True
    words = text[max(mark - _LONGEST_ABBREVIATION, 0) : mark].split()
    if not words or text[mark - 1].isspace():
        return True
    word = words[-1].lstrip(_OPENERS)
    if word.isdigit():
        return not _begins_line(text, mark - len(word))  # "1. Item" is a list, "in 1999." is not
    lowered = word.lower()
    if lowered in _NEVER_LAST or (lowered in _BEFORE_NUMBERS and first.isdigit()):
        return False
    # Initials: "J. Smith", "U.S. law".
    return not all(len(part) == 1 and part.isupper() for part in word.split("."))


def _begins_line(text: str, place: int) -> bool:
    before = text[max(place - _LONGEST_ABBREVIATION, 0) : place].rstrip(" \t")
    return not before or before.endswith("\n")
