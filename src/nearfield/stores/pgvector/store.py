"""The store itself: what the contract asks, over the tables of one schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from nearfield.core.store import Capabilities, Found, StoreInfo, tallied
from nearfield.core.store_checks import check_entries, check_header, check_query, known_header
from nearfield.errors import ConfigError, ModelMismatchError, StoreError
from nearfield.stores.pgvector import approximate, reading, schema, upkeep, writing
from nearfield.stores.pgvector.address import parse_address
from nearfield.stores.pgvector.answering import answer
from nearfield.stores.pgvector.connection import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.outlines import Outline
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry, Header, QueryMode
    from nearfield.core.vectors import Vector, Vectors

ANN_FROM_NODES = 50_000
BUILD_MEMORY_MB = 512


class PGVectorStore:
    """An index in PostgreSQL with pgvector; any number of machines may share it.

    Every write is a transaction. Readers see one whole version. A second writer
    waits for the first. Up to a stated number of nodes the search is exact;
    above, an HNSW index answers, and :class:`~nearfield.core.store.Found` says so.

    Args:
        uri: ``postgresql://user:password@host/database?index=name``.
        index: The index's name, which is that of its schema; it wins over the one in
            ``uri``, and is ``"nearfield"`` when there is none.
        create: Whether to make it when it is missing.
        read_only: Whether to refuse writing.
        timeout_s: How long a write waits for another writer.
        ann_from_nodes: From how many nodes on an HNSW index is made; ``None`` for never.
        recall: What part of the true ten best it is to find: measured when it is made.
        build_memory_mb: How much memory the server may use to make it.

    Raises:
        ConfigError: The address is none.
        StoreError: The database refuses, lacks pgvector, or has no such index.
        StoreUnavailableError: It cannot be reached.
    """

    capabilities = Capabilities(persistent=True, text_search=True, ann=True, concurrent=True)

    def __init__(
        self,
        uri: str,
        *,
        index: str | None = None,
        create: bool = True,
        read_only: bool = False,
        timeout_s: float = 30.0,
        ann_from_nodes: int | None = ANN_FROM_NODES,
        recall: float = 0.95,
        build_memory_mb: int = BUILD_MEMORY_MB,
    ) -> None:
        if not 0 < recall <= 1:
            message = f"recall is above 0 and at most 1, not {recall!r}."
            raise ConfigError(message)
        self._address = parse_address(uri, index)
        self._connections = Connections(self._address, read_only=read_only, timeout_s=timeout_s)
        self._ann_from_nodes = ann_from_nodes
        self._recall = recall
        self._build_memory_mb = int(build_memory_mb)
        self._made_by: str | None = None
        self._prepare(create=create and not read_only)

    def __repr__(self) -> str:
        """Give the address, without its password."""
        return f"PGVectorStore({self._address.shown!r})"

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

    @staticmethod
    def exists(uri: str) -> bool:
        """Say whether there is an index at an address, without making one.

        Args:
            uri: As for the constructor.

        Raises:
            ConfigError: The address is none.
            StoreUnavailableError: The database cannot be reached.
        """
        address = parse_address(uri)
        connections = Connections(address, read_only=True, timeout_s=1)
        try:
            with connections.looking() as connection:
                return schema.is_there(connection, address.index)
        finally:
            connections.close()

    @property
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        with self._connections.reading() as connection:
            header = schema.read_state(connection).header
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
            StoreError: The metrics differ, or the store is read-only.
            ConfigError: pgvector takes no vectors so long.
        """
        stored = self.header
        if stored is None:
            with self._connections.writing() as connection:
                state = schema.read_state(connection, lock=True)
                stored = state.header
                if stored is None:
                    schema.write_header(connection, header)
                    schema.write_state(connection, state)
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
            state = schema.read_state(connection, lock=True)
            header = known_header(state.header)
            schema.write_facts(connection, replace(header, facts={**header.facts, **facts}))
            schema.write_state(connection, state)

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
            StoreUnavailableError: The connection was lost; whether the write was
                kept is known from :meth:`content_hashes`.
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
            StoreUnavailableError: The connection was lost; the same call may be repeated.
        """
        self._write(entries, replacing=True)

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents whose nodes join those that are there, all in one transaction.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header.

        Raises:
            NearfieldError: As for :meth:`upsert`.
        """
        self._write(entries, replacing=True, joining=True, tally=tally)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes, in one transaction.

        Args:
            document_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._connections.writing() as connection:
            state = schema.read_state(connection, lock=True)
            if state.header is None:
                return 0
            there = writing.find_documents(connection, document_ids)
            if there:
                writing.remove_documents(connection, state, list(there))
                schema.write_state(connection, state)
            return len(there)

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes, in one transaction; a document left empty stays known.

        Args:
            node_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._connections.writing() as connection:
            state = schema.read_state(connection, lock=True)
            if state.header is None:
                return 0
            removed = writing.remove_nodes(connection, state, node_ids)
            if removed:
                schema.write_state(connection, state)
            return removed

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
            ModelMismatchError: The index was made anew by another model.
        """
        with self._connections.reading() as connection:
            state = schema.read_state(connection)
            header = state.header
            if header is not None and mode == "vector":
                self._refuse_remade(header)
            queries, filtered = check_query(
                self.capabilities, header, vectors, top_k, filters=filters, mode=mode, texts=texts
            )
            if header is None:
                return [Found([]) for _ in (texts if mode == "text" else queries)]
            asked = texts if mode == "text" else queries
            return answer(connection, state, header.metric, asked, k=int(top_k), filters=filtered)

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._connections.reading() as connection:
            if schema.read_state(connection).header is None:
                return {}
            return reading.read_hashes(connection, document_ids)

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing, of one version."""
        with self._connections.reading() as connection:
            if schema.read_state(connection).header is not None:
                yield from reading.iterate_documents(connection)

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing, of one version.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._connections.reading() as connection:
            if schema.read_state(connection).header is not None:
                yield from reading.iterate_nodes(connection, node_ids)

    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give facts and node ids of documents, by document id; arguments as content_hashes."""
        with self._connections.reading() as connection:
            if schema.read_state(connection).header is None:
                return {}
            return reading.read_outlines(connection, document_ids)

    def count(self) -> int:
        """Give the number of nodes."""
        with self._connections.reading() as connection:
            return schema.read_state(connection).nodes

    def info(self) -> StoreInfo:
        """Give what the store holds; its size is that of its tables and indexes."""
        with self._connections.reading() as connection:
            state = schema.read_state(connection)
            (size,) = connection.execute(
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = %s AND c.relkind = 'r'",
                (self._address.index,),
            ).fetchone()
        return StoreInfo(state.documents, state.nodes, state.header, size, state.changed_at)

    def verify(self) -> list[upkeep.Problem]:
        """Look for what does not fit together: nodes without a document, wrong counts, words.

        Returns:
            What is wrong; nothing when the index is sound. Whether the bytes are as they
            were written, the server's own checksums tell.
        """
        with self._connections.reading() as connection:
            return upkeep.problems(connection, schema.read_state(connection))

    def build_ann(self) -> approximate.Built | None:
        """Make the HNSW index now, or anew, whatever the size, and measure its recall.

        Worth a call after a large load into a store opened with ``ann_from_nodes=None``:
        an index made at once is made faster than one that grows. Writers wait meanwhile.

        Returns:
            What was measured; ``None`` for an empty index, or one of vectors too long.
        """
        with self._connections.writing() as connection:
            state = schema.read_state(connection, lock=True)
            return approximate.build(
                connection, state, recall=self._recall, memory_mb=self._build_memory_mb
            )

    def drop(self) -> None:
        """Remove the index from the database, with its schema; the store is closed."""
        with self._connections.writing() as connection:
            schema.read_state(connection, lock=True)
            upkeep.drop(connection, self._connections.quoted(self._address.index))
        self.close()

    def close(self) -> None:
        """Let go of all connections; calling it twice is harmless."""
        self._connections.close()

    def _prepare(self, *, create: bool) -> None:
        index = self._address.index
        with self._connections.looking() as connection:
            if schema.is_there(connection, index):
                return
        if not create:
            message = f"There is no index at {self._address.shown}."
            raise StoreError(message)
        with self._connections.writing() as connection:
            schema.create(connection, index, self._connections.quoted(index))

    def _write(
        self,
        entries: Sequence[Entry],
        *,
        replacing: bool,
        joining: bool = False,
        tally: Mapping[str, int] | None = None,
    ) -> None:
        header = self.header
        if header is not None:
            self._refuse_remade(header)
        checked = check_entries(entries, header)
        if not checked:
            return
        with self._connections.writing() as connection:
            state = schema.read_state(connection, lock=True)
            header = known_header(state.header)
            self._refuse_remade(header)
            if joining:  # the locked state keeps other writers out
                checked = check_entries(reading.read_joined(connection, entries), header)
            if tally:
                facts = tallied(header.facts, tally)
                schema.write_facts(connection, replace(header, facts=facts))
            writing.write_entries(connection, state, checked, replace=replacing)
            schema.write_state(connection, state)
        enough = self._ann_from_nodes
        if state.ann is None and enough is not None and state.nodes >= enough:
            self.build_ann()

    def _refuse_remade(self, header: Header) -> None:
        if self._made_by is None:
            self._made_by = header.fingerprint
        if header.fingerprint != self._made_by:
            message = (
                f"{self._address.shown} was made anew by {header.model_name} while it was open. "
                "Open it again with that model."
            )
            raise ModelMismatchError(message)
