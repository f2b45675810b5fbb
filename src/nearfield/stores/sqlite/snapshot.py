"""A copy of the blocks' vectors laid out for scanning: memory-mapped, derived, never the record.

A snapshot lies beside the index, as ``NAME-snapshot``, and may be deleted at
any time. It is written under another name, synced, and renamed, so that a
whole one or none is there; a large one serves before that. It lists the stamp
of every block it was made from; a block whose stamp has changed since is read
from the index instead, so that a snapshot need not be new to be useful, and one
of another file, or of another past of this file, is never believed.

Layout, little-endian: a page of JSON, the table of blocks (number, stamp, rows
as int64), the row numbers (int64), the rows' lengths (float32), and the
vectors (float32), each beginning on a page.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nearfield.core.codes import CodesOnDemand
from nearfield.core.progress import progress
from nearfield.core.search import Lengths, row_norms
from nearfield.stores.sqlite import fail_points
from nearfield.stores.sqlite.blocks import check_vectors, read_vectors, stored_vectors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.core.search import Rows
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.blocks import Block

FORMAT = "nearfield-snapshot-1"
PAGE = 4096
FORGOTTEN_AFTER_S = 3600
SHOWN_FROM_BYTES = 256 << 20
SYNCED_ASIDE_FROM_BYTES = 256 << 20
"""So many bytes may take a disk seconds: the answer does not wait for them, the end of
the program does."""
WRITERS = 2
BLOCKS_WAITING = 8


class _Layout(NamedTuple):
    """Where the parts of a snapshot file begin, in bytes."""

    blocks: int
    rows: int
    norms: int
    vectors: int
    end: int

    @classmethod
    def of(cls, blocks: int, rows: int, dim: int) -> _Layout:
        starts, at = [], PAGE
        for size in (blocks * 24, rows * 8, rows * 4, rows * dim * 4):
            starts.append(at)
            at = -(-(at + size) // PAGE) * PAGE
        blocks_at, rows_at, norms_at, vectors_at = starts
        return cls(blocks_at, rows_at, norms_at, vectors_at, vectors_at + rows * dim * 4)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The vectors of some blocks, ready to be scanned.

    Attributes:
        stamps: The stamp of each block it holds, by number.
        places: Where each block's rows begin and end in the arrays, by number.
        rows: The row numbers, ``(n,)`` int64.
        lengths: Of the rows.
        vectors: ``(n, dim)`` float32, perhaps memory-mapped.
        codes: The same as bytes, made in memory when they are asked often.
    """

    stamps: dict[int, int]
    places: dict[int, slice]
    rows: Rows
    lengths: Lengths
    vectors: Vectors
    codes: CodesOnDemand = field(default_factory=CodesOnDemand)

    @classmethod
    def of(
        cls, table: NDArray[np.int64], rows: Rows, norms: NDArray[np.float32], vectors: Vectors
    ) -> Snapshot:
        """Put a snapshot together from its arrays."""
        numbers, stamps, counts = table.T.tolist() if len(table) else ([], [], [])
        ends = np.cumsum(counts).tolist()
        places = {
            number: slice(end - count, end)
            for number, count, end in zip(numbers, counts, ends, strict=True)
        }
        stamped = dict(zip(numbers, stamps, strict=True))
        return cls(stamped, places, rows, Lengths.of(norms), vectors)


def snapshot_path(index: Path) -> Path:
    """Give the place of an index's snapshot."""
    return index.with_name(f"{index.name}-snapshot")


def open_snapshot(index: Path, identity: str, dim: int) -> Snapshot | None:
    """Open the snapshot of an index, if there is a whole one.

    Args:
        index: The index file.
        identity: The index's random name.
        dim: Numbers per vector.

    Returns:
        The snapshot, memory-mapped, or ``None``.
    """
    return _open(snapshot_path(index), identity, dim)


