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

import base64
import hashlib
import json
import threading
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nearfield.core.metadata import decode_metadata
from nearfield.core.nearest import Candidates, find_nearest, safe_rows, vector_lengths
from nearfield.core.schema import Node, NodeWithScore
from nearfield.core.store import Capabilities, Found, Header, StoreInfo
from nearfield.core.store_checks import (
    check_entries,
    check_header,
    check_new_header,
    check_query,
    known_header,
    shown,
)
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import CorruptStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.schema import Metadata
    from nearfield.core.store import Entry, QueryMode
    from nearfield.core.store_checks import CheckedEntry
    from nearfield.core.vectors import Vector, Vectors

FORMAT = 1
ROWS_AT_ONCE = 1_000
RETRIES = 5
DOCUMENT, NODE = "document", "node"
Ranges = list[list[int]]
"""Row numbers as pairs of a first and one past the last."""


@dataclass(slots=True)
class Row:
    """What an engine keeps: plain numbers and plain ASCII, whatever ids and texts hold.

    Attributes:
        number: The row's number, from 0; the order of writing.
        kind: ``"document"`` or ``"node"``.
        key: Stands for its id: 32 hexadecimal digits.
        owner: The number of a node's document; a document's own.
        data: All there is to know of it, as JSON.
        vector: The vector as base64 of little-endian float32; empty for a document.
        safe: Whether the engine may compare it: float32 can bear its length.
        search: What the engine compares, ``(dim,)`` float32; zeros when it may not, and
            empty in rows that are read.
    """

    number: int
    kind: str
    key: str
    owner: int
    data: str
    vector: str = ""
    safe: bool = True
    search: Sequence[float] = ()


class Engine(Protocol):
    """What a store of this kind asks of an engine."""

    exact: bool

    def read_state(self) -> str | None:
        """Give the state as it was last written, or ``None``."""

    def write_state(self, state: str) -> None:
        """Replace the state, whole or not at all, durably."""

    def create(self, dim: int, metric: SimilarityMode) -> None:
        """Make room for rows; harmless when it is there."""

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows."""

    def remove(self, first: int, end: int | None) -> None:
        """Remove rows from a number on, up to another or all."""

    def between(self, kind: str, first: int, end: int) -> list[Row]:
        """Give the rows of a kind with numbers from one up to another, in order."""

    def having(self, kind: str, name: str, values: Sequence[Any]) -> list[Row]:
        """Give the rows of a kind whose ``key`` or ``owner`` is one of some."""

    def unsafe(self) -> list[Row]:
        """Give the nodes that are not to be compared by the engine."""

    def nearest(self, query: Vector, limit: int, state: State) -> list[tuple[Row, float]]:
        """Give the best safe nodes that count, with scores, best first."""

    def size_bytes(self) -> int:
        """Give how much room it takes, if it can be told."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(slots=True)
