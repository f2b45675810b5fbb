"""PDF files, a document per page, by PDFium."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.readers.formats import MOST_GROWTH, FormatError, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PAGES = 20_000
LEAST_ROOM = 1 << 20

_one_at_a_time = threading.Lock()
"""PDFium keeps state for the whole process and allows no two calls at once."""


def read_pdf(data: bytes) -> Iterator[Part]:
    """Give the text of each page that has some.

    Args:
        data: The file.

    Yields:
        A part per page, numbered from 1, with the page's label as ``page_label``.

    Raises:
        FormatError: It is damaged, locked, out of measure, or has no text.
        MissingDependencyError: pypdfium2 is not installed.
    """
    pdfium = require("pypdfium2", extra="readers", purpose="Reading PDF files")
    with _one_at_a_time:
        try:
            pages = _pages(pdfium, data)
        except pdfium.PdfiumError as error:
            raise FormatError(_explained(str(error))) from error
    if not pages:
        message = "It has no text: its pages are pictures, and need text recognition first."
        raise FormatError(message)
    yield from pages


def _pages(pdfium: Any, data: bytes) -> list[Part]:
    pages = []
    with closing(pdfium.PdfDocument(data)) as document:
        if len(document) > MOST_PAGES:
            message = f"It has {len(document):,} pages; no more than {MOST_PAGES:,} are read."
            raise FormatError(message)
        room = MOST_GROWTH * len(data) + LEAST_ROOM
        for number in range(len(document)):
            with closing(document[number]) as page, closing(page.get_textpage()) as text_page:
                room -= text_page.count_chars()
                if room < 0:
                    message = f"Its text is more than {MOST_GROWTH} times as long as the file."
                    raise FormatError(message)
                text = _tidy(text_page.get_text_range())
            if text:
                label = document.get_page_label(number) or str(number + 1)
                pages.append(Part(text, number + 1, {"page_label": label}))
    return pages


def _tidy(text: str) -> str:
    """Join words that were hyphenated at the end of a line; PDFium marks them."""
    for mark in ("\ufffe", "\x02"):
        text = text.replace(f"{mark}\r\n", "").replace(mark, "")
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return "\n".join(lines).replace("\x00", "").strip()


def _explained(reason: str) -> str:
    if "password" in reason.lower():
        return "It is locked by a password. Save a copy without one."
    return f"PDFium says: {reason.rstrip('.')}."
