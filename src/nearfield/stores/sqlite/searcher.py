"""Queries answered in the version of the index that a connection sees."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

from nearfield.core.fork_lock import ForkLock
from nearfield.core.schema import NodeWithScore
from nearfield.core.search import search
from nearfield.core.store import Found
from nearfield.core.words import find_words
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.approximate import ENGINE, open_approximate, search_approximately
from nearfield.stores.sqlite.blocks import read_blocks
from nearfield.stores.sqlite.facts import matching_rows
from nearfield.stores.sqlite.reading import read_nodes
from nearfield.stores.sqlite.snapshot import write_snapshot
from nearfield.stores.sqlite.view import View, load_view

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.search import Segment
    from nearfield.core.store import Header
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.approximate import Approximate
    from nearfield.stores.sqlite.facts import Check
    from nearfield.stores.sqlite.snapshot import Snapshot

APPROXIMATE_UP_TO = 250


class Searcher:
    """Answers queries, holding the view of the newest version seen.

    Args:
        path: The index file.
        snapshot_from_bytes: How many bytes of vectors are worth a snapshot on disk.
        check: Refuses what a connection read of more than one version.
    """

    def __init__(self, path: Path, snapshot_from_bytes: int, check: Check) -> None:
        self._path = path
        self._check = check
        self._snapshot_from_bytes = snapshot_from_bytes
        self._view: View | None = None
        self._approximate: tuple[Snapshot, Approximate | None] | None = None
        self._view_lock = ForkLock()

    def by_vectors(
        self,
        connection: sqlite3.Connection,
        header: Header,
        queries: Vectors,
        top_k: int,
        conditions: MetadataFilters | None,
    ) -> list[Found]:
        """Find the nearest nodes of each query vector.

        Args:
            connection: A connection within a read transaction.
            header: The header it sees.
            queries: ``(q, dim)`` float32, checked.
            top_k: How many of each.
            conditions: On the nodes' metadata.

        Returns:
            One answer per query, in order.

        Raises:
            CorruptStoreError: What was found is damaged.
        """
        view = self._view_of(connection, header)
        segments: Sequence[Segment] = view.segments
        if conditions is not None:
            segments = view.narrowed(matching_rows(connection, conditions, view.owners))
        approximate = self._approximate_of(view, header) if conditions is None else None
        engine = "exact"
        if approximate is not None and top_k <= APPROXIMATE_UP_TO:
            engine = ENGINE
            hits = search_approximately(approximate, segments, queries, top_k, header.metric)
        else:
            hits = search(segments, queries, top_k, header.metric)
        found = [list(zip(h.rows.tolist(), h.scores.tolist(), strict=True)) for h in hits]
        return self._answers(connection, found, engine)

    def by_words(
        self,
        connection: sqlite3.Connection,
        header: Header,
        texts: Sequence[str],
        top_k: int,
        conditions: MetadataFilters | None,
    ) -> list[Found]:
        """Find the best nodes by the words of each text; arguments as :meth:`by_vectors`."""
        among = None
        if conditions is not None:
            view = self._view_of(connection, header)
            among = matching_rows(connection, conditions, view.owners).tolist()
        found = [find_words(connection, text, top_k, among) for text in texts]
        return self._answers(connection, found, "text")

    def newest_snapshot(self, connection: sqlite3.Connection, header: Header) -> Snapshot | None:
        """Give a snapshot that has all blocks as they are; ``None`` where none is worth while."""
        view = self._view_of(connection, header)
        if view.base is None or not view.fresh.stamps:
            return view.base
        blocks = read_blocks(connection)
        base = write_snapshot(connection, self._path, blocks, view.state.identity, header.dim)
        self.forget()
        return base

    def forget(self) -> None:
        """Let go of the view."""
        with self._view_lock:
            self._view = None
            self._approximate = None

    def _approximate_of(self, view: View, header: Header) -> Approximate | None:
        """Give the approximate index of a view's snapshot, looked for once a snapshot."""
        if view.base is None or not len(view.base.rows):
            return None
        with self._view_lock:
            known = self._approximate
            if known is None or known[0] is not view.base:
                known = view.base, open_approximate(self._path, view.base, header.metric)
                self._approximate = known
        return known[1]

    def _view_of(self, connection: sqlite3.Connection, header: Header) -> View:
        """Give the view of the version that a connection sees."""
        state = schema.read_state(connection)
        view = self._view
        if view is not None and view.state == state:
            return view
        with self._view_lock:
            previous = self._view
            if previous is not None and previous.state == state:
                return previous
            view = load_view(
                connection,
                state,
                header.dim,
                path=self._path,
                snapshot_from_bytes=self._snapshot_from_bytes,
                previous=previous,
                check=self._check,
            )
            # A slow reader may see an older version than the one at hand.
            if previous is None or previous.state.change <= state.change:
                self._view = view
            return view

    def _answers(
        self,
        connection: sqlite3.Connection,
        found: Sequence[Sequence[tuple[int, float]]],
        engine: str,
    ) -> list[Found]:
        rows = [row for hits in found for row, _ in hits]
        nodes = read_nodes(connection, rows)
        if len(nodes) != len(set(rows)):
            message = f"{self._path} has vectors or words without a node. Verify and repair it."
            raise CorruptStoreError(message)
        given: set[int] = set()
        answers = []
        for hits in found:
            scored = []
            for row, score in hits:
                node = nodes[row]
                if row in given:  # each answer gets facts of its own to change
                    node = replace(node, metadata=deepcopy(node.metadata))
                given.add(row)
                scored.append(NodeWithScore(node, score))
            answers.append(Found(scored, engine))
        return answers
