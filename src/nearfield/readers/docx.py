"""Word files: paragraphs and tables in the order of the page, by python-docx.

Headings are marked with ``#``, list items with ``-``, the cells of a table row
parted by ``|``. Deleted text, headers, footers, notes and comments are left out.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.readers.formats import FormatError, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_XML_BYTES = 64 << 20
MOST_BYTES = 256 << 20
MOST_MEMBERS = 10_000

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# A text box is written twice, for new programs and for old ones.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_PROPERTIES = frozenset({f"{_W}pPr", f"{_W}rPr", f"{_W}tblPr", f"{_W}trPr", f"{_W}tcPr"})
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
    _check_size(data)
    try:
        document = docx.Document(BytesIO(data))
        styles = {style.style_id: (style.name or "").lower() for style in document.styles}
        text = "\n\n".join(_blocks(document.element.body, styles))
        title = str(document.core_properties.title or "").strip()
    except Exception as error:
        # Broken files fail in as many ways as there are parts of them.
        message = f"It cannot be read: {type(error).__name__}: {error}".rstrip(".") + "."
        raise FormatError(message) from error
    yield Part(text, facts={"title": title} if title else {})


def _check_size(data: bytes) -> None:
    """Refuse what would unpack to too much, by what its table of contents says.

    No more than is said there is ever unpacked of a member.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            message = "It is locked by a password, or of an old format. Save it as .docx."
        else:
            message = f"It is no archive, as such files are ({error})."
        raise FormatError(message) from error
    xml = sum(one.file_size for one in members if one.filename.endswith((".xml", ".rels")))
    size = sum(one.file_size for one in members)
    if xml > MOST_XML_BYTES or size > MOST_BYTES or len(members) > MOST_MEMBERS:
        message = (
            f"It unpacks to {len(members):,} parts of {size:,} bytes; no more than "
            f"{MOST_MEMBERS:,} of {MOST_BYTES:,} are read, {MOST_XML_BYTES:,} of them text."
        )
        raise FormatError(message)


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
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent"}:
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
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent"}:
            yield from _cells(child)


def _text(element: Any) -> str:
    pieces: list[str] = []
    waiting = [element]
    while waiting:
        one = waiting.pop()
        if one.tag == f"{_W}t":
            pieces.append(one.text or "")
        elif one.tag in _BREAKS:
            pieces.append(_BREAKS[one.tag])
        elif one.tag not in _PROPERTIES and one.tag != _FALLBACK:
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
