"""Vectors in the file: whole blocks of 1,024 rows, and loose rows until a block is full.

A row's number says where its vector belongs: block ``row // 1024``, slot
``row % 1024``. A block is written once; deleting sets bits, and rewrites its
vectors only when a quarter of them is dead.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nearfield.errors import CorruptStoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from nearfield.core.search import Mask, Rows
    from nearfield.core.vectors import Vectors

BLOCK_ROWS = 1024
DEAD_SHARE_TO_COMPACT = 0.25
_LITTLE_ENDIAN = np.dtype("<f4")


class Block(NamedTuple):
    """What is known of a block without reading its vectors.

    Attributes:
        number: Its number.
        stamp: Of the write that last changed it.
        stored: Which slots have their vector in it, ``(1024,)`` bool.
        live: Which of them belong to a node, ``(1024,)`` bool.
        checksum: Of its vectors.
    """

    number: int
    stamp: int
    stored: Mask
    live: Mask
    checksum: int

    @property
    def alive(self) -> int:
        """How many rows are live."""
        return int(np.count_nonzero(self.live))

    @property
    def rows(self) -> Rows:
        """The numbers of its live rows, in order."""
        return self.number * BLOCK_ROWS + np.flatnonzero(self.live).astype(np.int64)


def write_vectors(
    connection: sqlite3.Connection, first_row: int, vectors: Vectors, stamp: int
) -> None:
    """Store the vectors of new rows, all of them live.

    Args:
        connection: A connection within a write transaction.
        first_row: The row of the first vector; the others follow.
        vectors: ``(n, dim)`` float32.
        stamp: The write's random number.
    """
    end = first_row + len(vectors)
    row = first_row
    while end - row // BLOCK_ROWS * BLOCK_ROWS >= BLOCK_ROWS:
        number = row // BLOCK_ROWS
        after = (number + 1) * BLOCK_ROWS
        here = vectors[row - first_row : after - first_row]
        slots = np.arange(row % BLOCK_ROWS, BLOCK_ROWS)
        if row % BLOCK_ROWS:
            loose_rows, loose = read_loose(connection, vectors.shape[1])
            here = np.concatenate([loose, here])
            slots = np.concatenate([loose_rows % BLOCK_ROWS, slots])
            connection.execute("DELETE FROM loose")
        live = np.zeros(BLOCK_ROWS, np.bool_)
        live[slots] = True
        data = _data(here)
        _insert_block(connection, Block(number, stamp, live, live, zlib.crc32(data)), data)
        row = after
    _insert_loose(connection, np.arange(row, end), vectors[row - first_row :])


def remove_vectors(
    connection: sqlite3.Connection, rows: Iterable[int], dim: int, stamp: int
) -> None:
    """Forget the vectors of rows.

    Args:
        connection: A connection within a write transaction.
        rows: Row numbers that are there.
        dim: Numbers per vector.
        stamp: The write's random number.
    """
    doomed = np.unique(np.fromiter(rows, np.int64))
    numbers = doomed // BLOCK_ROWS
    for number in np.unique(numbers):
        block = read_block(connection, int(number))
        those = doomed[numbers == number]
        if block is None:
            connection.executemany("DELETE FROM loose WHERE row = ?", ((int(r),) for r in those))
        else:
            live = block.live.copy()
            live[those % BLOCK_ROWS] = False
            _rewrite(connection, block._replace(live=live, stamp=stamp), dim)


def read_blocks(connection: sqlite3.Connection, prefix: str = "") -> list[Block]:
    """Read what is known of all blocks, in order, without their vectors."""
    return _blocks(
        connection.execute(
            f"SELECT number, stamp, stored, live, checksum FROM {prefix}blocks ORDER BY number"  # noqa: S608 - a name of ours
        ).fetchall()
    )


def read_block(connection: sqlite3.Connection, number: int) -> Block | None:
    """Read what is known of one block, or ``None`` where there is none."""
    row = connection.execute(
        "SELECT number, stamp, stored, live, checksum FROM blocks WHERE number = ?", (number,)
    ).fetchone()
    return None if row is None else _blocks([row])[0]


def read_vectors(connection: sqlite3.Connection, block: Block, dim: int) -> Vectors:
    """Read the live vectors of a block, checked.

    Args:
        connection: A connection to the index.
        block: The block.
        dim: Numbers per vector.

    Returns:
        ``(block.alive, dim)`` float32, in the order of :attr:`Block.rows`; not writable.

    Raises:
        CorruptStoreError: The vectors are damaged.
    """
    return check_vectors(stored_vectors(connection, block), block, dim)


def stored_vectors(connection: sqlite3.Connection, block: Block) -> object:
    """Read the vectors of a block as they are stored, for :func:`check_vectors`."""
    row = connection.execute("SELECT data FROM vectors WHERE block = ?", (block.number,)).fetchone()
    return row[0] if row is not None else b""


def check_vectors(data: object, block: Block, dim: int) -> Vectors:
    """Give the live vectors of a block from what is stored; arguments as :func:`read_vectors`."""
    if not isinstance(data, bytes) or zlib.crc32(data) != block.checksum:
        message = (
            f"The vectors of block {block.number} are damaged. "
            "Run `nearfield verify` to see what is lost, and repair the index."
        )
        raise CorruptStoreError(message)
    matrix = np.frombuffer(data, _LITTLE_ENDIAN)
    stored = int(np.count_nonzero(block.stored))
    if matrix.size != stored * dim or np.any(block.live & ~block.stored):
        message = f"Block {block.number} does not hold the rows it should. Repair the index."
        raise CorruptStoreError(message)
    matrix = matrix.reshape(stored, dim).astype(np.float32, copy=False)
    return matrix if stored == block.alive else matrix[block.live[block.stored]]


def read_loose(connection: sqlite3.Connection, dim: int, prefix: str = "") -> tuple[Rows, Vectors]:
    """Read the vectors of the rows whose block is not yet full, checked.

    Args:
        connection: A connection to the index.
        dim: Numbers per vector.
        prefix: Begins the name of their table.

    Returns:
        The row numbers ``(n,)`` in order, and ``(n, dim)`` float32.

    Raises:
        CorruptStoreError: One of them is damaged.
    """
    found = connection.execute(
        f"SELECT row, checksum, data FROM {prefix}loose ORDER BY row"  # noqa: S608 - a name of ours
    ).fetchall()
    for row, checksum, data in found:
        if not isinstance(data, bytes) or len(data) != 4 * dim or zlib.crc32(data) != checksum:
            message = (
                f"The vector of row {row} is damaged. "
                "Run `nearfield verify` to see what is lost, and repair the index."
            )
            raise CorruptStoreError(message)
    joined = np.frombuffer(b"".join(data for _, _, data in found), _LITTLE_ENDIAN)
    return (
        np.asarray([row for row, _, _ in found], np.int64),
        joined.reshape(len(found), dim).astype(np.float32, copy=False),
    )


def count_rows(connection: sqlite3.Connection) -> int:
    """Give the number of live rows."""
    count: int = connection.execute(
        "SELECT (SELECT coalesce(sum(alive), 0) FROM blocks) + (SELECT count(*) FROM loose)"
    ).fetchone()[0]
    return count


def row_vectors(
    connection: sqlite3.Connection, rows: Sequence[int], dim: int
) -> Iterator[tuple[int, Vectors]]:
    """Read the vectors of some rows.

    Args:
        connection: A connection to the index.
        rows: Row numbers in increasing order; those that are not there are passed over.
        dim: Numbers per vector.

    Yields:
        A row number and its ``(dim,)`` float32, in order.
    """
    wanted = np.asarray(rows, np.int64)
    numbers = wanted // BLOCK_ROWS
    for number in np.unique(numbers):
        those = wanted[numbers == number]
        block = read_block(connection, int(number))
        if block is None:
            there, vectors = read_loose(connection, dim)
        else:
            there, vectors = block.rows, read_vectors(connection, block, dim)
        for row in those[np.isin(those, there)]:
            yield int(row), vectors[np.searchsorted(there, row)].copy()


def read_whole_loose(
    connection: sqlite3.Connection, dim: int, first: int, last: int
) -> Iterator[tuple[int, Vectors]]:
    """Read those loose vectors of rows from ``first`` to ``last`` that are not damaged."""
    for row, checksum, data in connection.execute(
        "SELECT row, checksum, data FROM loose WHERE row BETWEEN ? AND ? ORDER BY row",
        (first, last),
    ):
        if isinstance(data, bytes) and len(data) == 4 * dim and zlib.crc32(data) == checksum:
            yield row, np.frombuffer(data, _LITTLE_ENDIAN).astype(np.float32)


def replace_vectors(
    connection: sqlite3.Connection,
    number: int,
    rows: Rows,
    vectors: Vectors,
    stamp: int,
    *,
    loose: bool,
    prefix: str = "",
) -> None:
    """Write all that a block holds anew, in place of whatever was there.

    Args:
        connection: A connection within a write transaction.
        number: The block's number.
        rows: Its live rows, in order.
        vectors: ``(len(rows), dim)`` float32.
        stamp: The write's random number.
        loose: Whether the block is not yet full.
        prefix: Begins the names of the tables.
    """
    span = (number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS - 1)
    loose_table = f"{prefix}loose"
    connection.execute(f"DELETE FROM {loose_table} WHERE row BETWEEN ? AND ?", span)  # noqa: S608
    remove_block(connection, number, prefix)
    if loose:
        _insert_loose(connection, rows, vectors, prefix)
    elif len(rows):
        live = np.zeros(BLOCK_ROWS, np.bool_)
        live[rows % BLOCK_ROWS] = True
        data = _data(vectors)
        _insert_block(connection, Block(number, stamp, live, live, zlib.crc32(data)), data, prefix)


def remove_block(connection: sqlite3.Connection, number: int, prefix: str = "") -> None:
    """Remove a block with its vectors, if it is there."""
    connection.execute(f"DELETE FROM {prefix}blocks WHERE number = ?", (number,))  # noqa: S608
    connection.execute(f"DELETE FROM {prefix}vectors WHERE block = ?", (number,))  # noqa: S608


def write_block(connection: sqlite3.Connection, block: Block, prefix: str = "") -> None:
    """Write what is known of a block that is there; its vectors stay as they are."""
    connection.execute(
        f"UPDATE {prefix}blocks SET stamp = ?, alive = ?, stored = ?, live = ?, checksum = ? "  # noqa: S608
        "WHERE number = ?",
        (block.stamp, block.alive, _bits(block.stored), _bits(block.live), block.checksum,
         block.number),
    )  # fmt: skip


def _insert_loose(
    connection: sqlite3.Connection, rows: Rows, vectors: Vectors, prefix: str = ""
) -> None:
    connection.executemany(
        f"INSERT INTO {prefix}loose VALUES (?, ?, ?)",  # noqa: S608 - a name of ours
        (
            (row, zlib.crc32(data), data)
            for row, data in zip(rows.tolist(), map(_data, vectors), strict=True)
        ),
    )


def _rewrite(connection: sqlite3.Connection, block: Block, dim: int) -> None:
    """Write a block from which rows were removed; without them once a quarter is dead."""
    alive, stored = block.alive, int(np.count_nonzero(block.stored))
    if not alive:
        remove_block(connection, block.number)
        return
    if stored - alive >= DEAD_SHARE_TO_COMPACT * stored:
        data = _data(read_vectors(connection, block, dim))
        connection.execute("UPDATE vectors SET data = ? WHERE block = ?", (data, block.number))
        block = block._replace(stored=block.live, checksum=zlib.crc32(data))
    write_block(connection, block)


def _insert_block(
    connection: sqlite3.Connection, block: Block, data: memoryview, prefix: str = ""
) -> None:
    connection.execute(
        f"INSERT INTO {prefix}blocks VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - a name of ours
        (block.number, block.stamp, block.alive, _bits(block.stored), _bits(block.live),
         block.checksum),
    )  # fmt: skip
    connection.execute(f"INSERT INTO {prefix}vectors VALUES (?, ?)", (block.number, data))  # noqa: S608


def _blocks(rows: Sequence[tuple[int, int, bytes, bytes, int]]) -> list[Block]:
    for number, _, *masks, _ in rows:
        if not all(isinstance(bits, bytes) and len(bits) == BLOCK_ROWS // 8 for bits in masks):
            message = f"The rows of block {number} are damaged. Repair the index."
            raise CorruptStoreError(message)
    # All at once: a large index has thousands of blocks, and a search begins here.
    joined = np.frombuffer(b"".join(stored + live for _, _, stored, live, _ in rows), np.uint8)
    bits = np.unpackbits(joined, bitorder="little").view(np.bool_).reshape(-1, 2, BLOCK_ROWS)
    return [
        Block(number, stamp, stored, live, checksum)
        for (number, stamp, _, _, checksum), (stored, live) in zip(rows, bits, strict=True)
    ]


def _data(vectors: NDArray[np.float32]) -> memoryview:
    return np.ascontiguousarray(vectors, _LITTLE_ENDIAN).data


def _bits(mask: Mask) -> bytes:
    return np.packbits(mask, bitorder="little").tobytes()
