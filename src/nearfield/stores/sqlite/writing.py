"""Documents with all that belongs to them, written and removed."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

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
from nearfield.stores.sqlite.schema import NO_METADATA, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.store_checks import CheckedEntry


class Numbers(NamedTuple):
    """The numbers that what is written next gets.

    Attributes:
        stamp: Of the last write: they hold until there is another.
        row: Of the next node.
        document: Of the next document.
        metadata: Of the next metadata.
    """

    stamp: int
    row: int
    document: int
    metadata: int


def read_numbers(connection: sqlite3.Connection) -> Numbers:
    """Read the numbers that what is written next gets."""
    state = read_state(connection)
    document, metadata = connection.execute(
        "SELECT (SELECT coalesce(max(number), 0) + 1 FROM documents), max(number) + 1 FROM metadata"
    ).fetchone()
    return Numbers(state.stamp, state.next_row, document, metadata)


def write_batch(
    connection: sqlite3.Connection, batch: Batch, *, stamp: int, dim: int, replace: bool
) -> Numbers:
    """Write documents with their nodes, vectors, facts and words.

    Args:
        connection: A connection within a write transaction.
        batch: What to write; where others wrote since it was numbered, it is numbered anew.
        stamp: The write's random number.
        dim: Numbers per vector.
        replace: Whether documents of the same ids give way; an error otherwise.

    Returns:
        The numbers that what is written next gets.

    Raises:
        StoreError: A document is already there, or a node id belongs to another one.
    """
    if batch.first.stamp != read_state(connection).stamp:
        batch = Batch(batch.entries, read_numbers(connection))
    there = find_documents(connection, [one.entry.document_id for one in batch.entries])
    if there and not replace:
        name = shown(there[0].id)
        message = f"Document {name} is already there. Use upsert to replace it."
        raise StoreError(message)
    remove_documents(connection, [found.number for found in there], dim=dim, stamp=stamp)
    fail_points.reach("removed")
    batch.write(connection)
    fail_points.reach("documents")
    if batch.vectors is not None:
        write_vectors(connection, batch.first.row, batch.vectors, stamp)
    fail_points.reach("vectors")
    batch.index_words(connection)
    fail_points.reach("words")
    return batch.after(stamp)


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


class Batch:
    """Documents turned into rows of tables, as flat lists of values.

    Args:
        entries: The documents, checked.
        first: The numbers that the first of them gets.

    Attributes:
        entries: The documents.
        first: The numbers that the first of them got.
        vectors: Those of all nodes, ``(n, dim)`` float32; ``None`` where there is no node.
    """

    def __init__(self, entries: Sequence[CheckedEntry], first: Numbers) -> None:
        self.entries, self.first = entries, first
        self._row, self._document, self._owner = first.row, first.document, first.metadata
        self._documents: list[Any] = []
        self._nodes: list[Any] = []
        self._owners: list[Any] = []
        self._facts: list[Any] = []
        self._texts: list[str] = []
        for one in entries:
            self._take(one)
        parts = [one.entry.vectors for one in entries if len(one.entry.nodes)]
        self.vectors = np.concatenate(parts) if len(parts) > 1 else next(iter(parts), None)

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes: those of vectors and texts."""
        vectors = 0 if self.vectors is None else self.vectors.nbytes
        return vectors + sum(map(len, self._texts))

    def after(self, stamp: int) -> Numbers:
        """Give the numbers that what is written next gets.

        Args:
            stamp: Of the write of this batch.
        """
        return Numbers(stamp, self._row, self._document, self._owner)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all but vectors and words, within the transaction that is open."""
        insert = partial(insert_rows, connection)
        insert("INSERT INTO documents", 5, self._documents)
        insert("INSERT INTO metadata", 4, self._owners)
        insert("INSERT OR IGNORE INTO facts", 4, self._facts)
        try:
            insert("INSERT INTO nodes", 7, self._nodes)
        except sqlite3.IntegrityError as error:
            raise self._taken_id(connection, error) from error
        rows = enumerate(map(storable, self._texts), self.first.row)
        insert("INSERT INTO texts", 2, list(chain.from_iterable(rows)))

    def index_words(self, connection: sqlite3.Connection) -> None:
        """Index the words of all that was written."""
        if all(map(str.isascii, self._texts)):
            words.add_words_of(connection, "texts", self.first.row)
        else:
            words.add_words(connection, enumerate(self._texts, self.first.row))

    def _take(self, one: CheckedEntry) -> None:
        """Number a document and its nodes."""
        entry, document = one.entry, self._document
        owners: dict[str, int] = {"{}": NO_METADATA}
        for data in (one.metadata, *one.node_metadata):
            if data not in owners:
                owners[data] = self._new_owner(data)
        metadata = owners[one.metadata]
        checksum = document_checksum(document, entry.document_id, entry.content_hash, metadata)
        self._documents += (
            document, storable(entry.document_id), storable(entry.content_hash), metadata, checksum,
        )  # fmt: skip
        nodes, texts = self._nodes, self._texts
        for row, (node, data) in enumerate(
            zip(entry.nodes, one.node_metadata, strict=True), self._row
        ):
            metadata = owners[data]
            checksum = node_checksum(node, row, document, metadata)
            nodes += (row, storable(node.id), document, node.start, node.end, metadata, checksum)
            texts.append(node.text)
        self._document += 1
        self._row += len(entry.nodes)

    def _new_owner(self, data: str) -> int:
        """Number metadata; equal metadata of one document has one number."""
        number = self._owner
        checksum = metadata_checksum(number, self._document, data)
        self._owners += (number, self._document, data, checksum)
        self._facts += chain.from_iterable(fact_rows(number, decode_metadata(data)))
        self._owner += 1
        return number

    def _taken_id(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError
    ) -> StoreError:
        """Name the node id that another document has."""
        for node_id in self._nodes[1::7]:
            taken = connection.execute(
                "SELECT documents.id FROM nodes JOIN documents ON number = document "
                "WHERE nodes.id = ? AND nodes.row < ?",
                (node_id, self.first.row),
            ).fetchone()
            if taken is not None:
                name, owner = restored(node_id), restored(taken[0])
                return StoreError(
                    f"Node id {shown(name)} already belongs to document {shown(owner)}. "
                    "Node ids are unique in an index."
                )
        return CorruptStoreError(f"The nodes could not be written ({error}). Verify the index.")
