"""A store over an engine that has no transactions: one small record decides what counts.

Every document and node is a row with a number that is never used again. A row counts
when its number is below ``next`` of the state and not in its ``hidden`` ranges.
A write puts its rows above ``next``, where nobody sees them; then it replaces the
state, a single record, in one step: from then on the new rows count and those they
replace do not; then it removes these. Killed anywhere, all of it counts
or nothing, and what was left behind is removed by the next write.

One process writes at a time; the engine or its user sees to that.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.committed.asking import nearest_nodes
from nearfield.core.committed.lookup import (
    ROWS_AT_ONCE,
    all_rows,
    named_rows,
    owned_rows,
    portions,
    refuse_taken,
)
from nearfield.core.committed.rows import DOCUMENT, NODE, node_of, outlines_of, rows_of, vector_of
from nearfield.core.committed.state import (
    header_of,
    next_state,
    plain,
    ranges_of,
    read_state,
    written,
)
from nearfield.core.metadata import decode_metadata
from nearfield.core.nearest import vector_lengths
from nearfield.core.store import Capabilities, Found, StoreInfo
from nearfield.core.store_checks import (
    check_entries,
    check_header,
    check_new_header,
    check_query,
    known_header,
    shown,
)
from nearfield.core.upserts import read_and_upsert
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nearfield.core.committed.engine import Engine
    from nearfield.core.committed.rows import Row
    from nearfield.core.committed.state import State
    from nearfield.core.filters import MetadataFilters
    from nearfield.core.outlines import Outline
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry, Header, QueryMode
    from nearfield.core.vectors import Vector, Vectors

RETRIES = 5


class CommittedStore:
    """The store contract over an :class:`Engine`.

    Args:
        engine: Where rows are kept.
        shown: The place, for messages: without a secret.
        read_only: Whether to refuse writing.
    """

    capabilities = Capabilities(persistent=True)

    def __init__(self, engine: Engine, shown: str, *, read_only: bool = False) -> None:
        self._engine = engine
        self._shown = shown
        self._read_only = read_only
        self._lock = threading.RLock()
        self._clean = -1
        """The change of which all that does not count has been removed, by this store."""

    def __repr__(self) -> str:
        """Give the place, without a secret."""
        return f"{type(self).__name__}({self._shown!r})"

    @property
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        with self._lock:
            return header_of(self._state())

    def initialize(self, header: Header) -> None:
        """Write the header of a new store; on an old one check that it is the same.

        Args:
            header: Which model, dimension and metric.

        Raises:
            ModelMismatchError: The fingerprints differ.
            DimensionMismatchError: The dimensions differ.
            StoreError: The metrics differ, or the store is read-only.
        """
        with self._lock:
            state = self._state()
            stored = header_of(state)
            if stored is not None:
                check_header(stored, header)
                return
            check_new_header(header)
            self._refuse_reading_only()
            self._engine.create(header.dim, header.metric)
            self._commit(replace(state, header=plain(header)))

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header.

        Args:
            facts: What to add or replace.

        Raises:
            StoreError: The store has no header yet.
        """
        with self._lock:
            state = self._recovered()
            header = known_header(header_of(state))
            merged = replace(header, facts={**header.facts, **facts})
            check_new_header(merged)
            self._commit(replace(state, header=plain(merged)))

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, all or none.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is already there or given twice, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON, or the engine cannot hold so much.
        """
        self._write(entries, replacing=False)

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Write documents, each replacing the one of its id whole; all or none.

        Args:
            entries: The documents with their nodes and vectors.

        Raises:
            StoreError: An id is given twice, a node id belongs to another
                document, or the store has no header.
            DimensionMismatchError: Vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON, or the engine cannot hold so much.
        """
        self._write(entries, replacing=True)

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents whose nodes join those that are there; no other thread is in between.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header.

        Raises:
            NearfieldError: As for :meth:`upsert`.
        """
        with self._lock:
            read_and_upsert(self, entries, tally)

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes, in one step.

        Args:
            document_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._lock:
            state = self._recovered()
            if state.header is None:
                return 0
            there = named_rows(self._engine, state, DOCUMENT, document_ids)
            nodes = owned_rows(self._engine, state, [row.number for row in there])
            if there:
                self._commit(
                    replace(
                        state,
                        documents=state.documents - len(there),
                        nodes=state.nodes - len(nodes),
                    ),
                    gone=[*there, *nodes],
                )
            return len(there)

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes, in one step; a document left empty stays known.

        Args:
            node_ids: Which; unknown ids are passed over.

        Returns:
            How many were there.
        """
        with self._lock:
            state = self._recovered()
            if state.header is None:
                return 0
            there = named_rows(self._engine, state, NODE, node_ids)
            if there:
                self._commit(replace(state, nodes=state.nodes - len(there)), gone=there)
            return len(there)

    def query(
        self,
        vectors: Vectors | None,
        top_k: int,
        *,
        filters: MetadataFilters | None = None,
        mode: QueryMode = "vector",
        texts: Sequence[str] = (),
    ) -> list[Found]:
        """Find the nearest nodes of each query, all in one version of the store.

        Args:
            vectors: ``(q, dim)`` float32.
            top_k: How many of each, at least 1.
            filters: Conditions on the nodes' metadata.
            mode: By vectors; by words where the store can.
            texts: ``q`` texts for ``mode="text"``.

        Returns:
            One answer per query, in order; equal scores in the order of writing.

        Raises:
            ConfigError: ``top_k`` or the filters make no sense.
            DimensionMismatchError: The queries are of another length than the header says.
            InvalidVectorsError: A query is not finite.
            NotSupportedError: The store lacks the mode.
        """
        with self._lock:
            state = self._state()
            header = header_of(state)
            queries, conditions = check_query(
                self.capabilities, header, vectors, top_k, filters=filters, mode=mode, texts=texts
            )
            if header is None:
                return [Found([]) for _ in queries]
            for _ in range(RETRIES):
                found = [
                    nearest_nodes(
                        self._engine,
                        state,
                        query,
                        k=int(top_k),
                        metric=header.metric,
                        conditions=conditions,
                    )
                    for query in queries
                ]
                now = self._state()
                if now.change == state.change:
                    return found
                state = now  # another process wrote meanwhile: ask its version
        message = f"{self._shown} is written faster than it can be read. Try again."
        raise StoreError(message)

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        with self._lock:
            state = self._state()
            if state.header is None:
                return {}
            if document_ids is None:
                rows: Iterable[Row] = all_rows(self._engine, state, DOCUMENT)
            else:
                rows = named_rows(self._engine, state, DOCUMENT, document_ids)
            facts = [json.loads(row.data) for row in rows]
            return {one["id"]: one["hash"] for one in facts}

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing."""
        for row in self._streamed(DOCUMENT):
            facts = json.loads(row.data)
            yield facts["id"], decode_metadata(facts["metadata"])

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.
        """
        rows: Iterable[Row]
        if node_ids is None:
            rows = self._streamed(NODE)
        else:
            with self._lock:
                state = self._state()
                known = state.header is not None
                rows = named_rows(self._engine, state, NODE, node_ids) if known else []
        for row in rows:
            yield node_of(row), vector_of(row)

    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give facts and node ids of documents, by document id; arguments as content_hashes."""
        with self._lock:
            state = self._state()
            if state.header is None:
                return {}
            if document_ids is None:
                rows = all_rows(self._engine, state, DOCUMENT)
                nodes = all_rows(self._engine, state, NODE)
            else:
                rows = named_rows(self._engine, state, DOCUMENT, document_ids)
                nodes = owned_rows(self._engine, state, [row.number for row in rows])
        return outlines_of(rows, nodes)

    def count(self) -> int:
        """Give the number of nodes."""
        with self._lock:
            return self._state().nodes

    def info(self) -> StoreInfo:
        """Give what the store holds; its size is told by the engine, or is that of the vectors."""
        with self._lock:
            state = self._state()
            header = header_of(state)
            least = 4 * state.nodes * (header.dim if header else 0)
            size = max(self._engine.size_bytes(), least)
            return StoreInfo(state.documents, state.nodes, header, size, state.changed_at)

    def close(self) -> None:
        """Let go of the engine; calling it twice is harmless."""
        with self._lock:
            self._engine.close()

    # Reading.

    def _state(self) -> State:
        state = read_state(self._engine.read_state(), self._shown)
        # What this store has removed needs no hiding.
        return replace(state, hidden=[]) if self._clean == state.change else state

    def _streamed(self, kind: str) -> Iterator[Row]:
        with self._lock:
            state = self._state()
        if state.header is None:
            return
        for first in range(0, state.next, ROWS_AT_ONCE):
            with self._lock:
                rows = self._engine.between(kind, first, min(first + ROWS_AT_ONCE, state.next))
            yield from (row for row in rows if state.counts(row.number))

    # Writing.

    def _refuse_reading_only(self) -> None:
        if self._read_only:
            message = f"{self._shown} was opened for reading only."
            raise StoreError(message)

    def _recovered(self) -> State:
        """Give the state for a write, with what an earlier one left behind removed."""
        self._refuse_reading_only()
        state = self._state()
        if state.header is not None and self._clean != state.change:
            hidden = [(first, end) for first, end in state.hidden]
            self._engine.remove([*hidden, (state.next, None)])
            self._clean = state.change
        return replace(state, hidden=[])

    def _commit(self, state: State, gone: Sequence[Row] = ()) -> None:
        hidden = ranges_of(row.number for row in gone)
        said = next_state(state, hidden)
        self._clean = -1
        self._engine.write_state(written(said))
        if hidden:
            self._engine.remove([(first, end) for first, end in hidden])
        self._clean = said.change

    def _write(self, entries: Sequence[Entry], *, replacing: bool) -> None:
        with self._lock:
            checked = check_entries(entries, self.header)
            if not checked:
                return
            state = self._recovered()
            header = known_header(header_of(state))
            ids = [one.entry.document_id for one in checked]
            there = named_rows(self._engine, state, DOCUMENT, ids)
            if there and not replacing:
                name = shown(json.loads(there[0].data)["id"])
                message = f"Document {name} is already there. Use upsert to replace it."
                raise StoreError(message)
            owners = [row.number for row in there]
            refuse_taken(self._engine, state, checked, set(owners))
            gone = [*there, *owned_rows(self._engine, state, owners)]
            rows = list(rows_of(checked, state.next, header.metric))
            self._clean = -1  # until the commit, these are to be removed
            for some in portions(rows):
                self._engine.put(some)
            norms = [vector_lengths(one.entry.vectors) for one in checked if len(one.entry.nodes)]
            lengths = np.concatenate([np.zeros(1), *norms])
            nodes = len(rows) - len(checked)
            longest = float(lengths[(lengths < 1e15)].max())  # noqa: PLR2004 - as safe_rows has it
            self._commit(
                replace(
                    state,
                    next=state.next + len(rows),
                    documents=state.documents + len(checked) - len(there),
                    nodes=state.nodes + nodes - (len(gone) - len(there)),
                    longest=max(state.longest, longest),
                ),
                gone=gone,
            )
