"""The store itself: what the contract asks, over one Lance table."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nearfield.core.storage import shown_place
from nearfield.core.store import Capabilities, Found, StoreInfo, tallied
from nearfield.core.store_checks import (
    check_entries,
    check_header,
    check_new_header,
    check_query,
    known_header,
)
from nearfield.errors import ConfigError, StoreError, StoreLockedError
from nearfield.stores.lance import reading, writing
from nearfield.stores.lance.index import AnnIndex, ann_index_of, build, check_recall
from nearfield.stores.lance.rows import DOCUMENT, IS_NODE, NODE, digest, one_of
from nearfield.stores.lance.searcher import Searcher
from nearfield.stores.lance.table import TABLE_NAME, LanceTable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.outlines import Outline
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry, Header, QueryMode
    from nearfield.core.vectors import Vector, Vectors
    from nearfield.stores.lance.table import Version

EXACT_BELOW = 100_000
REBUILD_AT_GROWTH = 2
TRIES_TO_JOIN = 10


class LanceStore:
    """An index as a Lance table, in a folder or an object store.

    Every write is one commit: all of it is there afterwards, or none. Readers
    see one whole version. In a folder one writer works at a time and what it
    wrote is synced; in an object store writers commit side by side, and the
    later of two that touch the same rows starts again.

    Args:
        path: The folder, or ``"s3://..."``, ``"gs://..."``, ``"az://..."``.
        read_only: Whether to refuse writing.
        timeout_s: How long a write waits for another writer, in a folder.
        durable: Whether a write is on the disk when it returns, safe from a power
            cut; a kill loses nothing either way. Object stores always keep it.
        exact_below: Up to how many rows (nodes and documents) answers are exact,
            from a copy in memory; above, the ANN index answers.
        ann: The kind of ANN index that is built once the table is larger:
            ``"IVF_SQ"``, ``"IVF_RQ"`` (smaller), ``"IVF_FLAT"``, or ``None`` for none.
        recall: The share of the nearest nodes the index is to find, above 0 and at
            most 1: measured after each build, on stored vectors.
        storage_options: Credentials and the like, for an object store; what is not named
            comes from the environment (``AWS_ACCESS_KEY_ID`` and so on). No message shows them.

    Raises:
        ConfigError: ``recall`` or ``exact_below`` makes no sense.
        MissingDependencyError: Lance is not installed.
        StoreError: Read-only, and there is no index.
        CorruptStoreError: What is there is another table.
    """

    capabilities = Capabilities(persistent=True, text_search=True, ann=True, concurrent=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        timeout_s: float = 30.0,
        durable: bool = True,
        exact_below: int = EXACT_BELOW,
        ann: str | None = "IVF_SQ",
        recall: float = 0.95,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        check_recall(recall)
        if exact_below < 0:
            message = f"exact_below is a number of rows, at least 0, not {exact_below!r}."
            raise ConfigError(message)
        self.path = shown_place(path)
        self._ann, self._recall, self._exact_below = ann, recall, exact_below
        self._table = LanceTable(
            str(path),
            storage_options=storage_options,
            read_only=read_only,
            timeout_s=timeout_s,
            durable=durable,
        )
        self._searcher = Searcher(exact_below)
        if self._table.latest() is None and read_only:
            message = f"There is no index at {self.path!r}. Make one without read_only."
            raise StoreError(message)

    @staticmethod
    def exists(path: str) -> bool:
        """Say whether there is an index.

        Args:
            path: As for the class.
        """
        if "://" not in path:
            return (Path(path) / TABLE_NAME).exists()
        return LanceTable(path).latest() is not None

    def __repr__(self) -> str:
        """Give the call that opens the same table."""
        return f"LanceStore({self.path!r})"

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
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        version = self._table.latest()
        return None if version is None else _own(version.header)

    @property
    def ann_index(self) -> AnnIndex | None:
        """The ANN index with its measured recall, or ``None`` if there is none."""
        version = self._table.latest()
        return None if version is None else ann_index_of(version)

    def initialize(self, header: Header) -> None:
        """Write the header of a new store; on an old one check that it is the same.

        Args:
            header: Which model, dimension and metric.

        Raises:
            ModelMismatchError: The fingerprints differ.
            DimensionMismatchError: The dimensions differ.
            StoreError: The metrics differ, or the store is read-only.
        """
        check_new_header(header)
        stored = self.header
        if stored is None:
            with self._table.writing() as version:
                if version is None and self._table.create(header):
                    return
            stored = known_header(self.header)
        check_header(stored, header)

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header, in one commit.

        Args:
            facts: What to add or replace.

        Raises:
            StoreError: The store has no header yet.
        """
        with self._table.writing() as version:
            header = known_header(None if version is None else version.header)
            merged = replace(header, facts={**header.facts, **facts})
            check_new_header(merged)
            if version is not None:
                self._table.write_header(version, merged)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, in one commit.

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
        """Write documents, each replacing the one of its id whole, in one commit.

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

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents whose nodes join those that are there, in one commit.

        In a folder others wait meanwhile. In an object store, where there is no lock, the
        documents are read and written again if one was written by somebody else meanwhile.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header, in a commit of its own.

        Raises:
            NearfieldError: As for :meth:`upsert`.
        """
        for more in reversed(range(1 if self._table.alone else TRIES_TO_JOIN)):
            try:
                self._write(entries, replacing=True, joining=True)
                break
            except StoreLockedError:
                if not more:
                    raise
        if tally:
            self.update_facts(tallied(known_header(self.header).facts, tally))

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes, in one commit.

        Args:
            document_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        return self._delete(DOCUMENT, document_ids, "document")

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes, in one commit; a document left empty stays known.

        Args:
            node_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        return self._delete(NODE, node_ids, "key")

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
            One answer per query, in order; each says by ``engine`` what answered:
            ``"exact"``, ``"text"``, or the kind of the ANN index.

        Raises:
            ConfigError: ``top_k`` or the filters make no sense.
            DimensionMismatchError: The queries are of another length than the header says.
            InvalidVectorsError: A query is not finite.
        """
        with self._table.reading() as version:
            header = None if version is None else version.header
            queries, conditions = check_query(
                self.capabilities, header, vectors, top_k, filters=filters, mode=mode, texts=texts
            )
            if version is None:
                return [Found([]) for _ in (texts if mode == "text" else queries)]
            if mode == "text":
                return self._searcher.by_words(version, texts, int(top_k), conditions)
            return self._searcher.by_vectors(version, queries, int(top_k), conditions)

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._table.reading() as version:
            return {} if version is None else reading.read_hashes(version, document_ids)

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing, of one version."""
        with self._table.reading() as version:
            if version is not None:
                yield from reading.iterate_documents(version)

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing, of one version.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._table.reading() as version:
            if version is not None:
                yield from reading.iterate_nodes(version, node_ids)

    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give facts and node ids of documents, by document id; arguments as content_hashes."""
        with self._table.reading() as version:
            return {} if version is None else reading.read_outlines(version, document_ids)

    def count(self) -> int:
        """Give the number of nodes."""
        with self._table.reading() as version:
            return 0 if version is None else int(version.data.count_rows(IS_NODE))

    def info(self) -> StoreInfo:
        """Give what the store holds; its size is that of the newest version's files."""
        with self._table.reading() as version:
            if version is None:
                return StoreInfo(0, 0, None, 0, None, self.path)
            nodes, rows = int(version.data.count_rows(IS_NODE)), version.data.count_rows()
            size, changed = reading.size_of(version), version.data.get_version()["timestamp"]
            own = _own(version.header)
            return StoreInfo(rows - nodes, nodes, own, size, changed.timestamp(), self.path)

    def build_ann_index(self, kind: str | None = None, *, recall: float | None = None) -> AnnIndex:
        """Build the ANN index now, and measure what it finds.

        It answers once the table has more rows than ``exact_below``. By itself it is
        built when the table first does, and again each time it has doubled.

        Args:
            kind: As ``ann`` of the class, which is the default.
            recall: As for the class.

        Returns:
            The index, with the recall that was measured.

        Raises:
            ConfigError: The kind is unknown, or there are too few nodes.
            StoreError: The store has no header yet, or is read-only.
        """
        with self._table.writing() as version:
            if version is None:
                raise StoreError("The store is new: there is nothing to index yet.")
            chosen = kind or self._ann or "IVF_SQ"
            return build(self._table, version, chosen, recall or self._recall)

    def optimize(self) -> None:
        """Put small files together, bring indices up to date, drop versions of over an hour ago.

        Writes do this by themselves from time to time.
        """
        with self._table.writing() as version:
            if version is not None:
                self._tend(version, always=True)

    def close(self) -> None:
        """Let go of the table; calling it twice is harmless."""
        self._table.close()
        self._searcher.forget()

    def _write(self, entries: Sequence[Entry], *, replacing: bool, joining: bool = False) -> None:
        version = self._table.latest()
        checked = check_entries(entries, None if version is None else version.header)
        if not checked:
            return
        with self._table.writing() as newest:
            if newest is None or version is None:
                raise StoreError("The table is gone. Index the documents again.")
            check_header(newest.header, version.header)
            if joining:
                checked = check_entries(reading.read_joined(newest, entries), newest.header)
            writing.write_entries(self._table, newest, checked, replace=replacing, joined=joining)
            self._tend(self._table.latest() or newest)

    def _tend(self, version: Version, *, always: bool = False) -> None:
        self._table.tidy(version, always=always)
        rows, index = version.data.count_rows(), ann_index_of(version)
        if self._ann is None or rows <= self._exact_below:
            return
        if index is None or rows > REBUILD_AT_GROWTH * index.rows:
            newest = self._table.latest() or version
            build(self._table, newest, self._ann, self._recall)

    def _delete(self, kind: str, names: Sequence[str], column: str) -> int:
        keys = {digest(kind, name) for name in names}
        if not keys:
            return 0
        with self._table.writing() as version:
            if version is None:
                return 0
            there = int(version.data.count_rows(one_of("key", sorted(keys))))
            if there:
                self._table.delete(version, one_of(column, sorted(keys)))
                self._tend(self._table.latest() or version)
            return there


def _own(header: Header) -> Header:
    """Give a header whose facts the caller may change."""
    return replace(header, facts=deepcopy(header.facts))
