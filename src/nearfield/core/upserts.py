"""Batches of documents put into any store: in place of older versions, or beside their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nearfield.core.outlines import outlines
from nearfield.core.store import Entry, Tallying, tallied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from nearfield.core.outlines import Outline
    from nearfield.core.schema import Node
    from nearfield.core.store import VectorStore
    from nearfield.core.vectors import Vector
else:
    from nearfield.core.arrays import np


@runtime_checkable
class Joining(Protocol):
    """A store that reads a document's nodes and writes them anew with nobody in between."""

    def upsert_joined(self, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
        """Write documents whose nodes join those that are there, in one transaction.

        Args:
            entries: The documents, each with the nodes that are new or changed.
            tally: What is added to which fact of the header, in the same transaction.

        Raises:
            NearfieldError: As for :meth:`~nearfield.core.store.VectorStore.upsert`.
        """


def upsert_replacing(
    store: VectorStore, entries: Sequence[Entry], tally: Mapping[str, int]
) -> None:
    """Write documents, each in place of the one of its id, and add to facts of the header.

    Args:
        store: Any store; one that is not :class:`~nearfield.core.store.Tallying` has the
            facts changed in a transaction of their own.
        entries: The documents.
        tally: What is added to which fact.
    """
    if tally and isinstance(store, Tallying):
        store.upsert_and_tally(entries, tally)
        return
    store.upsert(entries)
    if tally:
        header = store.header
        store.update_facts(tallied(header.facts if header else {}, tally))


def upsert_joining(store: VectorStore, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
    """Write documents whose nodes join those that are there.

    Args:
        store: Any store. In one that is not :class:`Joining`, what somebody else writes to the
            same document between its being read and written, moments later, is lost.
        entries: The documents, each with the nodes that are new or changed.
        tally: What is added to which fact of the header.
    """
    if isinstance(store, Joining):
        store.upsert_joined(entries, tally)
    else:
        read_and_upsert(store, entries, tally)


def read_and_upsert(store: VectorStore, entries: Sequence[Entry], tally: Mapping[str, int]) -> None:
    """Read the nodes that documents have, and write them with those that join them.

    Args:
        store: The store; whoever calls knows whether somebody can write in between.
        entries: The documents, each with the nodes that are new or changed.
        tally: What is added to which fact of the header.
    """
    ids = [entry.document_id for entry in entries]
    known, has = store.content_hashes(ids), outlines(store, ids)
    there = store.nodes([node_id for outline in has.values() for node_id in outline.node_ids])
    upsert_replacing(store, joined(entries, known, has, there), tally)


def joined(
    entries: Sequence[Entry],
    known: Mapping[str, str],
    has: Mapping[str, Outline],
    there: Iterable[tuple[Node, Vector]],
) -> list[Entry]:
    """Give documents with the nodes they have already, those of the same id replaced.

    Args:
        entries: The documents with what is new of them.
        known: The content hashes of those that are there, by document id.
        has: The facts of those that are there, by document id.
        there: Their nodes with vectors ``(dim,)``, in order.

    Returns:
        The documents whole: old nodes first, with the content hash and the facts they had.
    """
    rows: dict[str, dict[str, tuple[Node, Vector]]] = {name: {} for name in known}
    for node, vector in there:
        rows[node.document_id][node.id] = node, vector
    return [
        _whole(entry, known[entry.document_id], has[entry.document_id], rows[entry.document_id])
        if entry.document_id in known
        else entry
        for entry in entries
    ]


def _whole(
    entry: Entry, content_hash: str, outline: Outline, rows: dict[str, tuple[Node, Vector]]
) -> Entry:
    for node, vector in zip(entry.nodes, entry.vectors, strict=True):
        rows[node.id] = node, vector
    matrix = np.empty((len(rows), entry.vectors.shape[1]), np.float32)
    for number, (_, vector) in enumerate(rows.values()):
        matrix[number] = vector
    nodes = [node for node, _ in rows.values()]
    return Entry(entry.document_id, content_hash, nodes, matrix, outline.metadata)
