"""An index moved to the vectors of another model, in one short transaction, and back.

The new vectors are written into tables of their own in the index file, block by block,
while the old ones serve; then the two exchange their names (:mod:`.standby`). Beside
the index lie, while they are needed:

=============================== =====================================================
``NAME-migration``              vectors of the new model, as they come (a cache)
``NAME-migration-lock``         held while a process migrates or forgets; free after a kill
=============================== =====================================================

Texts, documents, facts and words stay as they are: only the vectors and the
header change. Rows are never used again and a row's text never changes, so what
was written since a row number was read is exactly what lies beyond it.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nearfield.core.cache import EmbeddingCache
from nearfield.core.store_checks import known_header
from nearfield.errors import StoreError, StoreLockedError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.connection import Connections, connect
from nearfield.stores.sqlite.faults import translated
from nearfield.stores.sqlite.opening import prepare
from nearfield.stores.sqlite.reading import iterate_nodes
from nearfield.stores.sqlite.snapshot import snapshot_path
from nearfield.stores.sqlite.standby import begin, clear, exchange, fill, read_standby

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from nearfield.core.store import Header
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.standby import Role

    Embed = Callable[[Sequence[str]], Vectors]


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
        self.path = Path(path).absolute()
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
            return _before(connection)

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
            StoreError: The index cannot be written.
        """
        with self._locked():
            kept = self._beside("-migration")
            # Without it the texts would be embedded again for the switch: better to stop early.
            cache = EmbeddingCache(kept, max_bytes=sys.maxsize, required=True)
            try:
                yield cache
            finally:
                cache.close()
            _remove(kept)

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
        self.check_free()
        goal = renewed(self.header)
        begin(self._connections, goal)
        self._fill(embed, seen, role="coming", header=goal)
        with self._connections.writing() as connection:
            state = schema.read_state(connection)
            if seen is not None and state.next_row > seen:
                return False
            self._refuse_second(_before(connection))
            header = renewed(known_header(schema.read_header(connection)))
            _exchange(connection, state, header, embed, role="coming")
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
        before = self.before
        if before is None:
            raise StoreError(nothing_kept(self.path))
        self._fill(embed, seen, role="former", header=before.header)
        with self._connections.writing() as connection:
            state = schema.read_state(connection)
            if seen is not None and state.next_row > seen:
                return False
            before = _before(connection)
            if before is None:
                raise StoreError(nothing_kept(self.path))
            _exchange(connection, state, before.header, embed, role="former")
        self._drop_snapshot()
        clear(self._connections)
        return True

    def forget(self) -> bool:
        """Remove what is kept of migrations, finished or begun, in short transactions.

        The file stays as large as it is, and later writes use the room; see :meth:`shrink`.

        Returns:
            Whether there was anything.

        Raises:
            StoreLockedError: Another process is migrating the index, or forgets already.
            StoreError: The index cannot be written.
        """
        with self._locked():
            begun = self._beside("-migration").exists()
            _remove(self._beside("-migration"))
            return clear(self._connections) or begun

    def shrink(self) -> None:
        """Write the index anew without the room that nothing uses.

        Readers go on; writers wait until it is done. Meanwhile it takes up to twice the
        room of what is left.

        Raises:
            StoreLockedError: Another process kept writing for longer than ``timeout_s``.
            StoreError: There is not so much room; the index is as it was.
        """
        with self._connections.looking() as connection:
            connection.execute("VACUUM")

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

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._beside("-migration-lock")
        self._check_writable()
        with ExitStack() as held:
            try:
                with translated(path):
                    lock = held.enter_context(closing(connect(path, mode="rwc", timeout_s=0)))
                    lock.execute("BEGIN EXCLUSIVE")
            except StoreLockedError as error:
                message = f"{self.path} is being migrated by another process. Let it finish."
                raise StoreLockedError(message) from error
            try:
                yield
            finally:
                _remove(path)

    def _check_writable(self) -> None:
        """Refuse an index that cannot be written before anything is paid for."""
        with (
            suppress(StoreLockedError),  # whoever writes it now shows that it can be written
            translated(self.path),
            closing(connect(self.path, mode="rw", timeout_s=0)) as connection,
        ):
            # Of a read-only file SQLite begins any transaction, and refuses the first change.
            connection.execute("DELETE FROM nodes WHERE 0")

    def _fill(self, embed: Embed, seen: int | None, *, role: Role, header: Header) -> None:
        end = self.next_row() if seen is None else seen
        fill(self._connections, embed, end, role=role, fingerprint=header.fingerprint)

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


def _before(connection: sqlite3.Connection) -> Before | None:
    """Say what the vectors that wait are, if they are those from before a migration."""
    there = read_standby(connection)
    if there is None or there.role != "former":
        return None
    return Before(there.header, there.filled)


def _exchange(
    connection: sqlite3.Connection, state: schema.State, header: Header, embed: Embed, role: Role
) -> None:
    exchange(connection, state, header, embed, role=role)
    schema.write_state(
        connection, stamp=schema.random_stamp(), now=time.time(), next_row=state.next_row
    )


def _remove(path: Path) -> None:
    """Remove a database with what SQLite puts beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            Path(f"{path}{ending}").unlink(missing_ok=True)
