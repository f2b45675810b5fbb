"""An index looked over, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nearfield.stores.pgvector.schema import State


class Problem(NamedTuple):
    """Something wrong in an index.

    Attributes:
        part: Where: ``"documents"``, ``"nodes"`` or ``"words"``.
        message: What, in one sentence.
    """

    part: str
    message: str


def problems(connection: Any, state: State) -> list[Problem]:
    """Look for what does not fit together.

    Args:
        connection: A connection within a transaction.
        state: Of the version it sees.

    Returns:
        What is wrong.
    """
    if state.header is None:
        return []
    asked = {
        "nodes without a document": "SELECT count(*) FROM nodes LEFT JOIN documents "
        "ON number = document WHERE number IS NULL",
        "nodes without words": "SELECT count(*) FROM nodes LEFT JOIN words USING (row) "
        "WHERE words.row IS NULL",
        "words without a node": "SELECT count(*) FROM words LEFT JOIN nodes USING (row) "
        "WHERE nodes.row IS NULL",
    }
    found: list[Problem] = []
    for what, statement in asked.items():
        (count,) = connection.execute(statement).fetchone()
        if count:
            found.append(Problem(what.split()[0], f"There are {count} {what}."))
    for table, known in (("documents", state.documents), ("nodes", state.nodes)):
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        if count != known:
            found.append(Problem(table, f"The index counts {known} {table}; there are {count}."))
    (newest,) = connection.execute("SELECT coalesce(max(row), -1) FROM nodes").fetchone()
    if newest >= state.next_row:
        message = f"Row {newest} is beyond the next one to be given, {state.next_row}."
        found.append(Problem("nodes", message))
    return found


def drop(connection: Any, schema: str) -> None:
    """Remove an index's tables, and its schema if nothing else stands in it.

    Args:
        connection: A connection within a write transaction.
        schema: The index's name, quoted for SQL.
    """
    connection.execute(
        "DROP TABLE IF EXISTS nodes, documents, words, state; "
        "DROP TEXT SEARCH CONFIGURATION IF EXISTS words; "
        "DROP TEXT SEARCH DICTIONARY IF EXISTS stem"
    )
    (left,) = connection.execute(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema()"
    ).fetchone()
    if not left:
        connection.execute(f"DROP SCHEMA {schema}")
