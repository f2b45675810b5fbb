"""Looking for damage: every byte that an answer may rest on is compared with a second source.

Rows have checksums; what is derived (facts, words, the snapshot) is derived
again and compared; the tables are held against each other; SQLite checks its
own structure.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import words
from nearfield.core.metadata import decode_metadata
from nearfield.core.schema import Node
from nearfield.core.store_checks import shown
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite import schema
from nearfield.stores.sqlite.blocks import BLOCK_ROWS, read_block, read_vectors, read_whole_loose
from nearfield.stores.sqlite.facts import fact_rows
from nearfield.stores.sqlite.records import (
    document_checksum,
    metadata_checksum,
    node_checksum,
    restored,
)
from nearfield.stores.sqlite.snapshot import open_snapshot
from nearfield.stores.sqlite.standby_damage import standby_damage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nearfield.core.store import Header

SHOWN_PROBLEMS = 100
TERMS_AT_ONCE = 10_000

# FTS5's record of how many texts and words there are. An index that was emptied
# writes zeros where one that never held a text writes nothing.
TOTALS = "SELECT CASE trim(hex(block), '0') WHEN '' THEN x'' ELSE block END FROM {} WHERE id = 1"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in an index.

    Attributes:
        part: Where: ``"file"``, ``"header"``, ``"documents"``, ``"nodes"``,
            ``"metadata"``, ``"facts"``, ``"vectors"``, ``"words"``, ``"snapshot"`` or
            ``"standby"``: the vectors that wait, of a migration begun or done.
        message: What, in one sentence.
    """

    part: str
    message: str


@dataclass(slots=True)
class Findings:
    """What a look at an index has found.

    Attributes:
        problems: All problems, in the order of the looking.
        documents: Numbers of documents of which something is lost.
        rows: Rows of nodes that cannot be trusted.
        unembedded: Rows of good nodes whose vector is lost.
    """

    problems: list[Problem] = field(default_factory=list)
    documents: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    unembedded: set[int] = field(default_factory=set)

    def add(self, part: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(part, message))

    @contextmanager
    def looking_at(self, part: str) -> Iterator[None]:
        """Turn what breaks the looking into a problem of that part."""
        try:
            yield
        except (CorruptStoreError, sqlite3.Error, ValueError, TypeError, OverflowError) as error:
            self.add(part, f"{error}")


def words_structure(connection: sqlite3.Connection) -> list[Problem]:
    """Let FTS5 check its own structure, where it can: it asks for the right to write.

    Args:
        connection: A connection, within a write transaction or none.

    Returns:
        What is wrong, if anything.
    """
    outside = not connection.in_transaction
    try:
        if outside:
            connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY}:
            return []
        return [Problem("words", f"The index of words is damaged ({error}).")]
    finally:
        if outside and connection.in_transaction:
            connection.execute("ROLLBACK")
    return []


def look(connection: sqlite3.Connection, path: Path) -> Findings:
    """Look through one version of an index, from end to end.

    Args:
        connection: A connection to the index.
        path: The index file.

    Returns:
        What was found.
    """
    found = Findings()
    outside = not connection.in_transaction
    connection.text_factory = _lenient
    try:
        if outside:
            connection.execute("BEGIN")  # one version, whatever is written meanwhile
        with found.looking_at("file"):
            _look_at_file(connection, found)
        header = None
        with found.looking_at("header"):
            header = schema.read_header(connection)
            _look_at_state(connection, found)
        with found.looking_at("documents"):
            _look_at_documents(connection, found)
        with found.looking_at("nodes"):
            _look_at_nodes(connection, found)
        with found.looking_at("facts"):
            _look_at_facts(connection, found)
        if header is not None:
            with found.looking_at("vectors"):
                _look_at_vectors(connection, header, found)
            with found.looking_at("snapshot"):
                _look_at_snapshot(connection, path, header, found)
        with found.looking_at("words"):
            _look_at_words(connection, found)
        with found.looking_at("standby"):
            for message in standby_damage(connection):
                found.add("standby", message)
    finally:
        connection.text_factory = str
        if outside and connection.in_transaction:
            connection.execute("ROLLBACK")
    return found


def plain(value: object) -> str:
    """Give the text of a field that may be damaged; the checksum tells."""
    if isinstance(value, bytes):
        try:
            return restored(value)
        except ValueError:
            return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _lenient(data: bytes) -> str:
    """Decode what may be damaged; the checksum tells."""
    return data.decode("utf-8", "replace")


