"""Search by words: BM25 over a full-text index of SQLite (FTS5).

The index holds words, not texts: the text of a row must be given again to take
it out. Words are compared without case or accents, English ones by their stem.
Scripts written without spaces (Chinese, Japanese, Thai, ...) are indexed by
the letter and searched by pairs of letters.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SCHEMA = (
    "CREATE VIRTUAL TABLE words USING "
    "fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2')"
)
MAX_QUERY_WORDS = 256
# FTS5 gathers words up to the first number of bytes before it writes a segment, and
# makes one segment of as many as the second. By default (1 MiB, 4) it would write
# several segments a transaction, and most words again and again.
_SETTINGS = {"hashsize": 16 << 20, "automerge": 16}

_WITHOUT_SPACES = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese kana
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_LETTER = re.compile(f"([{_WITHOUT_SPACES}])")
# Marks around what was found, and what stands in for them in a text that has them itself.
_OPEN, _CLOSE = "\ue000", "\ue001"
_NOT_MARKS = {ord(_OPEN): "\ufffd", ord(_CLOSE): "\ufffd"}
MARKS = (
    "\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f\u200d"
    "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"  # Hebrew, Arabic
    "\u0900-\u0963\u0966-\u0dff"  # the scripts of India, but for their full stops
)
"""Marks of letters, for a regular expression: no letters themselves, but they part no word."""
WORD = re.compile(
    rf"[{_WITHOUT_SPACES}]+|[^\W{_WITHOUT_SPACES}](?:[^\W{_WITHOUT_SPACES}]|[{MARKS}])*"
)
"""A word of a question, with its marks; or letters of a script without spaces."""


def add_words(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, str]], *, table: str = "words"
) -> None:
    """Index texts.

    Args:
        connection: A connection to a database with :data:`SCHEMA`.
        rows: Row numbers, not yet there, and their texts.
        table: The name of the index, if :data:`SCHEMA` was changed to another.
    """
    _set_up(connection, table)
    connection.executemany(
        f"INSERT INTO {table} (rowid, text) VALUES (?, ?)",  # noqa: S608 - a name of ours
        ((row, indexable(text)) for row, text in rows),
    )


def add_words_of(connection: sqlite3.Connection, source: str, first_row: int) -> None:
    """Index texts that stand in a table, all in one statement.

    Args:
        connection: A connection to a database with :data:`SCHEMA`.
        source: The table, of columns ``row`` and ``text``; the texts are plain ASCII, which
            :func:`indexable` leaves as it is.
        first_row: From which row on.
    """
    _set_up(connection, "words")
    connection.execute(
        f"INSERT INTO words (rowid, text) SELECT row, text FROM {source} WHERE row >= ?",  # noqa: S608
        (first_row,),
    )


def remove_words(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Take texts out of the index.

    Args:
        connection: A connection to a database with :data:`SCHEMA`.
        rows: Row numbers and the very texts they were added with.
    """
    connection.executemany(
        "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
        ((row, indexable(text)) for row, text in rows),
    )


def find_words(
    connection: sqlite3.Connection, text: str, k: int, among: Sequence[int] | None = None
) -> list[tuple[int, float]]:
    """Rank rows by the words of a text.

    Args:
        connection: A connection to a database with :data:`SCHEMA`.
        text: Any text; its first 256 different words count, none is an operator.
        k: How many rows, at least 1.
        among: Only these rows; all when ``None``.

    Returns:
        Rows with at least one of the words, with their BM25 score, best
        first; equal scores in the order of rows.
    """
    expression = _match_expression(text)
    if not expression:
        return []
    only = "" if among is None else " AND rowid IN (SELECT value FROM json_each(?))"
    most = min(k, sys.maxsize)  # SQLite knows no greater number
    bound = (expression, most) if among is None else (expression, json.dumps(list(among)), most)
    found = connection.execute(
        f"SELECT rowid, -rank FROM words WHERE words MATCH ?{only} "  # noqa: S608 - two constants
        "ORDER BY rank, rowid LIMIT ?",
        bound,
    )
    return [(int(row), float(score)) for row, score in found]


