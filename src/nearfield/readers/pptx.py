"""Slide shows, a document per slide, by python-pptx.

A slide's title is marked with ``#``; text comes in the order of its shapes, groups and
tables included, and what the speaker noted comes last. Charts, diagrams and pictures have none.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.readers.formats import FormatError, Part
from nearfield.readers.archive import Room, check_archive, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
# What new programs draw is written a second time, as a picture, for old ones.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLES = frozenset({"title", "ctrTitle"})
_NO_CONTENT = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})


def read_pptx(data: bytes) -> Iterator[Part]:
    """Give the text of each slide that has some.

    Args:
        data: The file.

    Yields:
        A part per slide, numbered from 1, with its number as ``slide``, its title as
        ``slide_title``, and that of the whole as ``title``, where there is one.

    Raises:
        FormatError: It is damaged, locked, unpacks to too much, or has no text.
        MissingDependencyError: python-pptx is not installed.
    """
    pptx = require("pptx", extra="readers", purpose="Reading slide shows")
    room = Room(check_archive(data, ".pptx"))
    try:
        show = pptx.Presentation(BytesIO(data))
        title = str(show.core_properties.title or "").strip()
        parts = []
        for number, slide in enumerate(show.slides, 1):
            text, heading = _slide(slide)
            room.take(len(text))
            facts = {"slide": number, "slide_title": heading, "title": title}
            if text:
                parts.append(Part(text, number, {name: it for name, it in facts.items() if it}))
    except FormatError:
        raise
    except Exception as error:
        raise unreadable(error) from error
    if not parts:
        message = "It has no text: its slides are pictures, and need text recognition first."
        raise FormatError(message)
    yield from parts


def _slide(slide: Any) -> tuple[str, str]:
    """Give the text of a slide, notes included, and its title."""
    texts: list[str] = []
    heading = ""
    for kind, text in _blocks(slide.shapes.element):
        if kind in _TITLES and not heading:
            heading = " ".join(text.split())
            texts.insert(0, f"# {heading}")
        else:
            texts.append(text)
    if slide.has_notes_slide:
        noted = "\n\n".join(text for _, text in _blocks(slide.notes_slide.shapes.element))
        texts.append(f"Notes: {noted}" if noted else "")
    return "\n\n".join(filter(None, texts)), heading


def _blocks(shapes: Any) -> Iterator[tuple[str, str]]:
    """Give the kind of placeholder and the text of each shape and table, in order."""
    waiting = [shapes]
    while waiting:
        one = waiting.pop()
        if one.tag == f"{_P}sp":
            place = one.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = "" if place is None else place.get("type", "")
            text = _paragraphs(one.find(f"{_P}txBody"))
            if text and kind not in _NO_CONTENT:
                yield kind, text
        elif one.tag == f"{_A}tbl":
            rows = "\n".join(filter(None, map(_row, one.iterchildren(f"{_A}tr"))))
            if rows:
                yield "", rows
        elif one.tag != _FALLBACK:
            waiting.extend(reversed(one))


def _row(row: Any) -> str:
    cells = [" ".join(_paragraphs(cell).split()) for cell in row.iterchildren(f"{_A}tc")]
    return " | ".join(cells) if any(cells) else ""


def _paragraphs(body: Any) -> str:
    if body is None:
        return ""
    lines = ("".join(map(_piece, line.iter())).strip() for line in body.iter(f"{_A}p"))
    return "\n".join(filter(None, lines))


def _piece(element: Any) -> str:
    if element.tag == f"{_A}t":
        return element.text or ""
    return "\n" if element.tag == f"{_A}br" else ""
