"""What one version of the index looks like to a search: a snapshot, and what is newer than it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.search import Lengths, Segment, row_norms
from nearfield.stores.sqlite.blocks import read_blocks, read_loose, read_vectors
from nearfield.stores.sqlite.facts import RowOwners
from nearfield.stores.sqlite.snapshot import Snapshot, open_snapshot, write_snapshot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from nearfield.core.search import Rows
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.blocks import Block
    from nearfield.stores.sqlite.facts import Check
    from nearfield.stores.sqlite.schema import State

NEW_SHARE_TO_REWRITE = 0.25


@dataclass(frozen=True, slots=True)
class View:
    """One version of an index, ready to be searched. Never changed once made.

    Attributes:
        state: The version.
        segments: All live vectors, each in one segment.
        base: The snapshot in use, if any.
        fresh: The blocks read since, held in memory.
        owners: Which metadata each node has, read when a filter asks.
    """

    state: State
    segments: tuple[Segment, ...]
    base: Snapshot | None
    fresh: Snapshot
    owners: RowOwners

    def narrowed(self, rows: Rows) -> list[Segment]:
        """Give the segments with only some of their rows live.

        Args:
            rows: The rows that may be found.
        """
        narrowed = []
        for segment in self.segments:
            places = np.searchsorted(segment.rows, rows)
            here = places < len(segment.rows)
            places, wanted = places[here], rows[here]
            places = places[segment.rows[places] == wanted]
            live = np.zeros(len(segment.rows), np.bool_)
            live[places] = True
            if segment.live is not None:
                live &= segment.live
            narrowed.append(replace(segment, live=live))
        return narrowed


def load_view(
    connection: sqlite3.Connection,
    state: State,
    dim: int,
    *,
    path: Path,
    snapshot_from_bytes: int,
    previous: View | None,
    check: Check,
) -> View:
    """Read a version of the index, reusing all of an earlier view that still holds.

    Args:
        connection: A connection that sees the version.
        state: The version.
        dim: Numbers per vector.
        path: The index file.
        snapshot_from_bytes: How many bytes of vectors are worth a snapshot on disk.
        previous: Another view of the same index.
        check: Refuses what a connection read of more than one version.

    Returns:
        The view.

    Raises:
        CorruptStoreError: Vectors are damaged.
        StoreUnavailableError: It was more than one version.
    """
    if previous is not None and previous.fresh.vectors.shape[1] != dim:
        previous = None  # the index was migrated to another model
    blocks = read_blocks(connection)
    base = previous.base if previous is not None else None
    if base is None and _size(blocks, dim) >= snapshot_from_bytes:
        base = open_snapshot(path, state.identity, dim)
    newer = _newer(blocks, base)
    size = _size(newer, dim)
    if size >= snapshot_from_bytes and (
        base is None or size >= NEW_SHARE_TO_REWRITE * base.vectors.nbytes
    ):
        base = write_snapshot(connection, path, blocks, state.identity, dim)
        newer = _newer(blocks, base)
    fresh = _read_fresh(connection, newer, dim, previous.fresh if previous is not None else None)
    segments = []
    if len(fresh.rows):
        segments.append(Segment(fresh.vectors, fresh.lengths, fresh.rows, codes=fresh.codes))
    if base is not None and len(base.rows):
        live = _believed(base, blocks)
        segments.insert(0, Segment(base.vectors, base.lengths, base.rows, live, base.codes))
    rows, vectors = read_loose(connection, dim)
    if len(rows):
        segments.append(Segment(vectors, Lengths.of(row_norms(vectors)), rows))
    check(connection)  # before others are given the view
    return View(state, tuple(segments), base, fresh, RowOwners(check))


def _newer(blocks: Sequence[Block], base: Snapshot | None) -> list[Block]:
    """Give the blocks that the snapshot does not hold as they are now."""
    stamps = base.stamps if base is not None else {}
    return [block for block in blocks if stamps.get(block.number) != block.stamp]


def _believed(
    base: Snapshot, blocks: Sequence[Block]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """Say which rows of the snapshot are still as they were; ``None`` when all are."""
    now = {block.number: block.stamp for block in blocks}
    stale = [number for number, stamp in base.stamps.items() if now.get(number) != stamp]
    if not stale:
        return None
    live = np.ones(len(base.rows), np.bool_)
    for number in stale:
        live[base.places[number]] = False
    return live


def _read_fresh(
    connection: sqlite3.Connection, blocks: Sequence[Block], dim: int, known: Snapshot | None
) -> Snapshot:
    """Hold blocks in memory, reading only those that are not held already."""
    stamps = {block.number: block.stamp for block in blocks}
    if known is not None and known.stamps == stamps:
        return known
    parts: list[Vectors] = [np.zeros((0, dim), np.float32)]
    for block in blocks:
        if known is not None and known.stamps.get(block.number) == block.stamp:
            parts.append(known.vectors[known.places[block.number]])
        else:
            parts.append(read_vectors(connection, block, dim))
    vectors = np.concatenate(parts)
    table = [(block.number, block.stamp, block.alive) for block in blocks]
    rows = np.concatenate([np.zeros(0, np.int64), *(block.rows for block in blocks)])
    return Snapshot.of(
        np.asarray(table, np.int64).reshape(-1, 3), rows, row_norms(vectors), vectors
    )


def _size(blocks: Sequence[Block], dim: int) -> int:
    return 4 * dim * sum(block.alive for block in blocks)
