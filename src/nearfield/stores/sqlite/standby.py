"""A second set of vectors in the same file: those of the model to come, or of the one that was.

It is filled block by block in short transactions, beside the vectors that serve. Then the
two sets exchange their names, which takes no longer for a million vectors than for one, and
the other set waits in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nearfield.core.store_checks import known_header
from nearfield.core.vectors import as_matrix
from nearfield.errors import CorruptStoreError, StoreError
from nearfield.stores.sqlite import fail_points, schema
from nearfield.stores.sqlite.blocks import (
    BLOCK_ROWS,
    read_blocks,
    read_loose,
    remove_block,
    replace_vectors,
    write_block,
)
from nearfield.stores.sqlite.reading import iterate_nodes
from nearfield.stores.sqlite.schema import STANDBY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from nearfield.core.schema import Node
    from nearfield.core.store import Header
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.connection import Connections
    from nearfield.stores.sqlite.schema import State

    Embed = Callable[[Sequence[str]], Vectors]
    Role = Literal["coming", "former", "left"]

BLOCKS_PER_STEP = 4
"""How many blocks are removed at once; writers wait meanwhile."""
_BECOMES: dict[Role, Role] = {"coming": "former", "former": "left"}
"""What those that serve become when those that wait, of some role, take their place."""


class Standby(NamedTuple):
    """What the vectors that wait are.

    Attributes:
        role: Of the model to come, of the one that was, or left over to be removed.
        header: Of the index they are for.
        filled: The first row that was not looked at when they were written.
    """

    role: Role
    header: Header
    filled: int


def read_standby(connection: sqlite3.Connection) -> Standby | None:
    """Say what waits in an index, if anything does."""
    if not _is_there(connection):
        return None
    role, filled = connection.execute("SELECT role, filled FROM standby").fetchone()
    return Standby(role, known_header(schema.read_header(connection, STANDBY)), filled)


def begin(connections: Connections, header: Header) -> None:
    """Make room for the vectors of a model to come; what there is of the same model is kept.

    Args:
        connections: Of the index.
        header: What the index is to be.
    """
    with connections.reading() as connection:
        there = read_standby(connection)
    if there is not None:
        if (there.role, there.header.fingerprint) == ("coming", header.fingerprint):
            return
        clear(connections)
    with connections.writing() as connection:
        for statement in schema.standby_statements():
            connection.execute(statement)
        connection.execute("INSERT INTO standby VALUES (1, 'coming', 0)")
        schema.write_header(connection, header, STANDBY)


def fill(connections: Connections, embed: Embed, end: int, *, role: Role, fingerprint: str) -> None:
    """Write the vectors that wait for all nodes below a row, a block in a transaction.

    Args:
        connections: Of the index.
        embed: Gives the vectors of texts, ``(n, dim)``.
        end: One past the last row.
        role: What those that wait must be.
        fingerprint: Of the model they must be of.

    Raises:
        StoreError: Others wait, or none, or they are being removed.
    """
    with connections.reading() as connection:
        there = _required(connection, role, fingerprint)
    for number, stop in _unfilled(there.filled, end):
        with connections.reading() as connection:
            block = _Filling.read(connection, there, number, stop)
        vectors = block.vectors(embed)
        with connections.writing() as connection:
            _required(connection, role, fingerprint)
            block.write(connection, vectors)
        fail_points.reach("filled")


def exchange(
    connection: sqlite3.Connection, state: State, header: Header, embed: Embed, *, role: Role
) -> None:
    """Let the vectors that wait serve, and those that served wait.

    Args:
        connection: A connection within a write transaction.
        state: Of the index.
        header: What the index is from now on.
        embed: Gives the vectors of nodes written since the last :func:`fill`.
        role: What those that wait must be, of the model of ``header``.

    Raises:
        StoreError: Others wait, or none, or they are being removed.
        CorruptStoreError: A node has no vector among those that wait.
    """
    there = _required(connection, role, header.fingerprint)
    for number, stop in _unfilled(there.filled, state.next_row):
        block = _Filling.read(connection, there, number, stop)
        block.write(connection, block.vectors(embed))
    _forget_deleted(connection)
    schema.write_header(connection, known_header(schema.read_header(connection)), STANDBY)
    schema.write_header(connection, header)
    for table in schema.VECTOR_TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO spare_{table}")
        connection.execute(f"ALTER TABLE {STANDBY}{table} RENAME TO {table}")
        connection.execute(f"ALTER TABLE spare_{table} RENAME TO {STANDBY}{table}")
    connection.execute("UPDATE standby SET role = ?, filled = ?", (_BECOMES[role], state.next_row))
    fail_points.reach("exchanged")


def clear(connections: Connections) -> bool:
    """Remove the vectors that wait, some blocks in a transaction.

    Args:
        connections: Of the index.

    Returns:
        Whether there were any.
    """
    some = (
        f"DELETE FROM {STANDBY}vectors WHERE block IN "  # noqa: S608 - names of ours
        f"(SELECT block FROM {STANDBY}vectors LIMIT {BLOCKS_PER_STEP})"
    )
    cleared = False
    while True:
        with connections.writing() as connection:
            if not _is_there(connection):
                return cleared
            cleared = True
            connection.execute("UPDATE standby SET role = 'left'")
            if not connection.execute(some).rowcount:
                drop(connection)
        fail_points.reach("cleared")


def drop(connection: sqlite3.Connection) -> None:
    """Remove the vectors that wait at once, in whatever state they are.

    Args:
        connection: A connection within a write transaction.
    """
    for name in schema.standby_tables():
        connection.execute(f"DROP TABLE IF EXISTS {name}")


class _Filling(NamedTuple):
    """A block that is being written among the vectors that wait."""

    header: Header
    number: int
    stop: int
    nodes: dict[int, Node]
    held: dict[int, Vectors]

    @classmethod
    def read(
        cls, connection: sqlite3.Connection, there: Standby, number: int, stop: int
    ) -> _Filling:
        """Read the nodes of a block, and those of their vectors that wait already."""
        first = number * BLOCK_ROWS
        nodes = dict(iterate_nodes(connection, first, stop - 1))
        held = {}
        if first < there.filled:  # it was not full: its vectors are loose
            rows, vectors = read_loose(connection, there.header.dim, STANDBY)
            held = dict(zip(rows.tolist(), vectors, strict=True))
        return cls(there.header, number, stop, nodes, held)

    def vectors(self, embed: Embed) -> dict[int, Vectors]:
        """Give the vector of each node by row."""
        lost = [row for row in self.nodes if row not in self.held]
        if not lost:
            return self.held
        texts = [self.nodes[row].text for row in lost]
        computed = as_matrix(embed(texts), rows=len(texts), dim=self.header.dim)
        return {**self.held, **dict(zip(lost, computed, strict=True))}

    def write(self, connection: sqlite3.Connection, vectors: dict[int, Vectors]) -> None:
        """Write the block in place of what there was of it."""
        matrix = [vectors[row] for row in self.nodes] or np.zeros((0, self.header.dim), np.float32)
        replace_vectors(
            connection,
            self.number,
            np.asarray(list(self.nodes), np.int64),
            np.asarray(matrix, np.float32),
            schema.random_stamp(),
            loose=self.stop % BLOCK_ROWS != 0,
            prefix=STANDBY,
        )
        connection.execute("UPDATE standby SET filled = ?", (self.stop,))


def _is_there(connection: sqlite3.Connection) -> bool:
    statement = "SELECT 1 FROM sqlite_master WHERE name = 'standby'"
    return connection.execute(statement).fetchone() is not None


def _required(connection: sqlite3.Connection, role: Role, fingerprint: str) -> Standby:
    """Give what waits, if it may serve: vectors that are being removed still look like some."""
    there = read_standby(connection)
    if there is None or (there.role, there.header.fingerprint) != (role, fingerprint):
        message = (
            "The vectors to switch to are gone: another process removed them, or began to. "
            "The index is as it was. Run the same again."
        )
        raise StoreError(message)
    return there


def _unfilled(filled: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the number of each block that lacks rows below ``end``, and one past its last."""
    while filled < end:
        number = filled // BLOCK_ROWS
        filled = min((number + 1) * BLOCK_ROWS, end)
        yield number, filled


def _forget_deleted(connection: sqlite3.Connection) -> None:
    """Make live among the vectors that wait what is live among those that serve.

    No vector is read or written: bits are set, and blocks removed of which nothing is left.
    """
    serving = {block.number: block.live for block in read_blocks(connection)}
    stamp = schema.random_stamp()
    for block in read_blocks(connection, STANDBY):
        live = serving.pop(block.number, None)
        if live is None:
            remove_block(connection, block.number, STANDBY)
        elif np.any(live & ~block.stored):
            raise _incomplete()
        elif not np.array_equal(live, block.live):
            write_block(connection, block._replace(live=live, stamp=stamp), STANDBY)
    waiting = f"{STANDBY}loose"
    connection.execute(f"DELETE FROM {waiting} WHERE row NOT IN (SELECT row FROM loose)")  # noqa: S608
    lost = connection.execute(
        f"SELECT 1 FROM loose WHERE row NOT IN (SELECT row FROM {waiting})"  # noqa: S608
    ).fetchone()
    if serving or lost is not None:
        raise _incomplete()


def _incomplete() -> CorruptStoreError:
    return CorruptStoreError(
        "A node has no vector among those to switch to. Verify the index, and repair it."
    )
