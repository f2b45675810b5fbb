"""Mending what can be mended from what is whole.

What is derived is derived again: facts, words, the snapshot. A lost vector is
computed again from the stored text, where a model is at hand. The vectors that wait,
of a migration, are thrown away once one is damaged. A document of which a text, its
facts or a vector stays lost is removed whole and named, so that indexing its source
again brings it back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core import words
from nearfield.core.metadata import decode_metadata
from nearfield.core.vectors import as_matrix
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.blocks import (
    BLOCK_ROWS,
    read_block,
    read_vectors,
    read_whole_loose,
    replace_vectors,
)
from nearfield.stores.sqlite.facts import fact_rows
from nearfield.stores.sqlite.records import restored
from nearfield.stores.sqlite.snapshot import snapshot_path
from nearfield.stores.sqlite.standby import drop
from nearfield.stores.sqlite.verify import Findings, Problem, look, plain, words_structure

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nearfield.core.vectors import Vectors

    Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Attributes:
        problems: What was wrong before.
        embedded: How many lost vectors were computed again.
        removed: Ids of the documents that could not be saved: index their sources again.
    """

    problems: list[Problem]
    embedded: int
    removed: list[str]


def mend(connection: sqlite3.Connection, path: Path, stamp: int, embed: Embed | None) -> Repair:
    """Mend an index.

    Args:
        connection: A connection within a write transaction.
        path: The index file.
        stamp: The write's random number.
        embed: Gives the vectors of texts by the model that made the index, if it is at hand.

    Returns:
        What was done.

    Raises:
        CorruptStoreError: The file's own structure or its header is beyond repair.
    """
    found = look(connection, path)
    problems = [*words_structure(connection), *found.problems]
    if not problems:
        return Repair([], 0, [])
    if any(problem.part == "file" for problem in problems):
        connection.execute("REINDEX")
    if any(problem.part == "standby" for problem in problems):
        drop(connection)  # the next migration makes them again
    removed = _remove_lost(connection, found, can_embed=embed is not None)
    _rebuild_facts(connection)
    _rebuild_words(connection)
    last = connection.execute("SELECT coalesce(max(row), -1) FROM nodes").fetchone()[0]
    connection.execute("UPDATE state SET next_row = max(next_row, ?)", (last + 1,))
    header = schema.read_header(connection)
    embedded = 0
    if header is not None:
        embedded = _rebuild_vectors(connection, header.dim, stamp, embed)
    with suppress(OSError):
        snapshot_path(path).unlink(missing_ok=True)
    left = [*words_structure(connection), *look(connection, path).problems]
    if left:
        message = (
            f"{path} is damaged beyond repair: {left[0].message} "
            "Restore it from a copy, or build it again."
        )
        raise CorruptStoreError(message)
    return Repair(problems, embedded, removed)


def _remove_lost(connection: sqlite3.Connection, found: Findings, *, can_embed: bool) -> list[str]:
    """Remove the documents that cannot be saved, and all rows that belong to nothing."""
    lost = set(found.documents)
    for row in found.rows if can_embed else found.rows | found.unembedded:
        owner = connection.execute("SELECT document FROM nodes WHERE row = ?", (row,)).fetchone()
        if owner is not None:
            lost.add(owner[0])
    removed = []
    for number in sorted(lost):
        name = connection.execute("SELECT id FROM documents WHERE number = ?", (number,)).fetchone()
        if name is not None:
            removed.append(plain(name[0]))
        connection.execute("DELETE FROM nodes WHERE document = ?", (number,))
        connection.execute("DELETE FROM metadata WHERE document = ? AND number <> 0", (number,))
        connection.execute("DELETE FROM documents WHERE number = ?", (number,))
    connection.executemany("DELETE FROM nodes WHERE row = ?", [(row,) for row in found.rows])
    connection.execute("DELETE FROM nodes WHERE document NOT IN (SELECT number FROM documents)")
    connection.execute("DELETE FROM texts WHERE row NOT IN (SELECT row FROM nodes)")
    connection.execute(
        "DELETE FROM metadata WHERE number <> 0 AND document NOT IN (SELECT number FROM documents)"
    )
    schema.write_no_metadata(connection)
    return removed


def _rebuild_facts(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM facts")
    connection.executemany(
        "INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?)",
        (
            row
            for number, data in connection.execute("SELECT number, json FROM metadata")
            for row in fact_rows(number, decode_metadata(data))
        ),
    )


def _rebuild_words(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE words")
    connection.execute(words.SCHEMA)
    texts = connection.execute("SELECT row, text FROM texts ORDER BY row")
    words.add_words(connection, ((row, restored(text)) for row, text in texts))


def _rebuild_vectors(
    connection: sqlite3.Connection, dim: int, stamp: int, embed: Embed | None
) -> int:
    """Give every node its vector again, block by block; say how many were computed."""
    full = {number for (number,) in connection.execute("SELECT number FROM blocks")}
    full |= {number for (number,) in connection.execute("SELECT block FROM vectors")}
    loose = {row // BLOCK_ROWS for (row,) in connection.execute("SELECT row FROM loose")}
    wanted = {number for (number,) in connection.execute(
        f"SELECT DISTINCT row / {BLOCK_ROWS} FROM nodes"  # noqa: S608 - a constant
    )}  # fmt: skip
    unfinished = schema.read_state(connection).next_row // BLOCK_ROWS
    embedded = 0
    for number in sorted(full | loose | wanted):
        rows = [row for (row,) in connection.execute(
            "SELECT row FROM nodes WHERE row BETWEEN ? AND ? ORDER BY row",
            (number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS - 1),
        )]  # fmt: skip
        held = _whole_vectors(connection, number, dim)
        missing = [row for row in rows if row not in held]
        if number in full - {unfinished} and not missing and len(rows) == len(held):
            continue
        if missing and embed is not None:
            texts = [
                restored(connection.execute(
                    "SELECT text FROM texts WHERE row = ?", (row,)
                ).fetchone()[0])
                for row in missing
            ]  # fmt: skip
            computed = as_matrix(embed(texts), rows=len(texts), dim=dim)
            held.update(zip(missing, computed, strict=True))
            embedded += len(missing)
        kept = [row for row in rows if row in held]
        matrix = np.stack([held[row] for row in kept]) if kept else np.zeros((0, dim), np.float32)
        replace_vectors(
            connection, number, np.asarray(kept, np.int64), matrix, stamp,
            loose=number == unfinished,
        )  # fmt: skip
    return embedded


def _whole_vectors(connection: sqlite3.Connection, number: int, dim: int) -> dict[int, Vectors]:
    """Give the vectors of a block, or of loose rows, that can be trusted, by row."""
    held: dict[int, Vectors] = {}
    with suppress(CorruptStoreError):
        block = read_block(connection, number)
        if block is not None:
            vectors = read_vectors(connection, block._replace(live=block.stored), dim)
            rows = number * BLOCK_ROWS + np.flatnonzero(block.stored)
            held.update(zip(rows.tolist(), vectors, strict=True))
    first = number * BLOCK_ROWS
    held.update(read_whole_loose(connection, dim, first, first + BLOCK_ROWS - 1))
    return {row: vector for row, vector in held.items() if np.isfinite(vector).all()}