def matching_spans(text: str, query: str) -> list[tuple[int, int]]:
    """Find the words of a text that a search for ``query`` finds it by.

    Args:
        text: Any text.
        query: Any text, read as :func:`find_words` reads it.

    Returns:
        First character and one past the last of each, in order; neighbours of one
        phrase are one span.
    """
    expression = _match_expression(query)
    if not expression:
        return []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(SCHEMA.replace("content='', ", ""))
        add_words(connection, [(1, text.translate(_NOT_MARKS))])
        row = connection.execute(
            "SELECT highlight(words, 0, ?, ?) FROM words WHERE words MATCH ?",
            (_OPEN, _CLOSE, expression),
        ).fetchone()
    return [] if row is None else _places(row[0], text)


class WordIndex:
    """A word index in memory, made when first asked, and only as far as then needed.

    Not safe to use from several threads at once.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._upto = 0

    def extend(self, end: int, rows_from: Callable[[int], Iterable[tuple[int, str]]]) -> None:
        """Index what was written since the last time.

        Args:
            end: One past the last row.
            rows_from: Gives the rows from a number on, with their texts.
        """
        if self._connection is None:
            self._connection = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False
            )
            self._connection.execute(SCHEMA)
        if self._upto < end:
            self._connection.execute("BEGIN")
            add_words(self._connection, rows_from(self._upto))
            self._connection.execute("COMMIT")
            self._upto = end

    def remove(self, rows: Iterable[tuple[int, str]]) -> None:
        """Take rows out, where they are in.

        Args:
            rows: Row numbers and their texts.
        """
        if self._connection is not None:
            remove_words(self._connection, (row for row in rows if row[0] < self._upto))

    def find(self, text: str, k: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        """Rank rows by the words of a text, as :func:`find_words` does."""
        return [] if self._connection is None else find_words(self._connection, text, k, among)

    def close(self) -> None:
        """Let go of the index; it may be made again."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._upto = None, 0


def indexable(text: str) -> str:
    """Put letters of scripts without spaces apart; replace what UTF-8 cannot say.

    Args:
        text: Any text.

    Returns:
        It as a word index takes it; the same text where nothing is to be done.
    """
    if text.isascii():
        return text
    return _LETTER.sub(r" \1 ", text).encode("utf-8", "replace").decode("utf-8")


def _set_up(connection: sqlite3.Connection, table: str) -> None:
    there = dict(connection.execute(f"SELECT k, v FROM {table}_config"))  # noqa: S608
    for setting, value in _SETTINGS.items():
        if there.get(setting) != value:
            connection.execute(
                f"INSERT INTO {table} ({table}, rank) VALUES (?, ?)",  # noqa: S608
                (setting, value),
            )


def _places(marked: str, text: str) -> list[tuple[int, int]]:
    """Turn marks in what was indexed into places in the text it was made from."""
    spans, here, start = [], 0, 0
    spaced = not text.isascii()
    letters = iter(marked)
    for letter in letters:
        if letter == _OPEN:
            start = here
        elif letter == _CLOSE:
            end = here
            while end < len(text) and category(text[end]).startswith("M"):
                end += 1  # the marks of the last letter, which are of no token
            spans.append((start, end))
        elif spaced and letter == " " and text[here : here + 1] != " ":
            continue  # put there by indexable, as the next but one may be
        else:
            here += 1
    return spans


def _match_expression(text: str) -> str:
    """Write a text as an FTS5 query in which every word is a quoted phrase.

    FTS5 parts words at most marks, in texts as in phrases: the parts of a word are found
    where they stand together, as in the word.
    """
    phrases: dict[str, None] = {}
    for match in WORD.finditer(text):
        word = match[0]
        if _LETTER.match(word):
            letters = [letter for letter in word if letter.isalnum()]  # vowel signs are no tokens
            pairs = pairwise(letters) if len(letters) > 1 else [letters]
            phrases.update((" ".join(pair), None) for pair in pairs)
        else:
            phrases[word.lower()] = None
        if len(phrases) >= MAX_QUERY_WORDS:
            break
    return " OR ".join(f'"{phrase}"' for phrase in list(phrases)[:MAX_QUERY_WORDS])
