"""Looking for damage among the vectors that wait, of a migration begun or done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.blocks import BLOCK_ROWS, check_vectors, read_blocks, read_loose
from nearfield.stores.sqlite.schema import STANDBY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from nearfield.stores.sqlite.blocks import Block


def standby_damage(connection: sqlite3.Connection) -> Iterator[str]:
    """Say what is wrong with the vectors that wait; those left to be removed serve nobody.

    Nodes deleted since may have a vector there: it is forgotten when the tables are exchanged.

    Args:
        connection: A connection to the index.

    Yields:
        A sentence for each thing.

    Raises:
        CorruptStoreError: Something is so wrong that the rest cannot be looked at.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'standby'").fetchone():
        return
    role, filled = connection.execute("SELECT role, filled FROM standby").fetchone() or (None, 0)
    if role == "left":
        return
    header = schema.read_header(connection, STANDBY)
    if role not in {"coming", "former"} or header is None:
        yield "Nothing tells what the vectors are that wait."
        return
    if filled > schema.read_state(connection).next_row:
        yield "The vectors that wait are said to be of more rows than there were."
    blocks = read_blocks(connection, STANDBY)
    for block in blocks:
        yield from _block_damage(connection, block, header.dim)
    known = {block.number for block in blocks}
    held = connection.execute(f"SELECT block FROM {STANDBY}vectors")  # noqa: S608 - a name of ours
    if not known.issuperset(number for (number,) in held):
        yield "Vectors wait of a block of which nothing is known."
    loose, vectors = read_loose(connection, header.dim, STANDBY)
    if not np.isfinite(vectors).all():
        yield "The unfinished block that waits holds NaN or infinity."
    stored = [block.number * BLOCK_ROWS + np.flatnonzero(block.stored) for block in blocks]
    nodes = connection.execute("SELECT row FROM nodes WHERE row < ?", (filled,))
    every = np.fromiter((row for (row,) in nodes), np.int64)
    lost = len(np.setdiff1d(every, np.concatenate([*stored, loose])))
    if lost:
        yield f"{lost} nodes have no vector among those that wait."


def _block_damage(connection: sqlite3.Connection, block: Block, dim: int) -> Iterator[str]:
    alive, data = connection.execute(
        f"SELECT b.alive, v.data FROM {STANDBY}blocks b LEFT JOIN {STANDBY}vectors v "  # noqa: S608
        "ON v.block = b.number WHERE b.number = ?",
        (block.number,),
    ).fetchone()
    try:
        whole = np.isfinite(check_vectors(data, block, dim)).all() and alive == block.alive
    except CorruptStoreError:
        whole = False
    if not whole:
        yield f"Block {block.number} of the vectors that wait is damaged."