class State:
    """The record that decides what counts.

    Attributes:
        change: Counts the writes.
        next: The first number that does not count.
        documents: How many there are.
        nodes: How many there are.
        longest: No safe vector ever written was longer.
        hidden: Ranges of numbers that do not count either.
        changed_at: When it was last written, in seconds since 1970.
        header: The header as JSON can say it.
        format: Of the rows.
    """

    change: int = 0
    next: int = 0
    documents: int = 0
    nodes: int = 0
    longest: float = 0.0
    hidden: Ranges = field(default_factory=list)
    changed_at: float | None = None
    header: dict[str, Any] | None = None
    format: int = FORMAT

    def counts(self, number: int) -> bool:
        """Say whether a row counts."""
        return number < self.next and not any(a <= number < b for a, b in self.hidden)


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
        self._clean = False

    def __repr__(self) -> str:
        """Give the place, without a secret."""
        return f"{type(self).__name__}({self._shown!r})"

    @property
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""
        with self._lock:
            return _header(self._state())

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
            stored = _header(state)
            if stored is not None:
                check_header(stored, header)
                return
            check_new_header(header)
            self._refuse_reading_only()
            self._engine.create(header.dim, header.metric)
            self._commit(replace(state, header=_plain(header)))

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header.

        Args:
            facts: What to add or replace.

        Raises:
            StoreError: The store has no header yet.
        """
        with self._lock:
            state = self._recovered()
            header = known_header(_header(state))
            merged = replace(header, facts={**header.facts, **facts})
            check_new_header(merged)
            self._commit(replace(state, header=_plain(merged)))

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
            there = self._named(state, DOCUMENT, document_ids)
            nodes = self._owned(state, [row.number for row in there])
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
            there = self._named(state, NODE, node_ids)
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
            header = _header(state)
            queries, conditions = check_query(
                self.capabilities, header, vectors, top_k, filters=filters, mode=mode, texts=texts
            )
            if header is None:
                return [Found([]) for _ in queries]
            for _ in range(RETRIES):
                found = [
                    self._nearest(state, header, query, int(top_k), conditions) for query in queries
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
                rows: Iterable[Row] = self._all(state, DOCUMENT)
            else:
                rows = self._named(state, DOCUMENT, document_ids)
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
                rows = [] if state.header is None else self._named(state, NODE, node_ids)
        for row in rows:
            yield _node(row), _vector(row)

    def count(self) -> int:
        """Give the number of nodes."""
        with self._lock:
            return self._state().nodes

    def info(self) -> StoreInfo:
        """Give what the store holds; its size is told by the engine, or is that of the vectors."""
        with self._lock:
            state = self._state()
            header = _header(state)
            least = 4 * state.nodes * (header.dim if header else 0)
            size = max(self._engine.size_bytes(), least)
            return StoreInfo(state.documents, state.nodes, header, size, state.changed_at)

    def close(self) -> None:
        """Let go of the engine; calling it twice is harmless."""
        with self._lock:
            self._engine.close()

    # Reading.

    def _state(self) -> State:
        said = self._engine.read_state()
        if said is None:
            return State()
        try:
            state = State(**json.loads(said))
        except (TypeError, ValueError) as error:
            message = f"{self._shown} holds no index of nearfield. Choose another name."
            raise CorruptStoreError(message) from error
        if state.format != FORMAT:
            message = f"{self._shown} is of format {state.format}; this nearfield knows {FORMAT}."
            raise CorruptStoreError(message)
        return state

    def _streamed(self, kind: str) -> Iterator[Row]:
        with self._lock:
            state = self._state()
        if state.header is None:
            return
        for first in range(0, state.next, ROWS_AT_ONCE):
            with self._lock:
                rows = self._engine.between(kind, first, min(first + ROWS_AT_ONCE, state.next))
            yield from (row for row in rows if state.counts(row.number))

    def _all(self, state: State, kind: str) -> list[Row]:
        return [
            row
            for first in range(0, state.next, ROWS_AT_ONCE)
            for row in self._engine.between(kind, first, min(first + ROWS_AT_ONCE, state.next))
            if state.counts(row.number)
        ]

    def _named(self, state: State, kind: str, ids: Sequence[str]) -> list[Row]:
        """Give the rows of some ids that count, in the order of writing."""
        wanted = set(ids)
        keys = [key_of(name) for name in wanted]
        rows = [row for some in _portions(keys) for row in self._engine.having(kind, "key", some)]
        there = (row for row in rows if state.counts(row.number))
        named = (row for row in there if json.loads(row.data)["id"] in wanted)
        return sorted(named, key=lambda row: row.number)

    def _owned(self, state: State, documents: Sequence[int]) -> list[Row]:
        rows = (
            row for some in _portions(documents) for row in self._engine.having(NODE, "owner", some)
        )
        return [row for row in rows if state.counts(row.number)]

    def _nearest(
        self,
        state: State,
        header: Header,
        query: Vector,
        k: int,
        conditions: MetadataFilters | None,
    ) -> Found:
        def allowed(row: Row) -> bool:
            return state.counts(row.number) and (
                conditions is None or conditions.matches(_node(row).metadata)
            )

        ask = Candidates(
            query=query,
            k=k,
            metric=header.metric,
            longest=state.longest,
            exact=self._engine.exact,
            nearest=lambda limit: self._engine.nearest(query, limit, state),
            unsafe=self._engine.unsafe,
            everything=lambda: self._all(state, NODE),
            allowed=allowed,
            vector=_vector,
            number=lambda row: row.number,
        )
        hits = find_nearest(ask)
        engine = "exact" if self._engine.exact else "hnsw"
        return Found([NodeWithScore(_node(row), score) for row, score in hits], engine)

    # Writing.

    def _refuse_reading_only(self) -> None:
        if self._read_only:
            message = f"{self._shown} was opened for reading only."
            raise StoreError(message)

    def _recovered(self) -> State:
        """Give the state for a write, with what an earlier one left behind removed."""
        self._refuse_reading_only()
        state = self._state()
        if state.header is not None and not self._clean:
            for first, end in state.hidden:
                self._engine.remove(first, end)
            self._engine.remove(state.next, None)
            self._clean = True
        return state

    def _commit(self, state: State, gone: Sequence[Row] = ()) -> None:
        hidden = _ranges(row.number for row in gone)
        self._clean = False
        said = replace(state, change=state.change + 1, changed_at=time.time(), hidden=hidden)
        self._engine.write_state(json.dumps(asdict(said)))
        for first, end in hidden:
            self._engine.remove(first, end)
        self._clean = True

    def _write(self, entries: Sequence[Entry], *, replacing: bool) -> None:
        with self._lock:
            checked = check_entries(entries, self.header)
            if not checked:
                return
            state = self._recovered()
            header = known_header(_header(state))
            there = self._named(state, DOCUMENT, [one.entry.document_id for one in checked])
            if there and not replacing:
                name = shown(json.loads(there[0].data)["id"])
                message = f"Document {name} is already there. Use upsert to replace it."
                raise StoreError(message)
            owners = [row.number for row in there]
            self._refuse_taken(state, checked, set(owners))
            gone = [*there, *self._owned(state, owners)]
            rows = list(_rows_of(checked, state.next, header.metric))
            self._clean = False  # until the commit, these are to be removed
            for some in _portions(rows):
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

    def _refuse_taken(
        self, state: State, checked: Sequence[CheckedEntry], replaced: set[int]
    ) -> None:
        ids = [node.id for one in checked for node in one.entry.nodes]
        for row in self._named(state, NODE, ids):
            if row.owner not in replaced:
                facts = json.loads(row.data)
                message = (
                    f"Node id {shown(facts['id'])} already belongs to document "
                    f"{shown(facts['document'])}. Node ids are unique in an index."
                )
                raise StoreError(message)


def key_of(name: str) -> str:
    """Give what stands for an id: plain, and of one length."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _portions(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(some), ROWS_AT_ONCE):
        yield some[start : start + ROWS_AT_ONCE]


