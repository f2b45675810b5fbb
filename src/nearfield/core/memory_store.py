"""A store in this process: exact, fast to make, gone when the process ends."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core import words
from nearfield.core.memory_records import Record, Stored, allowed_rows
from nearfield.core.metadata import decode_metadata
from nearfield.core.outlines import Outline
from nearfield.core.schema import NodeWithScore
from nearfield.core.search import search
from nearfield.core.store import Capabilities, Found, StoreInfo, tallied
from nearfield.core.store_checks import (
    check_entries,
    check_header,
    check_new_header,
    check_query,
    known_header,
    shown,
)
from nearfield.core.upserts import read_and_upsert
from nearfield.core.vector_table import VectorTable
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry, Header, QueryMode
    from nearfield.core.store_checks import CheckedEntry
    from nearfield.core.vectors import Vector, Vectors

DEAD_SHARE_TO_COMPACT = 0.25


class MemoryStore:
    """Documents, nodes and vectors in memory, searched exactly.

    Nothing is written to disk: save an index to keep it.
    """

    capabilities = Capabilities(text_search=True)

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._header: Header | None = None
        self._changed_at: float | None = None
        self._forget()

    @property
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        return self._header

    def initialize(self, header: Header) -> None:
        """Take the header; on a store that has one, check that it is the same.

        Args:
            header: Which model, dimension and metric.

        Raises:
            ModelMismatchError: The fingerprints differ.
            DimensionMismatchError: The dimensions differ.
            StoreError: The metrics differ.
        """
        facts = check_new_header(header)
        with self._lock:
            if self._header is not None:
                check_header(self._header, header)
                return
            self._header = replace(header, facts=decode_metadata(facts))
            self._changed_at = time.time()

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header.

        Args:
            facts: What to add or replace.

        Raises:
            StoreError: The store has no header yet.
        """
        with self._lock:
            header = known_header(self._header)
            merged = replace(header, facts={**header.facts, **facts})
            self._header = replace(merged, facts=decode_metadata(check_new_header(merged)))
            self._changed_at = time.time()

    def add(self, entries: Sequence[Entry]) -> None:
        """Take new documents, all or none.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is already there or given twice, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
        """
        with self._lock:
            checked = check_entries(entries, self._header)
            for one in checked:
                if one.entry.document_id in self._documents:
                    name = shown(one.entry.document_id)
                    message = f"Document {name} is already there. Use upsert to replace it."
                    raise StoreError(message)
            self._write(checked)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Take documents, each replacing the one of its id whole; all or none.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is given twice, a node id belongs to another
                document, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
        """
        self.upsert_and_tally(entries, {})

    def upsert_and_tally(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Take documents as :meth:`upsert` does, and add ``tally`` to facts of the header."""
        with self._lock:
            self._write(check_entries(entries, self._header))
            if tally:
                header = known_header(self._header)
                self._header = replace(header, facts=tallied(header.facts, tally))

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Take documents whose nodes join those that are here, with nobody in between.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header.
        """
        with self._lock:
            read_and_upsert(self, entries, tally)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes.

        Args:
            document_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._lock:
            there = [name for name in dict.fromkeys(document_ids) if name in self._documents]
            doomed = [row for name in there for row in self._documents[name].rows]
            for name in there:
                del self._documents[name]
            self._remove(doomed, changed=bool(there))
            return len(there)

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes; a document left empty stays known.

        Args:
            node_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._lock:
            doomed = [self._rows[name] for name in dict.fromkeys(node_ids) if name in self._rows]
            for row in doomed:
                self._documents[self._records[row].node.document_id].rows.remove(row)
            self._remove(doomed, changed=bool(doomed))
            return len(doomed)

    def query(
        self,
        vectors: Vectors | None,
        top_k: int,
        *,
        filters: MetadataFilters | None = None,
        mode: QueryMode = "vector",
        texts: Sequence[str] = (),
    ) -> list[Found]:
        """Find the nearest nodes of each query.

        Args:
            vectors: ``(q, dim)`` float32 for ``mode="vector"``.
            top_k: How many of each, at least 1.
            filters: Conditions on the nodes' metadata.
            mode: By vectors or by words.
            texts: ``q`` texts for ``mode="text"``.

        Returns:
            One answer per query, in order; equal scores in the order of writing.

        Raises:
            ConfigError: ``top_k`` or the filters make no sense.
            DimensionMismatchError: The queries are of another length than the header says.
            InvalidVectorsError: A query is not finite.
        """
        queries, conditions = check_query(
            self.capabilities, self._header, vectors, top_k,
            filters=filters, mode=mode, texts=texts,
        )  # fmt: skip
        if mode == "text":
            return self._query_words(texts, top_k, conditions)
        with self._lock:
            header, records, segment = self._header, self._records, self._table.segment()
        # What was taken under the lock is never changed in place: no lock from here on.
        if header is None:
            return [Found([]) for _ in queries]
        if conditions is not None:
            segment = replace(segment, live=allowed_rows(records, segment, conditions))
        return [
            Found(
                [
                    NodeWithScore(records[row].give(), score)
                    for row, score in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True)
                ]
            )
            for hits in search([segment], queries, int(top_k), header.metric)
        ]

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._lock:
            names = self._documents if document_ids is None else document_ids
            return {
                name: self._documents[name].content_hash
                for name in names
                if name in self._documents
            }

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing."""
        with self._lock:
            known = [(name, stored.metadata) for name, stored in self._documents.items()]
        for name, metadata in known:
            yield name, decode_metadata(metadata)

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._lock:
            records, vectors = self._records, self._table.segment().vectors
            names = self._rows if node_ids is None else node_ids
            rows = sorted({self._rows[name] for name in names if name in self._rows})
        for row in rows:
            yield records[row].give(), vectors[row].copy()

    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give facts and node ids of documents, by document id; arguments as content_hashes."""
        with self._lock:
            names = self._documents if document_ids is None else set(document_ids)
            return {
                name: Outline(
                    decode_metadata(stored.metadata),
                    [self._records[row].node.id for row in stored.rows],
                )
                for name, stored in self._documents.items()
                if name in names
            }

    def count(self) -> int:
        """Give the number of nodes."""
        return len(self._rows)

    def info(self) -> StoreInfo:
        """Give what the store holds; its size is that of vectors and texts."""
        with self._lock:
            live = [self._records[row] for row in self._rows.values()]
            texts = sum(len(record.node.text.encode("utf-8", "replace")) for record in live)
            size = texts + 4 * len(live) * (self._header.dim if self._header else 0)
            return StoreInfo(len(self._documents), len(live), self._header, size, self._changed_at)

    def close(self) -> None:
        """Forget everything; the header stays, to say whose store it was."""
        with self._lock:
            self._word_index.close()
            self._forget()

    def _forget(self) -> None:
        self._documents: dict[str, Stored] = {}
        self._rows: dict[str, int] = {}
        self._records: list[Record] = []
        self._table = VectorTable()
        self._word_index = words.WordIndex()

    def _write(self, checked: list[CheckedEntry]) -> None:
        replaced = {one.entry.document_id for one in checked}
        for one in checked:
            for node in one.entry.nodes:
                row = self._rows.get(node.id)
                owner = None if row is None else self._records[row].node.document_id
                if owner is not None and owner not in replaced:
                    message = (
                        f"Node id {shown(node.id)} already belongs to document {shown(owner)}. "
                        "Node ids are unique in an index."
                    )
                    raise StoreError(message)
        self.delete([one.entry.document_id for one in checked])
        for one in checked:
            self._append(one)
        self._changed_at = time.time()

    def _append(self, one: CheckedEntry) -> None:
        entry, start = one.entry, len(self._records)
        end = start + len(entry.nodes)
        self._documents[entry.document_id] = Stored(
            entry.content_hash, one.metadata, list(range(start, end))
        )
        if not entry.nodes:
            return
        self._table.append(entry.vectors)
        parsed: dict[str, Metadata] = {}
        for row, node, metadata in zip(
            range(start, end), entry.nodes, one.node_metadata, strict=True
        ):
            if metadata not in parsed:
                parsed[metadata] = decode_metadata(metadata)
            bare = replace(node, metadata={}, embedding=None)
            self._records.append(Record(bare, metadata, parsed[metadata]))
            self._rows[node.id] = row

    def _remove(self, doomed: list[int], *, changed: bool) -> None:
        if changed:
            self._changed_at = time.time()
        if not doomed:
            return
        self._table.strike(doomed)
        for row in doomed:
            del self._rows[self._records[row].node.id]
        self._word_index.remove((row, self._records[row].node.text) for row in doomed)
        if len(self._rows) < (1 - DEAD_SHARE_TO_COMPACT) * len(self._records):
            self._compact()

    def _compact(self) -> None:
        kept = self._table.compact()
        self._records = [self._records[row] for row in kept]
        moved = {int(old): new for new, old in enumerate(kept)}
        self._rows = {record.node.id: row for row, record in enumerate(self._records)}
        for stored in self._documents.values():
            stored.rows = [moved[row] for row in stored.rows]
        self._word_index.close()
        self._word_index = words.WordIndex()

    def _query_words(
        self, texts: Sequence[str], top_k: int, conditions: MetadataFilters | None
    ) -> list[Found]:
        with self._lock:
            self._word_index.extend(
                len(self._records),
                lambda start: (
                    (row, self._records[row].node.text)
                    for row in self._rows.values()
                    if row >= start
                ),
            )
            among = None
            if conditions is not None:
                mask = allowed_rows(self._records, self._table.segment(), conditions)
                among = np.flatnonzero(mask).tolist()
            return [
                Found(
                    [
                        NodeWithScore(self._records[row].give(), score)
                        for row, score in self._word_index.find(text, int(top_k), among)
                    ],
                    "text",
                )
                for text in texts
            ]
