"""The tables of an index, and the one row that describes it.

========== ==========================================================================
state      one row: the header, which version this is, counts, how it is searched
documents  a document's id, the hash of its content, its facts
nodes      a node with its text, facts and vector; ``row`` is the order of writing
words      the words of a node's text as a ``tsvector``, and how many they are
========== ==========================================================================

They stand in a schema of their own, whose name is the index's. Every write locks
the row of ``state`` first, so that writers wait for each other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from nearfield.core.metadata import decode_metadata
from nearfield.core.store import Header
from nearfield.core.store_checks import check_new_header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, CorruptStoreError
from nearfield.stores.pgvector.records import restored, storable

FORMAT = 1
MAX_DIM = 16_000
INLINE_DIM = 1_900
"""Up to this length a vector stays in its row; longer ones do not fit on a page."""

_STATE = """
CREATE TABLE state (
    one integer PRIMARY KEY CHECK (one = 1),
    format integer NOT NULL,
    change bigint NOT NULL,               -- counts the writes
    changed_at double precision,          -- seconds since 1970
    next_row bigint NOT NULL,
    documents bigint NOT NULL,            -- how many there are
    nodes bigint NOT NULL,
    words bigint NOT NULL,                -- in all texts together
    longest real NOT NULL,                -- no safe vector ever written was longer
    ann text,                             -- what the ANN index holds: vector or halfvec
    ann_effort integer,                   -- how many candidates reach the recall asked for
    ann_recall real,                      -- what was measured with so many
    fingerprint text,
    dim integer,
    metric text,
    model_name text,
    facts text
)"""
_TABLES = (
    """CREATE TABLE documents (
        number bigint PRIMARY KEY,        -- the order of writing
        id text COLLATE "C" NOT NULL,
        content_hash text NOT NULL,
        metadata text NOT NULL,           -- JSON, as it was given
        EXCLUDE USING hash (id WITH =)    -- unique, and as long as they like
    )""",
    """CREATE TABLE nodes (
        row bigint PRIMARY KEY,
        id text COLLATE "C" NOT NULL,
        document bigint NOT NULL,
        start bigint NOT NULL,
        stop bigint NOT NULL,
        text text NOT NULL,
        metadata text NOT NULL,
        facts jsonb,                      -- the same, for filters; NULL where it has no such form
        safe boolean NOT NULL,            -- whether float32 can bear the vector's length
        embedding vector({dim}) NOT NULL,
        EXCLUDE USING hash (id WITH =)
    )""",
    "CREATE INDEX nodes_document ON nodes (document)",
    "CREATE INDEX nodes_facts ON nodes USING gin (facts jsonb_path_ops)",
    "CREATE INDEX nodes_odd ON nodes (row) WHERE facts IS NULL",
    "CREATE INDEX nodes_unsafe ON nodes (row) WHERE NOT safe",
    """CREATE TABLE words (
        row bigint PRIMARY KEY,
        length integer NOT NULL,
        words tsvector NOT NULL
    )""",
    "CREATE INDEX words_words ON words USING gin (words)",
    # English stems, and no word left out for being common.
    "CREATE TEXT SEARCH DICTIONARY stem (TEMPLATE = snowball, Language = english)",
    "CREATE TEXT SEARCH CONFIGURATION words (PARSER = default)",
    (
        "ALTER TEXT SEARCH CONFIGURATION words ADD MAPPING FOR asciiword, word, numword, "
        "asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart, email, protocol, "
        "url, host, url_path, file, sfloat, float, int, uint, version, tag, entity WITH stem"
    ),
)
_COLUMNS = (
    "format, change, changed_at, next_row, documents, nodes, words, longest, "
    "ann, ann_effort, fingerprint, dim, metric, model_name, facts"
)


@dataclass(slots=True)
class State:
    """The row of ``state``, to be changed by a write and stored at its end.

    Attributes:
        change: Counts the writes.
        changed_at: When the last was, in seconds since 1970.
        next_row: What the next node gets; documents are numbered from the same.
        documents: How many there are.
        nodes: How many there are.
        words: How many words all texts have.
        longest: No safe vector ever written was longer.
        ann: What the ANN index holds, if there is one: ``"vector"`` or ``"halfvec"``.
        ann_effort: How many candidates it looks at to reach the recall asked for.
        header: The header, if the index has one.
    """

    change: int
    changed_at: float | None
    next_row: int
    documents: int
    nodes: int
    words: int
    longest: float
    ann: str | None
    ann_effort: int | None
    header: Header | None = None


def is_there(connection: Any, index: str) -> bool:
    """Say whether a schema holds an index."""
    found = connection.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'state'",
        (index,),
    ).fetchone()
    return found is not None


def create(connection: Any, index: str, schema: str) -> None:
    """Make a new index, unless another process was first.

    Args:
        connection: A connection within a write transaction.
        index: The index's name.
        schema: The same, quoted for SQL.
    """
    # Held to the end of the transaction: two that make the same index do so one by one.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (index,))
    if is_there(connection, index):
        return
    there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (index,)).fetchone()
    if there is None:
        connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(_STATE)  # the schema is the first of the search path
    connection.execute(
        "INSERT INTO state (one, format, change, next_row, documents, nodes, words, "
        "longest) VALUES (1, %s, 0, 0, 0, 0, 0, 0)",
        (FORMAT,),
    )


def read_state(connection: Any, *, lock: bool = False) -> State:
    """Read the row that describes the index.

    Args:
        connection: A connection within a transaction.
        lock: Whether to keep other writers out until its end.

    Raises:
        CorruptStoreError: It is gone, or of another format.
    """
    ending = " FOR UPDATE" if lock else ""
    row = connection.execute(f"SELECT {_COLUMNS} FROM state{ending}").fetchone()  # noqa: S608
    if row is None:
        raise CorruptStoreError("The index has lost its state. Build it anew.")
    version, *counts, fingerprint, dim, metric, model_name, facts = row
    if version != FORMAT:
        message = f"The index is of format {version}; this nearfield knows {FORMAT}. Update it."
        raise CorruptStoreError(message)
    if fingerprint is None:
        return State(*counts)
    try:
        compared = SimilarityMode(metric)
    except (ConfigError, ValueError) as error:
        message = f"The index compares by {metric!r}, which this nearfield does not know."
        raise CorruptStoreError(message) from error
    known = decode_metadata(facts)
    header = Header(restored(fingerprint), dim, compared, restored(model_name), known)
    state = State(*counts)
    state.header = header
    return state


def write_header(connection: Any, header: Header) -> None:
    """Give a new index its header and its tables.

    Raises:
        ConfigError: The dimension is one that pgvector does not take, or facts are not JSON.
    """
    facts = check_new_header(header)
    if header.dim > MAX_DIM:
        message = f"pgvector takes vectors of up to {MAX_DIM} numbers, not {header.dim}."
        raise ConfigError(message)
    for statement in _TABLES:
        connection.execute(statement.replace("{dim}", str(int(header.dim))))
    # A row that holds its vector is scanned at once; texts are moved out of it instead.
    place = "MAIN" if header.dim <= INLINE_DIM else "EXTERNAL"
    connection.execute(f"ALTER TABLE nodes ALTER COLUMN embedding SET STORAGE {place}")
    connection.execute(
        "UPDATE state SET fingerprint = %s, dim = %s, metric = %s, model_name = %s, facts = %s",
        (
            storable(header.fingerprint), header.dim, header.metric.value,
            storable(header.model_name), facts,
        ),
    )  # fmt: skip


def write_facts(connection: Any, header: Header) -> None:
    """Write the facts of a header that is there."""
    connection.execute("UPDATE state SET facts = %s", (check_new_header(header),))


def write_state(connection: Any, state: State) -> None:
    """Note a write, with what it changed."""
    connection.execute(
        "UPDATE state SET change = change + 1, changed_at = %s, next_row = %s, documents = %s, "
        "nodes = %s, words = %s, longest = %s",
        (
            time.time(), state.next_row, state.documents, state.nodes, state.words,
            state.longest,
        ),
    )  # fmt: skip
