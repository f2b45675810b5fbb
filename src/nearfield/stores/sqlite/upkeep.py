"""What keeps an index in good order: looking for damage, mending it, and what is derived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nearfield.core.store_checks import known_header
from nearfield.errors import ConfigError, StoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.approximate import Approximate, build
from nearfield.stores.sqlite.connection import redone
from nearfield.stores.sqlite.repair import Repair, mend
from nearfield.stores.sqlite.verify import Problem, look, words_structure

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.connection import Connections
    from nearfield.stores.sqlite.searcher import Searcher


class Upkeep:
    """The half of a store that is for its keeper; :class:`SQLiteStore` is the whole."""

    path: Path
    _connections: Connections
    _searcher: Searcher
    _made_by: str | None

    @redone
    def verify(self) -> list[Problem]:
        """Look for damage in the whole file: structure, checksums, and all that is derived.

        Returns:
            What is wrong; nothing when the index is sound.
        """
        with self._connections.looking() as connection:
            return [
                *words_structure(connection),
                *look(connection, self._connections.path).problems,
            ]

    def repair(self, embed: Callable[[Sequence[str]], Vectors] | None = None) -> Repair:
        """Mend what :meth:`verify` finds, in one transaction.

        Args:
            embed: Gives the vectors of texts, ``(n, dim)``, by the model that
                made the index. Without it, documents of which a vector is lost
                are removed.

        Returns:
            What was done, and which documents are to be indexed again.

        Raises:
            CorruptStoreError: The index is beyond repair; nothing was changed.
        """
        with self._connections.writing() as connection:
            stamp = schema.random_stamp()
            done = mend(connection, self._connections.path, stamp, embed)
            if done.problems:
                self._note_write(connection, stamp=stamp)
        return done

    def take_over(self, path: Path) -> None:
        """Replace all there is by what another index file holds, in one transaction.

        Args:
            path: The other file.

        Raises:
            StoreLockedError: Another process kept writing for longer than ``timeout_s``.
        """
        self._connections.take_over(path)
        self._made_by = None

    def build_ann_index(self, *, recall: float = 0.95) -> Approximate:
        """Make an approximate index (HNSW), which searches use from then on, and say so.

        It takes minutes for every million vectors, and memory of a byte a number and some.
        Texts written later are found as well; once they are a quarter of all, or the snapshot
        was deleted, searches are exact again until it is made anew. Searches with filters,
        and for more than 250 results, are always exact. To have done with it, delete
        ``NAME-hnsw``. Stores that are open elsewhere see it when they are opened again.

        Args:
            recall: The share of the true 10 best to be found on average, above 0 and at most 1.

        Returns:
            The index, with the recall that was measured for it, which may be less.

        Raises:
            ConfigError: ``recall`` is no such share, or there are too few vectors to gain by it.
            MissingDependencyError: faiss is not installed.
            StoreError: It cannot be written.
        """
        with self._connections.reading() as connection:
            header = known_header(schema.read_header(connection))
            base = self._searcher.newest_snapshot(connection, header)
        if base is None:
            message = (
                f"{self.path} is small enough to be searched exactly in a moment. "
                "An approximate index is for more than 32 MiB of vectors."
            )
            raise ConfigError(message)
        try:
            built = build(self._connections.path, base, header.metric, recall)
        except OSError as error:
            message = f"The approximate index of {self.path} cannot be written: {error}."
            raise StoreError(message) from error
        self._searcher.forget()
        return built

    def _note_write(
        self,
        connection: sqlite3.Connection,
        *,
        stamp: int | None = None,
        next_row: int | None = None,
    ) -> None:
        schema.write_state(
            connection,
            stamp=schema.random_stamp() if stamp is None else stamp,
            now=time.time(),
            next_row=schema.read_state(connection).next_row if next_row is None else next_row,
        )
