"""Workbooks, a document per row as for CSV, by openpyxl.

The first row of a sheet with two cells or more names its columns; what stands above is
taken as it is. Of a formula its result is read, as the program that wrote it saved it.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, time
from io import BytesIO
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.readers.formats import FormatError, Part, named_cells
from nearfield.readers.archive import Room, check_archive, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_CELLS = 10_000_000
"""How many places of its sheets are looked at, empty ones between full ones included."""
MOST_ROWS = 1 << 20

_MIDNIGHT = time()


def read_xlsx(data: bytes) -> Iterator[Part]:
    """Give the rows of each sheet that have some text.

    Args:
        data: The file.

    Yields:
        A part per row, numbered from 1 through all sheets, one line ``name: value`` for each
        cell, with the sheet's name as ``sheet`` and the number of the row there as ``row``.

    Raises:
        FormatError: It is damaged, locked, or out of measure.
        MissingDependencyError: openpyxl or defusedxml, which guards it, is not installed.
    """
    for needed in ("defusedxml", "openpyxl"):
        openpyxl = require(needed, extra="readers", purpose="Reading workbooks")
    room = Room(check_archive(data, ".xlsx"))
    try:
        with closing(openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)) as book:
            for number, (sheet, row, lines) in enumerate(_rows(book), 1):
                room.take(sum(map(len, lines)))
                yield Part("\n".join(lines), number, {"sheet": sheet, "row": row})
    except FormatError:
        raise
    except Exception as error:
        raise unreadable(error) from error


def _rows(book: Any) -> Iterator[tuple[str, int, list[str]]]:
    """Give the sheet, number and lines of each row that is not empty."""
    left = MOST_CELLS
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # the size that a file claims may be any
        names: list[str] | None = None
        for row, values in enumerate(sheet.iter_rows(max_row=MOST_ROWS, values_only=True), 1):
            left -= len(values) + 1
            if left < 0:
                message = f"Its sheets span more than {MOST_CELLS:,} cells."
                raise FormatError(message)
            cells = _texts(values)
            filled = sum(map(bool, cells))
            if names is None and filled > 1:
                names = cells
            elif filled:
                lines = list(named_cells(names, cells)) if names else list(filter(None, cells))
                yield sheet.title, row, lines


def _texts(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str(value.date() if value.time() == _MIDNIGHT else value)
    return str(value).strip()
