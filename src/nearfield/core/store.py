"""What a vector store is: the contract every store keeps, and the records it takes.

A store is the record of an index: its header (which model made it, how long
its vectors are, how they are compared), its documents, and their nodes with
their vectors. Every write is one transaction: all of it is there afterwards,
or none.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.schema import Metadata, Node, NodeWithScore
    from nearfield.core.vectors import Vector, Vectors

QueryMode = Literal["vector", "text"]
"""By vectors, or by words (BM25); the retriever fuses the two into ``"hybrid"``."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do; tests and callers choose by these, never by a store's name.

    Attributes:
        persistent: It survives the process.
        exact: Its vector results equal a brute force.
        filters: It takes metadata filters.
        text_search: It ranks by words.
        ann: It can answer from an approximate index (and says when it did).
        concurrent: Other processes may read, and wait to write, at the same time.
    """

    persistent: bool = False
    exact: bool = True
    filters: bool = True
    text_search: bool = False
    ann: bool = False
    concurrent: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """Who made the vectors of a store, and how they compare.

    Attributes:
        fingerprint: The embedding model's, in full.
        dim: Numbers per vector.
        metric: How vectors are compared.
        model_name: The model's name, for messages.
        facts: What else the index wants to remember, JSON-able: chunk size,
            overlap, how to load the model again, ...
    """

    fingerprint: str
    dim: int
    metric: SimilarityMode = SimilarityMode.COSINE
    model_name: str = "unknown"
    facts: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One document with all its nodes and vectors: the unit of writing.

    Attributes:
        document_id: The document's name.
        content_hash: The hash of the content the nodes were made from.
        nodes: Its nodes in order; all carry ``document_id``.
        vectors: ``(len(nodes), dim)`` float32, row by row those of ``nodes``.
        metadata: The document's facts.
    """

    document_id: str
    content_hash: str
    nodes: Sequence[Node]
    vectors: Vectors
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a store answers to one query.

    Attributes:
        nodes: Best first; equal scores in the order of writing.
        engine: What answered: ``"exact"``, ``"text"``, or an ANN index's name.
    """

    nodes: list[NodeWithScore]
    engine: str = "exact"


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        documents: How many documents.
        nodes: How many nodes.
        header: Its header; ``None`` while the store is new.
        size_bytes: Bytes it takes: on disk if it is persistent, else in memory.
        changed_at: When it was last written, in seconds since 1970; ``None`` if never.
        path: Where it is, if it is a file.
    """

    documents: int
    nodes: int
    header: Header | None
    size_bytes: int
    changed_at: float | None = None
    path: str | None = None


@runtime_checkable
class VectorStore(Protocol):
    """The contract of a store.

    A new, empty store has no header; :meth:`initialize` gives it one. All
    methods may be called from several threads. Metadata must be JSON: see
    :mod:`nearfield.core.metadata`. What the arguments must satisfy is checked
    by :mod:`nearfield.core.store_checks`, the same way in every store.
    """

    capabilities: Capabilities

    @property
    def header(self) -> Header | None:
        """The header, or ``None`` while the store is new."""

    def initialize(self, header: Header) -> None:
        """Write the header of a new store; on an old one check that it is the same.

        Raises:
            ModelMismatchError: The stored fingerprint differs; both are in the message.
            DimensionMismatchError: The stored dimension differs.
            StoreError: The stored metric differs.
        """

    def update_facts(self, facts: Metadata) -> None:
        """Merge facts into those of the header, in one transaction.

        Raises:
            StoreError: The store is new and has no header yet.
        """

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, in one transaction.

        Raises:
            DimensionMismatchError: The vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
            StoreError: A document or node id is already there, or given twice.
        """

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Write documents, each replacing the one of its id whole, in one transaction.

        Raises:
            DimensionMismatchError: The vectors are of another length than the header says.
            InvalidVectorsError: A vector is not finite.
            ConfigError: Metadata is not JSON.
            StoreError: Two entries share an id, or a node id belongs to another document.
        """

    def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents with all their nodes, in one transaction.

        Returns:
            How many of the documents were there.
        """

    def delete_nodes(self, node_ids: Sequence[str]) -> int:
        """Remove single nodes, in one transaction; a document left empty stays known.

        Returns:
            How many of the nodes were there.
        """

    def query(
        self,
        vectors: Vectors | None,
        top_k: int,
        *,
        filters: MetadataFilters | None = None,
        mode: QueryMode = "vector",
        texts: Sequence[str] = (),
    ) -> list[Found]:
        """Find the nearest nodes of each query, in one version of the store.

        A vector's score is a function of the two vectors alone, computed in
        float64: it is the same in any batch, on any store that is exact.

        Args:
            vectors: ``(q, dim)`` float32 for ``mode="vector"``.
            top_k: How many of each, at least 1.
            filters: Conditions on the nodes' metadata.
            mode: By vectors or by words.
            texts: ``q`` texts for ``mode="text"``.

        Returns:
            One answer per query, in order.

        Raises:
            ConfigError: ``top_k`` or the filters make no sense.
            InvalidVectorsError: A query is not finite.
            DimensionMismatchError: The queries are of another length than the header says.
            NotSupportedError: The store lacks the mode, or filters.
        """

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        """Give the content hash of documents, by document id.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """

    def documents(self) -> Iterator[tuple[str, Metadata]]:
        """Give every document's id and facts, in the order of writing."""

    def nodes(self, node_ids: Sequence[str] | None = None) -> Iterator[tuple[Node, Vector]]:
        """Give nodes with their vectors ``(dim,)``, in the order of writing.

        Args:
            node_ids: Which; all when ``None``. Unknown ids are passed over.
        """

    def count(self) -> int:
        """Give the number of nodes."""

    def info(self) -> StoreInfo:
        """Give what the store holds: documents, nodes, size, last change."""

    def close(self) -> None:
        """Let go of files and connections; calling it twice is harmless."""


@runtime_checkable
class Tallying(Protocol):
    """A store that can add to numbers of its header in the transaction of a write."""

    def upsert_and_tally(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents as :meth:`VectorStore.upsert` does, and add to facts of the header.

        Args:
            entries: The documents.
            tally: What is added to which fact, in the same transaction; one that
                is missing, or no whole number, counts as 0.

        Raises:
            NearfieldError: As for :meth:`VectorStore.upsert`.
        """


class Writer(Protocol):
    """What writes documents, as :meth:`VectorStore.add` and :meth:`VectorStore.upsert` do."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Write new documents, in one transaction."""

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Write documents, each replacing the one of its id whole, in one transaction."""


@runtime_checkable
class BulkWriting(Protocol):
    """A store that can finish writing a batch while the next one is prepared."""

    def bulk(self) -> AbstractContextManager[Writer]:
        """Give what writes batch after batch.

        Each batch is one transaction. A call returns when the batch of the call before is as
        safe as after :meth:`VectorStore.add`; the end of the ``with`` block waits for the last.
        What kept a batch from being written is raised by its own call, the next, or the end.
        """


def writer_of(store: VectorStore) -> AbstractContextManager[Writer]:
    """Give what writes many batches: in bulk where the store can, else the store itself.

    Args:
        store: The store.
    """
    return store.bulk() if isinstance(store, BulkWriting) else nullcontext(store)


def tallied(facts: Metadata, tally: Mapping[str, int]) -> Metadata:
    """Give facts with numbers added.

    Args:
        facts: The facts of a header.
        tally: What is added to which.
    """
    return {**facts, **{name: _count(facts.get(name)) + more for name, more in tally.items()}}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