def _look_at_file(connection: sqlite3.Connection, found: Findings) -> None:
    for (line,) in connection.execute(f"PRAGMA integrity_check({SHOWN_PROBLEMS})"):
        if line != "ok":
            found.add("file", f"SQLite: {line}.")
    wanted = set(schema.statements())
    there = {
        sql.replace('"', "")  # put around a name when a table takes another's
        for (sql,) in connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'words_%'"
        )
    }
    if any(statement.startswith("CREATE TABLE standby (") for statement in there):
        wanted.update(schema.standby_statements())
    for statement in wanted ^ there:
        name = " ".join(statement.split()[:4])
        found.add("file", f"The tables are not those of an index: see {name!r}.")


def _look_at_state(connection: sqlite3.Connection, found: Findings) -> None:
    last = connection.execute("SELECT max(row) FROM nodes").fetchone()[0]
    next_row = schema.read_state(connection).next_row
    if last is not None and next_row <= last:
        found.add("header", "The next row is one that a node already has.")
    elsewhere = connection.execute(
        f"SELECT 1 FROM loose WHERE row / {BLOCK_ROWS} <> ?",  # noqa: S608 - a constant
        (next_row // BLOCK_ROWS,),
    ).fetchone()
    if elsewhere is not None:
        found.add("header", "The next row is not in the block that is unfinished.")


def _look_at_documents(connection: sqlite3.Connection, found: Findings) -> None:
    for number, name, content_hash, metadata, checksum, there in connection.execute(
        "SELECT d.number, d.id, d.content_hash, d.metadata, d.checksum, m.number "
        "FROM documents d LEFT JOIN metadata m ON m.number = d.metadata"
    ):
        title = plain(name)
        whole = document_checksum(number, title, plain(content_hash), metadata) == checksum
        if not whole or there is None:
            found.add("documents", f"Document {shown(title)} is damaged.")
            found.documents.add(number)
    for number, document, data, checksum, there in connection.execute(
        "SELECT m.number, m.document, m.json, m.checksum, d.number "
        "FROM metadata m LEFT JOIN documents d ON d.number = m.document"
    ):
        whole = isinstance(data, str) and metadata_checksum(number, document, data) == checksum
        if not whole or (there is None and number != schema.NO_METADATA):
            found.add("metadata", f"The metadata of document number {document} is damaged.")
            found.documents.add(document)


def _look_at_nodes(connection: sqlite3.Connection, found: Findings) -> None:
    before: int | None = None
    suspect_next = False
    for row, name, document, start, stop, metadata, checksum, text, there, of in connection.execute(
        "SELECT n.row, n.id, n.document, n.start, n.stop, n.metadata, n.checksum, t.text, "
        "d.number, m.document FROM nodes n LEFT JOIN texts t USING (row) "
        "LEFT JOIN documents d ON d.number = n.document "
        "LEFT JOIN metadata m ON m.number = n.metadata ORDER BY n.row"
    ):
        if suspect_next:
            found.documents.add(document)
        suspect_next = False
        title = plain(name)
        whole = text is not None and there is not None and of in {document, 0}
        if whole:
            node = Node(plain(text), title, start=start, end=stop)
            whole = node_checksum(node, row, document, metadata) == checksum
        if not whole:
            found.add("nodes", f"Node {shown(title)} is damaged.")
            found.rows.add(row)
            # Which document it belongs to may itself be damaged; its
            # neighbours' documents are then the ones that lack a node.
            found.documents.update({document, before if before is not None else document})
            suspect_next = True
        before = document
    lost = connection.execute(
        "SELECT count(*) FROM texts WHERE row NOT IN (SELECT row FROM nodes)"
    ).fetchone()[0]
    if lost:
        found.add("nodes", f"{lost} texts belong to no node.")


def _look_at_facts(connection: sqlite3.Connection, found: Findings) -> None:
    stored = _digest(connection.execute("SELECT key, kind, value, metadata FROM facts"))
    derived = _digest(
        row
        for number, data in connection.execute("SELECT number, json FROM metadata")
        for row in dict.fromkeys(fact_rows(number, decode_metadata(data)))
    )
    if stored != derived:
        found.add("facts", "The index of metadata differs from the metadata.")


def _digest(rows: Iterator[Any] | sqlite3.Cursor) -> tuple[int, int]:
    """Count rows and add up their checksums, whatever their order."""
    count = total = 0
    for row in rows:
        count += 1
        total += zlib.crc32(repr(row).encode("utf-8", "surrogatepass"))
    return count, total


def _look_at_vectors(connection: sqlite3.Connection, header: Header, found: Findings) -> None:
    numbers = connection.execute(
        "SELECT number, alive FROM blocks UNION SELECT block, NULL FROM vectors "
        "WHERE block NOT IN (SELECT number FROM blocks) ORDER BY number"
    ).fetchall()
    seen = np.zeros(0, np.int64)
    for number, alive in numbers:
        rows = _rows_of_nodes(connection, number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS)
        good = rows[:0]
        try:
            block = read_block(connection, number)
            if block is None:
                found.add("vectors", f"Block {number} has vectors, but nothing tells whose.")
                continue
            vectors = read_vectors(connection, block, header.dim)
            finite = np.isfinite(vectors).all(axis=1)
            good = block.rows[finite]
            if not finite.all():
                found.add("vectors", f"Block {number} holds NaN or infinity.")
            if block.alive != alive or not np.array_equal(block.rows, rows):
                found.add("vectors", f"Block {number} does not hold the rows of the nodes.")
        except CorruptStoreError as error:
            found.add("vectors", str(error))
        found.unembedded.update(np.setdiff1d(rows, good).tolist())
        seen = np.concatenate([seen, rows])
    most = np.iinfo(np.int64).max
    loose = [
        row
        for row, vector in read_whole_loose(connection, header.dim, 0, most)
        if np.isfinite(vector).all()
    ]
    stored = connection.execute("SELECT count(*) FROM loose").fetchone()[0]
    if len(loose) != stored:
        found.add("vectors", f"{stored - len(loose)} vectors of the unfinished block are damaged.")
    seen = np.concatenate([seen, np.asarray(loose, np.int64)])
    every = _rows_of_nodes(connection, 0, most)
    missing, extra = np.setdiff1d(every, seen), np.setdiff1d(seen, every)
    if len(missing) or len(extra):
        found.add("vectors", f"{len(missing)} nodes have no vector, {len(extra)} vectors no node.")
        found.unembedded.update(missing.tolist())


def _rows_of_nodes(connection: sqlite3.Connection, start: int, end: int) -> Any:
    rows = connection.execute(
        "SELECT row FROM nodes WHERE row >= ? AND row < ? ORDER BY row", (start, end)
    )
    return np.fromiter((row for (row,) in rows), np.int64)


def _look_at_snapshot(
    connection: sqlite3.Connection, path: Path, header: Header, found: Findings
) -> None:
    identity = schema.read_state(connection).identity
    snapshot = open_snapshot(path, identity, header.dim)
    if snapshot is None:
        return  # none, or one that no query would use
    for number, stamp in snapshot.stamps.items():
        block = read_block(connection, number)
        if block is None or block.stamp != stamp:
            continue
        place = snapshot.places[number]
        same = np.array_equal(snapshot.rows[place], block.rows) and np.array_equal(
            snapshot.vectors[place], read_vectors(connection, block, header.dim)
        )
        if not same:
            found.add("snapshot", f"The snapshot of block {number} differs from the index.")


def _look_at_words(connection: sqlite3.Connection, found: Findings) -> None:
    connection.execute(words.SCHEMA.replace("TABLE words", "TABLE temp.words_again"))
    try:
        texts = connection.execute("SELECT row, text FROM texts")
        again = ((row, plain(text)) for row, text in texts)
        words.add_words(connection, again, table="words_again")
        for table in ("words", "words_again"):
            schema_name = "main" if table == "words" else "temp"
            connection.execute(
                f"CREATE VIRTUAL TABLE temp.terms_of_{table} "
                f"USING fts5vocab({schema_name}, {table}, instance)"
            )
        pairs = (
            ("SELECT * FROM terms_of_words", "SELECT * FROM terms_of_words_again"),
            (
                "SELECT id, sz FROM main.words_docsize ORDER BY id",
                "SELECT id, sz FROM temp.words_again_docsize ORDER BY id",
            ),
            (TOTALS.format("main.words_data"), TOTALS.format("temp.words_again_data")),
        )
        if not all(_same(connection, stored, again) for stored, again in pairs):
            found.add("words", "The index of words differs from the texts.")
    finally:
        for table in ("terms_of_words", "terms_of_words_again", "words_again"):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _same(connection: sqlite3.Connection, one: str, other: str) -> bool:
    left, right = connection.execute(one), connection.execute(other)
    while True:
        some = left.fetchmany(TERMS_AT_ONCE)
        if some != right.fetchmany(TERMS_AT_ONCE):
            return False
        if not some:
            return True
