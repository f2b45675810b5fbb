"""How ids, texts and facts are written in rows of a table, and the checksums of rows."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from nearfield.core.metadata import decode_metadata
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite.schema import NO_METADATA

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from nearfield.core.schema import Metadata, Node

ROWS_AT_ONCE = 128
"""Of the widest table, 7 values a row, this is less than SQLite binds at once (999 before 3.32)."""


def storable(text: str) -> str | bytes:
    """Give text as SQLite can hold it: bytes where UTF-8 cannot say it."""
    if text.isascii():
        return text
    data = text.encode("utf-8", "surrogatepass")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    return text


def restored(value: str | bytes) -> str:
    """Give back the text that :func:`storable` was given."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def insert_rows(
    connection: sqlite3.Connection, into: str, columns: int, values: Sequence[Any]
) -> None:
    """Insert rows, many with each statement: most of what a short row costs is its statement.

    Args:
        connection: A connection within a write transaction.
        into: How the statement begins, up to the name of the table.
        columns: How many values a row has.
        values: Those of all rows, one row after the other.
    """
    row = f"({', '.join('?' * columns)})"
    size = columns * ROWS_AT_ONCE
    most = len(values) - len(values) % size
    many = f"{into} VALUES {', '.join([row] * ROWS_AT_ONCE)}"
    for start in range(0, most, size):
        connection.execute(many, values[start : start + size])
    connection.executemany(
        f"{into} VALUES {row}",
        (values[start : start + columns] for start in range(most, len(values), columns)),
    )


def node_checksum(node: Node, row: int, document: int, metadata: int) -> int:
    """Give the checksum of a node and its text.

    Args:
        node: The node.
        row: Its row.
        document: The number of its document.
        metadata: The number of its metadata.
    """
    name = node.id
    facts = f"{row}|{document}|{node.start}|{node.end}|{metadata}|{len(name)}|{name}|{node.text}"
    return zlib.crc32(facts.encode("utf-8", "surrogatepass"))


def document_checksum(number: int, name: str, content_hash: str, metadata: int) -> int:
    """Give the checksum of a document."""
    facts = f"{number}|{metadata}|{len(name)}|{name}|{content_hash}"
    return zlib.crc32(facts.encode("utf-8", "surrogatepass"))


def metadata_checksum(number: int, document: int, data: str) -> int:
    """Give the checksum of metadata, whose number 0 is always empty."""
    return zlib.crc32((data if number == NO_METADATA else f"{number}|{document}|{data}").encode())


def decoded(data: str) -> Metadata:
    """Read metadata from its JSON.

    Args:
        data: What the table holds.

    Raises:
        CorruptStoreError: It is damaged.
    """
    try:
        return decode_metadata(data)
    except (json.JSONDecodeError, TypeError) as error:
        message = "Metadata in the index is damaged. Verify the index."
        raise CorruptStoreError(message) from error