def write_snapshot(
    connection: sqlite3.Connection, index: Path, blocks: Sequence[Block], identity: str, dim: int
) -> Snapshot:
    """Write the snapshot of an index; where nothing can be written, hold it in memory.

    Args:
        connection: A connection that sees the version to copy.
        index: The index file.
        blocks: All its blocks.
        identity: The index's random name.
        dim: Numbers per vector.

    Returns:
        The snapshot.

    Raises:
        CorruptStoreError: A block is damaged.
    """
    temporary = index.with_name(f"{index.name}-snapshot.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        size = _write(connection, temporary, blocks, identity, dim)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):  # which is read-only or full
            raise
        size = 0
    written = None
    if size >= SYNCED_ASIDE_FROM_BYTES and os.name == "posix":
        written = _open(temporary, identity, dim)
        try:
            Thread(target=_publish, args=(temporary, index), name="nearfield-snapshot-sync").start()
        except RuntimeError:  # no thread can be had: the program ends, or has too many
            _publish(temporary, index)
    elif size:
        _publish(temporary, index)
        written = open_snapshot(index, identity, dim)
    return written if written is not None else _in_memory(connection, blocks, dim)


def _publish(temporary: Path, index: Path) -> None:
    """Give a whole snapshot its name, once it is on the disk."""
    try:
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(snapshot_path(index))
        fail_points.reach("snapshot-renamed")
        _forget_old(index)
    except OSError:  # gone, or in use where that blocks renaming: it is made again
        pass
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _open(path: Path, identity: str, dim: int) -> Snapshot | None:
    try:
        with path.open("rb") as file:
            facts = json.loads(file.read(PAGE).rstrip(b"\0"))
            if facts["format"] != FORMAT or (facts["identity"], facts["dim"]) != (identity, dim):
                return None
            layout = _Layout.of(facts["blocks"], facts["rows"], dim)
            file.seek(PAGE)
            tables = file.read(layout.vectors - PAGE)
        if zlib.crc32(tables) != facts["checksum"] or path.stat().st_size != layout.end:
            return None
        vectors = np.memmap(path, "<f4", "r", offset=layout.vectors, shape=(facts["rows"], dim))
    except (OSError, ValueError, KeyError, TypeError):
        return None

    def part(kind: str, start: int, count: int) -> Any:
        return np.frombuffer(tables, kind, count, offset=start - PAGE)

    return Snapshot.of(
        part("<i8", layout.blocks, 3 * facts["blocks"]).reshape(-1, 3),
        part("<i8", layout.rows, facts["rows"]),
        part("<f4", layout.norms, facts["rows"]),
        np.asarray(vectors),
    )


def _write(
    connection: sqlite3.Connection, path: Path, blocks: Sequence[Block], identity: str, dim: int
) -> int:
    """Write a snapshot, which need not have reached the disk then; gives its bytes."""
    count = sum(block.alive for block in blocks)
    layout = _Layout.of(len(blocks), count, dim)
    lengths: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
    with (
        path.open("wb") as file,
        progress(
            len(blocks), "Laying out vectors for search", show=layout.end >= SHOWN_FROM_BYTES
        ) as job,
        ThreadPoolExecutor(WRITERS, "nearfield-snapshot") as pool,
    ):
        file.truncate(layout.end)
        # One connection reads; checking and writing, which take longer, go on beside it.
        waiting: deque[Future[NDArray[np.float32]]] = deque()
        at = layout.vectors
        for block in blocks:
            data = stored_vectors(connection, block)
            waiting.append(pool.submit(_lay_out, path, at, data, block, dim))
            at += block.alive * dim * 4
            if len(waiting) > BLOCKS_WAITING:
                lengths.append(waiting.popleft().result())
            job.advance()
        lengths += [each.result() for each in waiting]
        norms = np.concatenate(lengths)
        tables = bytearray(layout.vectors - PAGE)
        for start, array in (
            (layout.blocks, _table(blocks).astype("<i8")),
            (layout.rows, _rows(blocks).astype("<i8")),
            (layout.norms, norms.astype("<f4")),
        ):
            data = array.tobytes()
            tables[start - PAGE : start - PAGE + len(data)] = data
        facts = {"format": FORMAT, "identity": identity, "dim": dim, "blocks": len(blocks),
                 "rows": count, "checksum": zlib.crc32(tables)}  # fmt: skip
        file.seek(0)
        file.write(json.dumps(facts).encode("ascii").ljust(PAGE, b"\0") + tables)
    fail_points.reach("snapshot-written")
    return layout.end


def _lay_out(path: Path, at: int, data: object, block: Block, dim: int) -> NDArray[np.float32]:
    """Write the vectors of a block to their place, and give their lengths."""
    vectors = check_vectors(data, block, dim)
    with path.open("r+b") as file:  # a handle of its own, with a position of its own
        file.seek(at)
        file.write(np.ascontiguousarray(vectors, "<f4").data)
    return row_norms(vectors)


def _in_memory(connection: sqlite3.Connection, blocks: Sequence[Block], dim: int) -> Snapshot:
    vectors = np.zeros((sum(block.alive for block in blocks), dim), np.float32)
    at = 0
    for block in blocks:
        part = read_vectors(connection, block, dim)
        vectors[at : at + len(part)] = part
        at += len(part)
    return Snapshot.of(_table(blocks), _rows(blocks), row_norms(vectors), vectors)


def _table(blocks: Sequence[Block]) -> NDArray[np.int64]:
    table = [(block.number, block.stamp, block.alive) for block in blocks]
    return np.asarray(table, np.int64).reshape(-1, 3)


def _rows(blocks: Sequence[Block]) -> Rows:
    return np.concatenate([np.zeros(0, np.int64), *(block.rows for block in blocks)])


def _forget_old(index: Path) -> None:
    """Remove what writers that were killed have left behind."""
    for path in index.parent.glob(f"{escape(index.name)}-snapshot.*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
                path.unlink()
