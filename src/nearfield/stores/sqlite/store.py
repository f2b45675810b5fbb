"""The store itself: what the contract asks, over the tables of one SQLite file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nearfield.core.store import Capabilities, Found, StoreInfo, tallied
from nearfield.core.store_checks import check_entries, check_header, check_query, known_header
from nearfield.errors import ModelMismatchError
from nearfield.stores.sqlite import reading, schema, writing
from nearfield.stores.sqlite.blocks import count_rows
from nearfield.stores.sqlite.bulk import Bulk
from nearfield.stores.sqlite.connection import Connections, redone
from nearfield.stores.sqlite.opening import prepare
from nearfield.stores.sqlite.searcher import Searcher
from nearfield.stores.sqlite.upkeep import Upkeep
from nearfield.stores.sqlite.writing import Batch, read_numbers, write_batch

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.outlines import Outline
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry, Header, QueryMode
    from nearfield.core.store_checks import CheckedEntry
    from nearfield.core.vectors import Vector, Vectors
    from nearfield.stores.sqlite.writing import Numbers

SNAPSHOT_FROM_BYTES = 32 << 20


class SQLiteStore(Upkeep):
    """An index in one file; any number of processes may share it.

    It is searched exactly, unless :meth:`build_ann_index` was asked for.

    Every write is a transaction that is on the disk when the call returns.
    Readers see one whole version. A second writer waits for the first.
    Do not put the file on a network drive: SQLite's log needs shared memory.

    Args:
        path: The index file.
        create: Whether to make it when it is missing.
        read_only: Whether to refuse writing; also right where nothing can be written, even
            while somebody else writes.
        timeout_s: How long a write waits for another writer.
        snapshot_from_bytes: From how many bytes of vectors on a copy laid out for searching
            is kept beside the file, also by one that only reads; below that, and where it
            cannot be written, in memory.

    Raises:
        StoreError: The file is missing and not to be made, or cannot be opened.
        CorruptStoreError: It is damaged, not an index, or of another format.
    """

    capabilities = Capabilities(persistent=True, text_search=True, ann=True, concurrent=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        read_only: bool = False,
        timeout_s: float = 30.0,
        snapshot_from_bytes: int = SNAPSHOT_FROM_BYTES,
    ) -> None:
        self.path = Path(path)
        mode = prepare(self.path, create=create, read_only=read_only, timeout_s=timeout_s)
        place = self.path.absolute()  # the process may go to another folder
        self._connections = Connections(place, mode=mode, timeout_s=timeout_s)
        self._searcher = Searcher(place, snapshot_from_bytes, self._connections.check)
        self._made_by: str | None = None

    def __repr__(self) -> str:
        """Give the call that opens the same file."""
        return f"SQLiteStore({str(self.path)!r})"

    def __enter__(self) -> Self:
        """Give the store, to be closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    @property
    @redone
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        with self._connections.reading() as connection:
            header = schema.read_header(connection)
        if header is not None and self._made_by is None:
            self._made_by = header.fingerprint
        return header

    def initialize(self, header: Header) -> None:
        """Write the header of a new store; on an old one check that it is the same.

        Args:
            header: Which model, dimension and metric.

        Raises:
            ModelMismatchError: The fingerprints differ.
            DimensionMismatchError: The dimensions differ.
            StoreError: The metrics differ, or the file is read-only.
        """
        stored = self.header
        if stored is None:
            with self._connections.writing() as connection:
                stored = schema.read_header(connection)
                if stored is None:
                    schema.write_header(connection, header)
                    self._note_write(connection)
                    return
        check_header(stored, header)

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header.

        Args:
            facts: What to add or replace.

        Raises:
            StoreError: The store has no header yet.
        """
        with self._connections.writing() as connection:
            header = known_header(schema.read_header(connection))
            schema.write_header(connection, replace(header, facts={**header.facts, **facts}))
            self._note_write(connection)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, in one transaction.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is already there or given twice, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
            StoreLockedError: Another process kept writing for longer than ``timeout_s``.
        """
        self._write(entries, replacing=False)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Write documents, each replacing the one of its id whole, in one transaction.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is given twice, a node id belongs to another
                document, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
            StoreLockedError: Another process kept writing for longer than ``timeout_s``.
        """
        self._write(entries, replacing=True)

    def upsert_and_tally(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents as :meth:`upsert` does, and add to facts of the header with them.

        Args:
            entries: The documents with their nodes and vectors.
            tally: What is added to which fact, in the same transaction.

        Raises:
            NearfieldError: As for :meth:`upsert`.
        """
        self._write(entries, replacing=True, tally=tally)

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents whose nodes join those that are there, all in one transaction.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header.

        Raises:
            NearfieldError: As for :meth:`upsert`.
        """
        self._checked(entries)  # what is wrong is told before anybody else has to wait
        with self._connections.writing() as connection:
            whole = reading.read_joined(connection, entries)
            self._write_in(connection, self._checked(whole), tally=tally)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes, in one transaction.

        Args:
            document_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._connections.writing() as connection:
            there = reading.find_documents(connection, document_ids)
            if there:
                stamp, dim = schema.random_stamp(), self._dim(connection)
                numbers = [found.number for found in there]
                writing.remove_documents(connection, numbers, dim=dim, stamp=stamp)
                self._note_write(connection, stamp=stamp)
            return len(there)

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes, in one transaction; a document left empty stays known.

        Args:
            node_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._connections.writing() as connection:
            rows = reading.find_rows(connection, node_ids)
            if rows:
                stamp, dim = schema.random_stamp(), self._dim(connection)
                writing.remove_nodes(connection, rows, dim=dim, stamp=stamp)
                self._note_write(connection, stamp=stamp)
            return len(rows)

    @redone
    def query(
        self,
        vectors: Vectors | None,
        top_k: int,
        *,
        filters: MetadataFilters | None = None,
        mode: QueryMode = "vector",
        texts: Sequence[str] = (),
    ) -> list[Found]:
        """Find the nearest nodes of each query, all in one version of the index.

        Args:
            vectors: ``(q, dim)`` float32 for ``mode="vector"``.
            top_k: How many of each, at least 1.
            filters: Conditions on the nodes' metadata.
            mode: By vectors or by words (BM25).
            texts: ``q`` texts for ``mode="text"``.

        Returns:
            One answer per query, in order; equal scores in the order of writing.

        Raises:
            ConfigError: ``top_k`` or the filters make no sense.
            DimensionMismatchError: The queries are of another length than the header says.
            InvalidVectorsError: A query is not finite.
            CorruptStoreError: What was found is damaged.
            ModelMismatchError: The index was migrated since this store was opened.
        """
        with self._connections.reading() as connection:
            header = schema.read_header(connection)
            if header is not None and mode == "vector":
                self._refuse_migrated(header)
            queries, conditions = check_query(
                self.capabilities, header, vectors, top_k, filters=filters, mode=mode, texts=texts
            )
            if header is None:
                return [Found([]) for _ in (texts if mode == "text" else queries)]
            if mode == "text":
                return self._searcher.by_words(connection, header, texts, int(top_k), conditions)
            return self._searcher.by_vectors(connection, header, queries, int(top_k), conditions)

    @redone
    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._connections.reading() as connection:
            return reading.read_hashes(connection, document_ids)

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing, of one version.

        Raises:
            StoreUnavailableError: Where nothing can be written, a writer came meanwhile, so that
                there is no more of that version.
        """
        with self._connections.reading() as connection:
            for document in reading.iterate_documents(connection):
                self._connections.check(connection)
                yield document

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing, of one version.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.

        Raises:
            StoreUnavailableError: As for :meth:`documents`.
        """
        with self._connections.reading() as connection:
            for node in reading.iterate_with_vectors(connection, node_ids):
                self._connections.check(connection)
                yield node

    @redone
    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give facts and node ids of documents, by document id; arguments as content_hashes."""
        with self._connections.reading() as connection:
            return reading.read_outlines(connection, document_ids)

    @redone
    def count(self) -> int:
        """Give the number of nodes."""
        with self._connections.reading() as connection:
            return count_rows(connection)

    @redone
    def info(self) -> StoreInfo:
        """Give what the store holds; its size is that of the file and its log."""
        with self._connections.reading() as connection:
            header, state = schema.read_header(connection), schema.read_state(connection)
            known = connection.execute("SELECT count(*) FROM documents").fetchone()[0]
            nodes = count_rows(connection)
        size = 0
        place = self._connections.path
        for part in (place, Path(f"{place}-wal")):
            with suppress(OSError):
                size += part.stat().st_size
        return StoreInfo(known, nodes, header, size, state.changed_at, str(self.path))

    def close(self) -> None:
        """Let go of the file; calling it twice is harmless."""
        self._connections.close()
        self._searcher.forget()

    def bulk(self) -> Bulk:
        """Give what writes batch after batch, each finished while the next one is prepared.

        Of two batches the first is on the disk when the call for the second returns, and all
        are when the ``with`` block ends::

            with store.bulk() as bulk:
                for entries in batches:
                    bulk.add(entries)
        """
        return Bulk(self._connections, self._checked, self._write_batch)

    def _write(
        self, entries: Sequence[Entry], *, replacing: bool, tally: Mapping[str, int] | None = None
    ) -> None:
        checked = self._checked(entries)
        if checked:
            with self._connections.writing() as connection:
                self._write_in(connection, checked, replacing=replacing, tally=tally)

    def _write_in(
        self,
        connection: sqlite3.Connection,
        checked: list[CheckedEntry],
        *,
        replacing: bool = True,
        tally: Mapping[str, int] | None = None,
    ) -> None:
        batch = Batch(checked, read_numbers(connection))
        self._write_batch(connection, batch, replacing=replacing, tally=tally)

    def _checked(self, entries: Sequence[Entry]) -> list[CheckedEntry]:
        header = self.header
        if header is not None:
            self._refuse_migrated(header)
        return check_entries(entries, header)

    def _write_batch(
        self,
        connection: sqlite3.Connection,
        batch: Batch,
        *,
        replacing: bool,
        tally: Mapping[str, int] | None = None,
    ) -> Numbers:
        """Write a batch in the transaction that is open; give the numbers of what comes next."""
        header = known_header(schema.read_header(connection))
        self._refuse_migrated(header)
        if tally:
            schema.write_header(connection, replace(header, facts=tallied(header.facts, tally)))
        stamp = schema.random_stamp()
        after = write_batch(connection, batch, stamp=stamp, dim=header.dim, replace=replacing)
        self._note_write(connection, stamp=stamp, next_row=after.row)
        return after

    def _refuse_migrated(self, header: Header) -> None:
        """Refuse vectors of the model that made the index once another model has."""
        if self._made_by is None:
            self._made_by = header.fingerprint
        elif header.fingerprint != self._made_by:
            message = (
                f"{self.path} was migrated to {header.model_name!r} ({header.fingerprint}) "
                "since it was opened. Open it again with that model."
            )
            raise ModelMismatchError(message)

    def _dim(self, connection: sqlite3.Connection) -> int:
        return known_header(schema.read_header(connection)).dim
