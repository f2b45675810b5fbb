"""Word files: paragraphs and tables in the order of the page, by python-docx.

Headings are marked with ``#``, list items with ``-``, the cells of a table row
parted by ``|``. Deleted text, headers, footers, notes and comments are left out.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.readers.formats import Part
from nearfield.readers.archive import check_archive, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# A text box is written twice, for new programs and for old ones.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_WRAPPERS = frozenset({f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml"})
_PROPERTIES = frozenset({f"{_W}pPr", f"{_W}rPr", f"{_W}tblPr", f"{_W}trPr", f"{_W}tcPr"})
# Text that was moved stands where it was as well, as deleted text does, but is marked otherwise.
_NOT_SHOWN = _PROPERTIES | {_FALLBACK, f"{_W}moveFrom"}
_DEEPEST_HEADING = 6


def read_docx(data: bytes) -> Iterator[Part]:
    """Give the text of a Word file.

    Args:
        data: The file.

    Yields:
        One part, with the document's title as ``title`` where it has one.

    Raises:
        FormatError: It is damaged, locked, or unpacks to too much.
        MissingDependencyError: python-docx is not installed.
    """
    docx = require("docx", extra="readers", purpose="Reading Word files")
    check_archive(data, ".docx")
    try:
        document = docx.Document(BytesIO(data))
        styles = {style.style_id: (style.name or "").lower() for style in document.styles}
        text = "\n\n".join(_blocks(document.element.body, styles))
        title = str(document.core_properties.title or "").strip()
    except Exception as error:
        raise unreadable(error) from error
    yield Part(text, facts={"title": title} if title else {})


def _blocks(element: Any, styles: Mapping[str, str]) -> Iterator[str]:
    """Give paragraphs and tables, in order. The parser bounds how deep they are nested."""
    for child in element:
        if child.tag == f"{_W}p":
            text = _text(child).strip()
            if text:
                yield _prefix(child, styles) + text
        elif child.tag == f"{_W}tbl":
            rows = "\n".join(filter(None, _rows(child, styles)))
            if rows:
                yield rows
        elif child.tag in _WRAPPERS:
            yield from _blocks(child, styles)


def _rows(table: Any, styles: Mapping[str, str]) -> Iterator[str]:
    for row in table.iter(f"{_W}tr"):
        if next(row.iterancestors(f"{_W}tbl")) is table:
            cells = [" ".join(" ".join(_blocks(cell, styles)).split()) for cell in _cells(row)]
            yield " | ".join(cells).strip(" |") and " | ".join(cells)


def _cells(row: Any) -> Iterator[Any]:
    for child in row:
        if child.tag == f"{_W}tc":
            yield child
        elif child.tag in _WRAPPERS:
            yield from _cells(child)


def _text(element: Any) -> str:
    pieces: list[str] = []
    waiting = [element]
    while waiting:
        one = waiting.pop()
        if one.tag in {f"{_W}t", _MATH_TEXT}:
            pieces.append(one.text or "")
        elif one.tag in _BREAKS:
            pieces.append(_BREAKS[one.tag])
        elif one.tag not in _NOT_SHOWN:
            if one.tag == f"{_W}p" and one is not element:
                pieces.append("\n")  # of a text box
            waiting.extend(reversed(one))
    return "".join(pieces)


def _prefix(paragraph: Any, styles: Mapping[str, str]) -> str:
    name = styles.get(paragraph.style or "", "")
    if name == "title":
        return "# "
    if name.startswith("heading "):
        level = name.removeprefix("heading ")
        return "#" * min(int(level), _DEEPEST_HEADING) + " " if level.isdigit() else ""
    return "- " if name.startswith("list ") or paragraph.find(f".//{_W}numPr") is not None else ""
