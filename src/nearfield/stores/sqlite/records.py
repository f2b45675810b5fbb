"""How ids, texts and facts are written in a row of a table, and the checksums of rows."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from nearfield.core.metadata import decode_metadata
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite.schema import NO_METADATA

if TYPE_CHECKING:
    from nearfield.core.schema import Metadata, Node


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