def _ranges(numbers: Iterable[int]) -> Ranges:
    ranges: Ranges = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number, number + 1])
    return ranges


def _rows_of(checked: Sequence[CheckedEntry], number: int, metric: SimilarityMode) -> Iterator[Row]:
    """Give the rows of documents: each, then its nodes."""
    for one in checked:
        entry, owner = one.entry, number
        facts = {"id": entry.document_id, "hash": entry.content_hash, "metadata": one.metadata}
        yield Row(owner, DOCUMENT, key_of(entry.document_id), owner, json.dumps(facts))
        search, safe = searchable(entry.vectors, metric)
        for at, (node, data) in enumerate(zip(entry.nodes, one.node_metadata, strict=True)):
            number += 1
            said = {
                "id": node.id, "document": node.document_id, "text": node.text,
                "start": node.start, "end": node.end, "metadata": data,
            }  # fmt: skip
            vector = base64.b64encode(np.ascontiguousarray(entry.vectors[at], "<f4").tobytes())
            yield Row(
                number, NODE, key_of(node.id), owner, json.dumps(said), vector.decode(),
                safe=bool(safe[at]), search=search[at].tolist(),
            )  # fmt: skip
        number += 1


def searchable(vectors: Vectors, metric: SimilarityMode) -> tuple[Vectors, Any]:
    """Give vectors as an engine compares them: of length 1 for cosine, zeros where unsafe."""
    safe = safe_rows(vectors)
    exact = np.where(safe[:, None], vectors, 0).astype(np.float64)
    if metric is SimilarityMode.COSINE:
        exact /= np.where(safe, vector_lengths(vectors), 1)[:, None]
    return exact.astype(np.float32), safe


def _header(state: State) -> Header | None:
    if state.header is None:
        return None
    facts = deepcopy(state.header)
    return Header(**{**facts, "metric": SimilarityMode(facts["metric"])})


def _plain(header: Header) -> dict[str, Any]:
    return {**asdict(header), "metric": header.metric.value}


def _node(row: Row) -> Node:
    facts = json.loads(row.data)
    return Node(
        facts["text"], facts["id"], facts["document"], facts["start"], facts["end"],
        decode_metadata(facts["metadata"]),
    )  # fmt: skip


def _vector(row: Row) -> Vector:
    vector: Vector = np.frombuffer(base64.b64decode(row.vector), "<f4").astype(np.float32)
    return vector
