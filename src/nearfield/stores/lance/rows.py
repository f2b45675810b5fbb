"""Entries to rows of the table, and rows to nodes.

Ids are any text, so rows are known by digests of them: the conditions handed to
the engine hold hexadecimal digits and numbers of ours, never a value of a user.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.core.metadata import decode_metadata
from nearfield.core.schema import Node
from nearfield.core.store import Header
from nearfield.core.vectors import SimilarityMode
from nearfield.core.words import indexable
from nearfield.errors import ConfigError, CorruptStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nearfield.core.store_checks import CheckedEntry

FORMAT = 1
HEADER_KEY = "nearfield.header"
DOCUMENT, NODE = "d", "n"
IS_NODE = "hash IS NULL"
IS_DOCUMENT = "hash IS NOT NULL"
NODE_COLUMNS = ["id", "document_id", "text", "raw", "start", "end", "metadata"]
# Bits of a row's number that count within a commit; those above hold the version.
_WITHIN_COMMIT = 32


def arrow() -> Any:
    """Import pyarrow."""
    return require("pyarrow", extra="lance", purpose="LanceStore")


def make_schema(header: Header) -> Any:
    """Give the schema of a new table.

    Args:
        header: The header, kept in its metadata.

    Returns:
        The ``pyarrow.Schema``.
    """
    pa = arrow()
    # The declared key is what makes concurrent merges conflict instead of writing rows twice.
    key = {
        "lance-schema:unenforced-primary-key": "true",
        "lance-schema:unenforced-primary-key:position": "1",
    }
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False, metadata=key),
            pa.field("document", pa.string(), nullable=False),
            pa.field("row", pa.int64(), nullable=False),
            pa.field("hash", pa.string()),
            pa.field("id", pa.binary(), nullable=False),
            pa.field("document_id", pa.binary(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("raw", pa.binary()),
            pa.field("start", pa.int64()),
            pa.field("end", pa.int64()),
            pa.field("metadata", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), header.dim)),
        ],
        metadata={HEADER_KEY: write_header(header)},
    )


def write_header(header: Header) -> str:
    """Give a header as JSON."""
    return json.dumps(
        {
            "format": FORMAT,
            "fingerprint": header.fingerprint,
            "dim": header.dim,
            "metric": header.metric.value,
            "model_name": header.model_name,
            "facts": header.facts,
        },
        allow_nan=False,
    )


def read_header(schema: Any, place: str) -> Header:
    """Read the header of a table.

    Args:
        schema: The table's schema.
        place: Where the table is, for messages.

    Returns:
        The header.

    Raises:
        CorruptStoreError: The table is not one of ours, or of another format.
    """
    said = (schema.metadata or {}).get(HEADER_KEY.encode(), b"")
    try:
        facts = json.loads(said)
        if facts["format"] == FORMAT:
            metric = SimilarityMode(facts["metric"])
            made_by = facts["fingerprint"], facts["dim"], metric, facts["model_name"]
            return Header(*made_by, facts["facts"])
    except (TypeError, ValueError, KeyError) as error:
        message = f"{place} holds a Lance table that is no index. Name another place."
        raise CorruptStoreError(message) from error
    message = (
        f"{place} is of format {facts['format']}; this version of nearfield reads {FORMAT}. "
        "Open it with the version that wrote it."
    )
    raise CorruptStoreError(message)


def digest(kind: str, name: str) -> str:
    """Give the key of a document or node.

    Args:
        kind: :data:`DOCUMENT` or :data:`NODE`.
        name: Its id.

    Returns:
        The kind and 32 hexadecimal digits (128 bits of SHA-256).
    """
    return kind + hashlib.sha256(_bytes(name)).hexdigest()[:32]


def one_of(column: str, keys: Iterable[str]) -> str:
    """Write the condition that a column holds one of some digests."""
    listed = ", ".join(f"'{key}'" for key in keys)
    return f"{column} IN ({listed})" if listed else "false"


def make_rows(checked: Sequence[CheckedEntry], schema: Any, version: int) -> Any:
    """Give the rows of entries: a document's own, then those of its nodes.

    Args:
        checked: The entries.
        schema: The table's.
        version: The version they are written on top of, which numbers them.

    Returns:
        The ``pyarrow.Table``.
    """
    pa = arrow()
    columns: dict[str, list[Any]] = {field.name: [] for field in schema if field.name != "vector"}
    base, absent = version << _WITHIN_COMMIT, []
    for one in checked:
        entry = one.entry
        _refuse_surrogates(entry.content_hash)
        document, name = digest(DOCUMENT, entry.document_id), _bytes(entry.document_id)
        absent.append(len(columns["key"]))
        own = {"key": document, "id": name, "metadata": one.metadata, "hash": entry.content_hash}
        rows_of: list[dict[str, Any]] = [own]
        for node, metadata in zip(entry.nodes, one.node_metadata, strict=True):
            key = digest(NODE, node.id)
            rows_of.append({"key": key, "metadata": metadata, **_as_node(node)})
        for row in rows_of:
            row.update(row=base + len(columns["key"]), document=document, document_id=name)
            for column, values in columns.items():
                values.append(row.get(column))
    rows = len(columns["key"])
    is_node = np.ones(rows, np.bool_)
    is_node[absent] = False
    dim = schema.field("vector").type.list_size
    matrix = np.zeros((rows, dim), np.float32)
    matrix[is_node] = np.concatenate([one.entry.vectors.reshape(-1, dim) for one in checked])
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(matrix.reshape(-1)), dim, mask=pa.array(~is_node)
    )
    return pa.table({**columns, "vector": vectors}, schema=schema)


def searchable(text: str) -> str:
    """Give a text as its words are searched: letters with their accents as one, if they can be.

    The engine takes accents off such letters only, and parts words at accents of their own.
    """
    return indexable(text if text.isascii() else unicodedata.normalize("NFC", text))


def read_nodes(table: Any) -> list[Node]:
    """Give the nodes of rows.

    Args:
        table: With :data:`NODE_COLUMNS`.

    Returns:
        One node per row, each with facts of its own.
    """
    return [
        Node(
            text=row["text"] if row["raw"] is None else as_text(row["raw"]),
            id=as_text(row["id"]),
            document_id=as_text(row["document_id"]),
            start=row["start"],
            end=row["end"],
            metadata=decode_metadata(row["metadata"]),
        )
        for row in table.select(NODE_COLUMNS).to_pylist()
    ]


def read_vectors(column: Any, dim: int) -> Any:
    """Give a column of vectors as ``(n, dim)`` float32."""
    if not len(column):
        return np.zeros((0, dim), np.float32)
    flat = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.ascontiguousarray(flat.flatten().to_numpy(zero_copy_only=False)).reshape(-1, dim)


def as_text(data: bytes) -> str:
    """Read an id or text back, lone surrogates included."""
    return data.decode("utf-8", "surrogatepass")


def _as_node(node: Node) -> dict[str, Any]:
    # Words are searched in "text"; where that is not the text itself, "raw" is.
    searched = searchable(node.text)
    raw = None if searched == node.text else _bytes(node.text)
    place: dict[str, Any] = {"start": node.start, "end": node.end}
    return {"id": _bytes(node.id), "text": searched, "raw": raw, **place}


def _refuse_surrogates(content_hash: str) -> None:
    try:
        content_hash.encode()
    except UnicodeEncodeError as error:
        message = f"Lance keeps no content hash with a lone surrogate: {content_hash!r}."
        raise ConfigError(message) from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
