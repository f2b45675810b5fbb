"""The text of a file, by its kind: pages, notebooks, and records one by one.

CSV rows, JSON lines and the items of a JSON list of objects become a document
each, one line ``name: value`` per field. All other text is taken as it is.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from nearfield.core.readers.html import html_text
from nearfield.core.registry import PAGE_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_GROWTH = 16
"""How many times its own length a file may grow to when it is laid out as text."""
LEAST_ROOM = 65_536

FAIR_PART = 0.75
"""What is taken for the main text must have so much of the words of a page's sentences: it may
be a small box beside them, or lists and old markup may be left out of it."""
LEAST_OF_A_SENTENCE = 8
"""Words in a line; menus have fewer."""
_WORDS = re.compile(r"[^\W_]+")
_TOP_HEADING = re.compile(r"^# ", re.MULTILINE)
_LONGEST_CELL = 1 << 27
_DELIMITERS = ",;\t|"
_DELIMITER_SAID = re.compile(r"sep=([,;\t|])\r?\n")
"""What Excel writes and reads in the first line."""
_QUOTED = re.compile('"[^"]*"')


class FormatError(Exception):
    """A file is not what its ending says; the message says where."""


@dataclass(frozen=True, slots=True)
class Part:
    """A text that becomes a document.

    Attributes:
        text: The text.
        number: Which record of its file it is, from 1; ``None`` for a whole file.
        facts: What the file says of it.
    """

    text: str
    number: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def parts_of(text: str, ending: str) -> Iterator[Part]:
    """Give the parts of a file's text.

    Args:
        text: The file's text.
        ending: The end of its name, in lower case, with its dot.

    Yields:
        The parts, in order.

    Raises:
        FormatError: The text is not what the ending says, or would grow out of measure.
    """
    room = MOST_GROWTH * len(text) + LEAST_ROOM
    for part in _FORMATS.get(ending, _plain)(text):
        room -= len(part.text)
        if room < 0:
            message = f"It grows to more than {MOST_GROWTH} times its length when laid out."
            raise FormatError(message)
        yield part


def _plain(text: str) -> Iterator[Part]:
    yield Part(text)


def _html(text: str) -> Iterator[Part]:
    shown, title = html_text(text)
    better = PAGE_TEXT.load()(text) or ""
    if better and (len(better) >= len(shown) or _says_most(better, shown)):
        begins = f"# {title}\n\n" if title and not _TOP_HEADING.search(better) else ""
        shown = begins + better
    yield Part(shown, facts={"title": title} if title else {})


def _says_most(better: str, shown: str) -> bool:
    """Say whether what a text leaves out of another is menus rather than sentences."""
    lines = [_WORDS.findall(line) for line in shown.split("\n")]
    words = Counter(chain.from_iterable(line for line in lines if len(line) >= LEAST_OF_A_SENTENCE))
    words = words or Counter(chain.from_iterable(lines))
    kept = words & Counter(_WORDS.findall(better))
    return kept.total() >= FAIR_PART * words.total()


def _csv(text: str) -> Iterator[Part]:
    said = _DELIMITER_SAID.match(text)
    if said:
        yield from _rows("\n" + text[said.end() :], said[1])  # lines keep their numbers
        return
    first_line = _QUOTED.sub("", text.lstrip().partition("\n")[0])
    yield from _rows(text, max(_DELIMITERS, key=first_line.count))


def _tsv(text: str) -> Iterator[Part]:
    yield from _rows(text, "\t")


def _rows(text: str, delimiter: str) -> Iterator[Part]:
    # The module's limit is one for the whole process; ours is that of the file.
    if csv.field_size_limit() < _LONGEST_CELL:
        csv.field_size_limit(_LONGEST_CELL)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names: list[str] | None = None
    number = 0
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if names is None:
                names = cells
                continue
            number += 1
            yield Part("\n".join(named_cells(names, cells)), number)
    except csv.Error as error:
        message = f"Line {rows.line_num} is not CSV: {error}."
        raise FormatError(message) from error


def named_cells(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    """Lay out the cells of a row.

    Args:
        names: Those of the columns.
        cells: Their texts; ``""`` for an empty one.

    Yields:
        A line ``name: value`` for each that is not empty.
    """
    for place, cell in enumerate(cells):
        if cell:
            name = names[place] if place < len(names) else ""
            yield f"{name or f'column {place + 1}'}: {cell}"


def _json(text: str) -> Iterator[Part]:
    value = _loaded(text, "It")
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield Part(_laid_out(item, len(text)), number)
    else:
        yield Part(_laid_out(value, len(text)))


def _json_lines(text: str) -> Iterator[Part]:
    number = 0
    for at, line in enumerate(io.StringIO(text), 1):
        if line.strip():
            number += 1
            yield Part(_laid_out(_loaded(line, f"Line {at}"), len(line)), number)


def _loaded(text: str, what: str) -> Any:
    try:
        # Numbers stay as they are written: none is rounded, none too long to read.
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError as error:
        message = f"{what} is nested too deeply."
        raise FormatError(message) from error
    except ValueError as error:
        message = f"{what} is not JSON: {error}."
        raise FormatError(message) from error


def _laid_out(value: Any, length: int) -> str:
    """Write a value as lines ``name.name[0]: value``, without recursion."""
    lines: list[str] = []
    room = MOST_GROWTH * length + LEAST_ROOM
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, (dict, list)):
            room -= len(name) * len(one)  # before the names are made, not after
            if room < 0:
                message = f"It grows to more than {MOST_GROWTH} times its length when laid out."
                raise FormatError(message)
            waiting.extend(reversed(_named(name, one)))
        elif one is not None and one != "":
            said = json.dumps(one) if isinstance(one, bool) else one
            lines.append(f"{name}: {said}" if name else said)
    return "\n".join(lines)


def _named(name: str, value: dict[str, Any] | list[Any]) -> list[tuple[str, Any]]:
    """Give the inner values of a value with their full names."""
    if isinstance(value, dict):
        return [(f"{name}.{key}" if name else key, item) for key, item in value.items()]
    return [(f"{name}[{place}]", item) for place, item in enumerate(value)]


def _notebook(text: str) -> Iterator[Part]:
    book = _loaded(text, "The notebook")
    if not isinstance(book, dict):
        message = "It is JSON, but no notebook."
        raise FormatError(message)
    sheets = book.get("worksheets") or [book]  # before version 4 cells lay in worksheets
    listed = isinstance(sheets, list)
    cells: list[Any] = [_dig(sheet, "cells") for sheet in sheets] if listed else [None]
    if not all(isinstance(its, list) for its in cells):
        message = "It has no cells."
        raise FormatError(message)
    language = _dig(book, "metadata", "language_info", "name") or ""
    written = [_cell(cell, language) for cell in chain(*cells) if isinstance(cell, dict)]
    yield Part("\n\n".join(filter(None, written)))


def _cell(cell: dict[str, Any], language: str) -> str:
    source = cell.get("source", cell.get("input")) or ""
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if cell.get("cell_type") == "code" and text.strip():
        return f"```{language}\n{text.rstrip()}\n```"
    return text.strip()


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


_FORMATS: dict[str, Callable[[str], Iterator[Part]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".html": _html,
    ".htm": _html,
    ".xhtml": _html,
    ".ipynb": _notebook,
}
