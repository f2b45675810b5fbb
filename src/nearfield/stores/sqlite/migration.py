"""An index moved to the vectors of another model, in one transaction, and back.

Beside the index lie, while they are needed:

=============================== =====================================================
``NAME-migration``              vectors of the new model, as they come (a cache)
``NAME-migration-lock``         held by the process that migrates; free after a kill
``NAME-before-migration``       the header and vectors as they were, to go back to
=============================== =====================================================

Texts, documents, facts and words stay as they are: only the vectors and the
header change. Rows are never used again and a row's text never changes, so what
was written since a row number was read is exactly what lies beyond it.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nearfield.core.cache import EmbeddingCache
from nearfield.core.storage import sync_folder
from nearfield.core.store_checks import known_header
from nearfield.core.vectors import as_matrix
from nearfield.errors import StoreError, StoreLockedError
from nearfield.stores.sqlite import fail_points, schema
from nearfield.stores.sqlite.blocks import BLOCK_ROWS, replace_vectors, row_vectors
from nearfield.stores.sqlite.connection import Connections, connect, translated
from nearfield.stores.sqlite.opening import prepare
from nearfield.stores.sqlite.prepared import PreparedVectors, prepared_vectors
from nearfield.stores.sqlite.reading import iterate_nodes
from nearfield.stores.sqlite.snapshot import snapshot_path

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from nearfield.core.store import Header
    from nearfield.core.vectors import Vectors

    Embed = Callable[[Sequence[str]], Vectors]
    RowVectors = Callable[[list[int], int], Vectors]

_KEPT_TABLES = ("header", "blocks", "vectors", "loose")
_ABOUT = """CREATE TABLE about (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    identity TEXT NOT NULL,       -- of the index
    fingerprint TEXT NOT NULL,    -- of the model the index was moved to
    next_row INTEGER NOT NULL     -- of the index then
)"""


class Before(NamedTuple):
    """What an index was before its migration.

    Attributes:
        header: Its header.
        next_row: The first row that was written since.
    """

    header: Header
    next_row: int


class Migration:
    """The moving of one index file; readers and writers may use the index meanwhile.

    Args:
        path: The index file.
        timeout_s: How long to wait for another writer.

    Raises:
        StoreError: There is no index, or it cannot be opened.
        CorruptStoreError: It is damaged, not an index, or of another format.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float = 30.0) -> None:
        self.path = Path(path)
        mode = prepare(self.path, create=False, read_only=False, timeout_s=timeout_s)
        self._connections = Connections(self.path, mode=mode, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        """Give itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file; calling it twice is harmless."""
        self._connections.close()

    @property
    def header(self) -> Header:
        """The header as it is now.

        Raises:
            StoreError: The index is new, so that there is nothing to move.
        """
        with self._connections.reading() as connection:
            return known_header(schema.read_header(connection))

    @property
    def before(self) -> Before | None:
        """What the index was before its migration, if it can be rolled back."""
        with self._connections.reading() as connection:
            header = known_header(schema.read_header(connection))
            return self._before(schema.read_state(connection).identity, header)

    def next_row(self) -> int:
        """Give the row that the next node will get."""
        with self._connections.reading() as connection:
            return schema.read_state(connection).next_row

    def texts(self, first: int, last: int) -> list[str]:
        """Give the texts of the nodes whose rows are from ``first`` to ``last``, both included.

        Raises:
            CorruptStoreError: One of them is damaged.
        """
        with self._connections.reading() as connection:
            return [node.text for _, node in iterate_nodes(connection, first, last)]

    @contextmanager
    def working(self) -> Iterator[EmbeddingCache]:
        """Lend the file that keeps vectors as they come, to one process at a time.

        It stays when the block fails, and is removed when it ends well.

        Yields:
            The cache.

        Raises:
            StoreLockedError: Another process is migrating the index.
        """
        with self._locked():
            cache = EmbeddingCache(self._beside("-migration"), max_bytes=sys.maxsize)
            try:
                yield cache
            finally:
                cache.close()
            _remove(self._beside("-migration"))

    def switch(
        self, renewed: Callable[[Header], Header], embed: Embed, *, seen: int | None
    ) -> bool:
        """Move the index to other vectors, in one transaction.

        Args:
            renewed: Gives the new header from the one that is there.
            embed: Gives the new vectors of texts, ``(n, dim)``.
            seen: The next row when the texts were last looked through; with more
                there now, nothing is done. ``None`` to embed those meanwhile.

        Returns:
            Whether it was done.

        Raises:
            StoreError: An earlier migration can still be rolled back.
            NearfieldError: Something failed; the index is as it was.
        """
        # Writers wait from here on only while vectors are written, not while they are looked up.
        with (
            self._prepared(renewed(self.header).dim, embed, seen or 0) as ready,
            self._connections.writing() as connection,
        ):
            state = schema.read_state(connection)
            if seen is not None and state.next_row > seen:
                return False
            old = known_header(schema.read_header(connection))
            self._refuse_second(self._before(state.identity, old))
            new = renewed(old)
            self._keep_before(connection, state, new)
            fail_points.reach("kept-before")

            def vectors(rows: list[int], dim: int) -> Vectors:
                if rows[-1] < ready.end:
                    return ready.read(rows)
                return as_matrix(embed(_texts(connection, rows)), rows=len(rows), dim=dim)

            _replace_all(connection, state, new, vectors)
        self._drop_snapshot()
        return True

    def switch_back(self, embed: Embed, *, seen: int | None) -> bool:
        """Move the index back to the vectors it had before its migration, in one transaction.

        Args:
            embed: Gives the old model's vectors of texts written since, ``(n, dim)``.
            seen: As for :meth:`switch`.

        Returns:
            Whether it was done.

        Raises:
            StoreError: There is nothing to go back to.
            NearfieldError: Something failed; the index is as it was.
        """
        with self._connections.writing() as connection:
            state = schema.read_state(connection)
            if seen is not None and state.next_row > seen:
                return False
            before = self._before(state.identity, known_header(schema.read_header(connection)))
            if before is None:
                raise StoreError(nothing_kept(self.path))
            with closing(self._open_before()) as kept:

                def vectors(rows: list[int], dim: int) -> Vectors:
                    held = dict(row_vectors(kept, rows, dim))
                    lost = [row for row in rows if row not in held]
                    if lost:
                        computed = as_matrix(
                            embed(_texts(connection, lost)), rows=len(lost), dim=dim
                        )
                        held.update(zip(lost, computed, strict=True))
                    return np.stack([held[row] for row in rows])

                _replace_all(connection, state, before.header, vectors)
        self._drop_snapshot()
        _remove(self._beside("-before-migration"))
        return True

    def forget(self) -> bool:
        """Remove what is kept of migrations, finished or begun.

        Returns:
            Whether there was anything.
        """
        there = [
            name for name in ("-migration", "-before-migration") if self._beside(name).exists()
        ]
        for name in there:
            _remove(self._beside(name))
        return bool(there)

    def check_free(self) -> None:
        """Refuse to migrate an index whose last migration can still be rolled back.

        Raises:
            StoreError: It can.
        """
        self._refuse_second(self.before)

    def _refuse_second(self, before: Before | None) -> None:
        if before is not None:
            message = (
                f"{self.path} was migrated from {before.header.model_name!r} and can still be "
                "rolled back. Run `nearfield migrate --rollback`, or `--forget` to give that up."
            )
            raise StoreError(message)

    def _before(self, identity: str, header: Header) -> Before | None:
        """Read what is kept, unless it is of another file or of a switch that never was."""
        if not self._beside("-before-migration").exists():
            return None
        with translated(self._beside("-before-migration")), closing(self._open_before()) as kept:
            row = kept.execute("SELECT identity, fingerprint, next_row FROM about").fetchone()
            if row is None or row[:2] != (identity, header.fingerprint):
                return None
            return Before(known_header(schema.read_header(kept)), row[2])

    def _open_before(self) -> sqlite3.Connection:
        return connect(self._beside("-before-migration"), mode="ro", timeout_s=0, reading=True)

    def _keep_before(self, connection: sqlite3.Connection, state: schema.State, to: Header) -> None:
        """Write the vectors and the header as they are into a file of their own."""
        goal, work = self._beside("-before-migration"), self._beside("-before-migration.tmp")
        _remove(work)
        with translated(work), closing(connect(work, mode="rwc", timeout_s=0)) as kept:
            kept.execute("BEGIN")
            kept.execute(_ABOUT)
            about = (state.identity, to.fingerprint, state.next_row)
            kept.execute("INSERT INTO about VALUES (1, ?, ?, ?)", about)
            for statement in schema.statements():
                name = statement.split()[2]
                if statement.startswith("CREATE TABLE") and name in _KEPT_TABLES:
                    kept.execute(statement)
                    rows = connection.execute(f"SELECT * FROM {name}")  # noqa: S608 - our names
                    marks = ",".join("?" * len(rows.description))
                    kept.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608
            kept.execute("COMMIT")
        work.replace(goal)
        sync_folder(goal.parent)

    @contextmanager
    def _prepared(self, dim: int, embed: Embed, end: int) -> Iterator[PreparedVectors]:
        """Lay the new vectors out by row, block by block, while others read and write."""
        with prepared_vectors(self._beside("-migration-vectors"), dim, end) as ready:
            for first in range(0, end, BLOCK_ROWS):
                last = min(first + BLOCK_ROWS, end) - 1
                with self._connections.reading() as connection:
                    nodes = dict(iterate_nodes(connection, first, last))
                if nodes:
                    texts = [node.text for node in nodes.values()]
                    ready.write(list(nodes), as_matrix(embed(texts), rows=len(texts), dim=dim))
            yield ready

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._beside("-migration-lock")
        with translated(path), closing(connect(path, mode="rwc", timeout_s=0)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                message = f"{self.path} is being migrated by another process. Let it finish."
                raise StoreLockedError(message) from error
            yield
            _remove(path)

    def _drop_snapshot(self) -> None:
        with suppress(OSError):
            snapshot_path(self.path).unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}{ending}")


def nothing_kept(path: Path) -> str:
    """Say that an index cannot be rolled back.

    Args:
        path: The index file.
    """
    return (
        f"{path} has no migration to roll back: there was none, it was rolled back already, "
        "or what it would need was forgotten."
    )


def _replace_all(
    connection: sqlite3.Connection, state: schema.State, header: Header, vectors: RowVectors
) -> None:
    """Give every node another vector, and the index another header."""
    stamp = schema.random_stamp()
    for table in ("blocks", "vectors", "loose"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    unfinished = state.next_row // BLOCK_ROWS
    for number in range(unfinished + 1):
        rows = [
            row
            for (row,) in connection.execute(
                "SELECT row FROM nodes WHERE row BETWEEN ? AND ? ORDER BY row",
                (number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS - 1),
            )
        ]
        if rows:
            made = vectors(rows, header.dim)
            where = np.asarray(rows, np.int64)
            replace_vectors(connection, number, where, made, stamp, loose=number == unfinished)
            fail_points.reach("moved")
    schema.write_header(connection, header)
    schema.write_state(connection, stamp=stamp, now=time.time(), next_row=state.next_row)


def _texts(connection: sqlite3.Connection, rows: Sequence[int]) -> list[str]:
    """Give the texts of rows that are there, in order."""
    wanted = set(rows)
    return [
        node.text for row, node in iterate_nodes(connection, rows[0], rows[-1]) if row in wanted
    ]


def _remove(path: Path) -> None:
    """Remove a database with what SQLite puts beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            Path(f"{path}{ending}").unlink(missing_ok=True)
