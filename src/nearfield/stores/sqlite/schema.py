"""The tables of an index file, and the two small ones that describe it.

========== ==========================================================================
state      which version of the content this is; renewed by every write
header     which model made the vectors
documents  a document's id and the hash of the content its nodes were made from
nodes      a node's place; its ``row`` never changes and is never used again
texts      a node's text
metadata   facts as JSON; shared by a document and those of its nodes that have the same
facts      the same facts, one per row, for filters (derived from ``metadata``)
blocks     what the vectors of rows ``1024*number ...`` are: which are stored, which live
vectors    the stored vectors of a block, little-endian float32, one after the other
loose      vectors of rows whose block is not yet full, one by one
words      the full-text index (FTS5) of ``texts``
standby... vectors and header of another model, while there are two
========== ==========================================================================

Ids and texts are TEXT, or, where UTF-8 cannot say them (lone surrogates), a
BLOB of the same bytes. Checksums are CRC-32.
"""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield.core import words
from nearfield.core.metadata import decode_metadata
from nearfield.core.store import Header
from nearfield.core.store_checks import check_new_header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, CorruptStoreError

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x6E_66_69_78  # "nfix"
SCHEMA_VERSION = 1
PAGE_BYTES = 8192
NO_METADATA = 0

_TABLES = (
    """CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        change INTEGER NOT NULL,      -- counts the writes
        stamp INTEGER NOT NULL,       -- random, of the last write: names this version
        changed_at REAL NOT NULL,     -- seconds since 1970
        next_row INTEGER NOT NULL,
        identity TEXT NOT NULL        -- random, of this file
    )""",
    """CREATE TABLE header (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        fingerprint TEXT NOT NULL,
        dim INTEGER NOT NULL,
        metric TEXT NOT NULL,
        model_name TEXT NOT NULL,
        facts TEXT NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    """CREATE TABLE documents (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        content_hash TEXT NOT NULL,
        metadata INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    """CREATE TABLE nodes (
        row INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        document INTEGER NOT NULL,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        metadata INTEGER NOT NULL,
        checksum INTEGER NOT NULL     -- of the node and its text
    )""",
    "CREATE INDEX nodes_of_document ON nodes (document)",
    "CREATE TABLE texts (row INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE metadata (
        number INTEGER PRIMARY KEY,
        document INTEGER NOT NULL,
        json TEXT NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX metadata_of_document ON metadata (document)",
    """CREATE TABLE facts (
        key BLOB NOT NULL,
        kind INTEGER NOT NULL,
        value,
        metadata INTEGER NOT NULL,
        PRIMARY KEY (key, kind, value, metadata)
    ) WITHOUT ROWID""",
    """CREATE TABLE blocks (
        number INTEGER PRIMARY KEY,
        stamp INTEGER NOT NULL,       -- of the write that last changed it
        alive INTEGER NOT NULL,
        stored BLOB NOT NULL,         -- a bit per row, lowest first
        live BLOB NOT NULL,           -- the same
        checksum INTEGER NOT NULL     -- of its vectors
    )""",
    "CREATE TABLE vectors (block INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE loose (row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, data BLOB NOT NULL)",
    words.SCHEMA,
)


VECTOR_TABLES = ("blocks", "vectors", "loose")
STANDBY = "standby_"
"""Begins the names of the tables of vectors that wait; see :mod:`.standby`."""

_STANDBY = """CREATE TABLE standby (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        role TEXT NOT NULL,           -- of the model that is 'coming' or was the 'former'; 'left'
        filled INTEGER NOT NULL       -- the first row not looked at when they were written
    )"""


@dataclass(frozen=True, slots=True)
class State:
    """Which version of an index this is.

    Attributes:
        change: Counts the writes, from 0.
        stamp: A random number of the last write: equal stamps, equal content.
        changed_at: When, in seconds since 1970.
        next_row: The row the next node gets.
        identity: A random name of the file.
    """

    change: int
    stamp: int
    changed_at: float
    next_row: int
    identity: str


def random_stamp() -> int:
    """Give a random number that SQLite can hold, never the same twice."""
    return secrets.randbits(62)


def create(connection: sqlite3.Connection, now: float) -> None:
    """Make the tables of a new index, within the transaction that is open.

    Args:
        connection: A connection to an empty database.
        now: The time in seconds since 1970.
    """
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO state VALUES (1, 0, ?, ?, 0, ?)",
        (random_stamp(), now, secrets.token_hex(16)),
    )
    write_no_metadata(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def write_no_metadata(connection: sqlite3.Connection) -> None:
    """Write the metadata of all that have none."""
    connection.execute(
        "INSERT OR REPLACE INTO metadata VALUES (?, 0, '{}', ?)", (NO_METADATA, zlib.crc32(b"{}"))
    )


def statements() -> tuple[str, ...]:
    """Give the statements that make the tables, as the file keeps them."""
    return _TABLES


def standby_statements() -> tuple[str, ...]:
    """Give the statements that make the tables of vectors that wait, as the file keeps them."""
    made = {statement.split()[2]: statement for statement in _TABLES}
    return _STANDBY, *(
        made[name].replace(f"TABLE {name}", f"TABLE {STANDBY}{name}", 1)
        for name in ("header", *VECTOR_TABLES)
    )


def standby_tables() -> tuple[str, ...]:
    """Give the names of the tables of vectors that wait."""
    return tuple(statement.split()[2] for statement in standby_statements())


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether a database has no table at all."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def check(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database that is not an index of this version.

    Args:
        connection: A connection to it.
        path: Its file, for messages.

    Raises:
        CorruptStoreError: It is something else, or of another version.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if is_empty(connection):
        message = f"{path} is empty: it is no index. Give another path, or make it anew."
        raise CorruptStoreError(message)
    if application != APPLICATION_ID:
        message = f"{path} is not a nearfield index. Give another path, or move the file away."
        raise CorruptStoreError(message)
    if version != SCHEMA_VERSION:
        message = (
            f"{path} is an index of format {version}; this nearfield reads format "
            f"{SCHEMA_VERSION}. Use the nearfield that made it, or build the index again."
        )
        raise CorruptStoreError(message)


def read_state(connection: sqlite3.Connection) -> State:
    """Read which version of the index a connection sees."""
    row = connection.execute(
        "SELECT change, stamp, changed_at, next_row, identity FROM state"
    ).fetchone()
    if row is None or not all(isinstance(value, int) for value in (row[0], row[1], row[3])):
        raise CorruptStoreError("The index has lost its state. Restore the file from a copy.")
    return State(*row)


def write_state(connection: sqlite3.Connection, *, stamp: int, now: float, next_row: int) -> None:
    """Note a write.

    Args:
        connection: A connection within a write transaction.
        stamp: The write's random number.
        now: The time in seconds since 1970.
        next_row: The row the next node gets.
    """
    connection.execute(
        "UPDATE state SET change = change + 1, stamp = ?, changed_at = ?, next_row = ?",
        (stamp, now, next_row),
    )


def read_header(connection: sqlite3.Connection, prefix: str = "") -> Header | None:
    """Read the header.

    Args:
        connection: A connection to the index.
        prefix: Begins the name of its table.

    Returns:
        The header, or ``None`` while the index is new.

    Raises:
        CorruptStoreError: It is damaged.
    """
    row = connection.execute(
        f"SELECT fingerprint, dim, metric, model_name, facts, checksum FROM {prefix}header"  # noqa: S608 - a name of ours
    ).fetchone()
    if row is None:
        return None
    *fields, checksum = row
    if checksum != _header_checksum(fields):
        raise CorruptStoreError("The header of the index is damaged. Restore the file from a copy.")
    fingerprint, dim, metric, model_name, facts = fields
    try:
        return Header(fingerprint, dim, SimilarityMode(metric), model_name, decode_metadata(facts))
    except ConfigError as error:
        message = (
            f"The index compares by {metric!r}, which this nearfield does not know. Update it."
        )
        raise CorruptStoreError(message) from error


def write_header(connection: sqlite3.Connection, header: Header, prefix: str = "") -> None:
    """Write or replace the header.

    Args:
        connection: A connection within a write transaction.
        header: The header.
        prefix: Begins the name of its table.
    """
    facts = check_new_header(header)
    fields = [header.fingerprint, header.dim, header.metric.value, header.model_name, facts]
    connection.execute(
        f"INSERT OR REPLACE INTO {prefix}header VALUES (1, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*fields, _header_checksum(fields)),
    )


def _header_checksum(fields: list[Any]) -> int:
    return zlib.crc32(repr(fields).encode("utf-8", "surrogatepass"))
