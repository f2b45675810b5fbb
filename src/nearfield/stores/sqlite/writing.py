"""Documents with all that belongs to them, written and removed."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import words
from nearfield.core.metadata import decode_metadata
from nearfield.core.store_checks import shown
from nearfield.errors import CorruptStoreError, StoreError
from nearfield.stores.sqlite import fail_points
from nearfield.stores.sqlite.blocks import remove_vectors, write_vectors
from nearfield.stores.sqlite.facts import fact_rows
from nearfield.stores.sqlite.reading import by_ids, find_documents
from nearfield.stores.sqlite.records import (
    decoded,
    document_checksum,
    insert_rows,
    metadata_checksum,
    node_checksum,
    restored,
    storable,
)
from nearfield.stores.sqlite.schema import NO_METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.store_checks import CheckedEntry


def write_entries(
    connection: sqlite3.Connection,
    entries: Sequence[CheckedEntry],
    *,
    next_row: int,
    stamp: int,
    dim: int,
    replace: bool,
) -> int:
    """Write documents with their nodes, vectors, facts and words.

    Args:
        connection: A connection within a write transaction.
        entries: What to write, checked.
        next_row: The row of the first new node.
        stamp: The write's random number.
        dim: Numbers per vector.
        replace: Whether documents of the same ids give way; an error otherwise.

    Returns:
        The row after the last one written.

    Raises:
        StoreError: A document is already there, or a node id belongs to another one.
    """
    there = find_documents(connection, [one.entry.document_id for one in entries])
    if there and not replace:
        name = shown(there[0].id)
        message = f"Document {name} is already there. Use upsert to replace it."
        raise StoreError(message)
    remove_documents(connection, [found.number for found in there], dim=dim, stamp=stamp)
    fail_points.reach("removed")
    batch = _Batch(connection, next_row)
    for one in entries:
        batch.take(one)
    batch.write()
    fail_points.reach("documents")
    parts = [one.entry.vectors for one in entries if len(one.entry.nodes)]
    if parts:
        vectors = parts[0] if len(parts) == 1 else np.concatenate(parts)
        write_vectors(connection, next_row, vectors, stamp)
    fail_points.reach("vectors")
    batch.index_words()
    fail_points.reach("words")
    return batch.next_row


def remove_documents(
    connection: sqlite3.Connection, numbers: Sequence[int], *, dim: int, stamp: int
) -> None:
    """Remove documents with all that belongs to them.

    Args:
        connection: A connection within a write transaction.
        numbers: Numbers of documents that are there.
        dim: Numbers per vector.
        stamp: The write's random number.
    """
    rows = [
        row
        for number in numbers
        for (row,) in connection.execute("SELECT row FROM nodes WHERE document = ?", (number,))
    ]
    remove_nodes(connection, rows, dim=dim, stamp=stamp)
    for number in numbers:
        for owner, data in connection.execute(
            "SELECT number, json FROM metadata WHERE document = ?", (number,)
        ).fetchall():
            # A cursor of its own per key: each fact is found by its whole key.
            connection.executemany(
                "DELETE FROM facts WHERE key = ? AND kind = ? AND value = ? AND metadata = ?",
                fact_rows(owner, decoded(data)),
            )
    bound = [(number,) for number in numbers]
    connection.executemany("DELETE FROM metadata WHERE document = ?", bound)
    connection.executemany("DELETE FROM documents WHERE number = ?", bound)


def remove_nodes(
    connection: sqlite3.Connection, rows: Sequence[int], *, dim: int, stamp: int
) -> None:
    """Remove nodes; the facts they had stay with their document.

    Args:
        connection: A connection within a write transaction.
        rows: Rows of nodes that are there.
        dim: Numbers per vector.
        stamp: The write's random number.
    """
    if not rows:
        return
    texts = [
        (row, restored(text))
        for row, text in by_ids(connection, "SELECT row, text FROM texts WHERE row IN (%s)", rows)
    ]
    words.remove_words(connection, texts)
    bound = [(row,) for row in rows]
    connection.executemany("DELETE FROM texts WHERE row = ?", bound)
    connection.executemany("DELETE FROM nodes WHERE row = ?", bound)
    remove_vectors(connection, rows, dim, stamp)


class _Batch:
    """Documents turned into rows of tables, a flat list of values for each table."""

    def __init__(self, connection: sqlite3.Connection, next_row: int) -> None:
        self._connection = connection
        self._first_row = self.next_row = next_row
        self._document: int = connection.execute(
            "SELECT coalesce(max(number), 0) FROM documents"
        ).fetchone()[0]
        self._metadata: int = connection.execute("SELECT max(number) FROM metadata").fetchone()[0]
        self._documents: list[Any] = []
        self._nodes: list[Any] = []
        self._owners: list[Any] = []
        self._facts: list[Any] = []
        self._texts: list[str] = []

    def take(self, one: CheckedEntry) -> None:
        """Number a document and its nodes."""
        entry, self._document = one.entry, self._document + 1
        owners: dict[str, int] = {"{}": NO_METADATA}
        for data in (one.metadata, *one.node_metadata):
            if data not in owners:
                owners[data] = self._new_owner(data)
        metadata = owners[one.metadata]
        checksum = document_checksum(
            self._document, entry.document_id, entry.content_hash, metadata
        )
        self._documents += (
            self._document, storable(entry.document_id), storable(entry.content_hash), metadata,
            checksum,
        )  # fmt: skip
        document, nodes, texts = self._document, self._nodes, self._texts
        for row, (node, data) in enumerate(
            zip(entry.nodes, one.node_metadata, strict=True), self.next_row
        ):
            metadata = owners[data]
            checksum = node_checksum(node, row, document, metadata)
            nodes += (row, storable(node.id), document, node.start, node.end, metadata, checksum)
            texts.append(node.text)
        self.next_row += len(entry.nodes)

    def write(self) -> None:
        """Write all that was taken."""
        insert = partial(insert_rows, self._connection)
        insert("INSERT INTO documents", 5, self._documents)
        insert("INSERT INTO metadata", 4, self._owners)
        insert("INSERT OR IGNORE INTO facts", 4, self._facts)
        try:
            insert("INSERT INTO nodes", 7, self._nodes)
        except sqlite3.IntegrityError as error:
            raise self._taken_id(error) from error
        rows = enumerate(map(storable, self._texts), self._first_row)
        insert("INSERT INTO texts", 2, list(chain.from_iterable(rows)))

    def index_words(self) -> None:
        """Index the words of all that was written."""
        if all(map(str.isascii, self._texts)):
            words.add_words_of(self._connection, "texts", self._first_row)
        else:
            words.add_words(self._connection, enumerate(self._texts, self._first_row))

    def _new_owner(self, data: str) -> int:
        """Number metadata; equal metadata of one document has one number."""
        self._metadata += 1
        checksum = metadata_checksum(self._metadata, self._document, data)
        self._owners += (self._metadata, self._document, data, checksum)
        self._facts += chain.from_iterable(fact_rows(self._metadata, decode_metadata(data)))
        return self._metadata

    def _taken_id(self, error: sqlite3.IntegrityError) -> StoreError:
        """Name the node id that another document has."""
        for node_id in self._nodes[1::7]:
            taken = self._connection.execute(
                "SELECT documents.id FROM nodes JOIN documents ON number = document "
                "WHERE nodes.id = ? AND nodes.row < ?",
                (node_id, self._first_row),
            ).fetchone()
            if taken is not None:
                name, owner = restored(node_id), restored(taken[0])
                return StoreError(
                    f"Node id {shown(name)} already belongs to document {shown(owner)}. "
                    "Node ids are unique in an index."
                )
        return CorruptStoreError(f"The nodes could not be written ({error}). Verify the index.")
