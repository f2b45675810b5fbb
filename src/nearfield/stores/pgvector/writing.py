"""Documents with all that belongs to them, written and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.nearest import safe_rows, vector_lengths
from nearfield.core.store_checks import shown
from nearfield.errors import StoreError
from nearfield.stores.pgvector.records import facts_of, restored, storable
from nearfield.stores.pgvector.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nearfield.core.store_checks import CheckedEntry
    from nearfield.stores.pgvector.schema import State

_DOCUMENTS = "COPY documents (number, id, content_hash, metadata) FROM STDIN (FORMAT BINARY)"
_NODES = (
    "COPY nodes (row, id, document, start, stop, text, metadata, facts, safe, embedding) "
    "FROM STDIN (FORMAT BINARY)"
)
_WORDS = (
    "INSERT INTO words (row, length, words) SELECT row, length, to_tsvector('words', words) "
    "FROM unnest(%s::bigint[], %s::integer[], %s::text[]) AS given (row, length, words)"
)


def write_entries(
    connection: Any, state: State, entries: Sequence[CheckedEntry], *, replace: bool
) -> None:
    """Write documents with their nodes, vectors, facts and words.

    Args:
        connection: A connection within a write transaction.
        state: Of the index, locked; it is brought up to date.
        entries: What to write, checked.
        replace: Whether documents of the same ids give way; an error otherwise.

    Raises:
        StoreError: A document is already there, or a node id belongs to another one.
    """
    there = find_documents(connection, [one.entry.document_id for one in entries])
    if there and not replace:
        name = shown(next(iter(there.values())))
        message = f"Document {name} is already there. Use upsert to replace it."
        raise StoreError(message)
    remove_documents(connection, state, list(there))
    _refuse_taken(connection, [node.id for one in entries for node in one.entry.nodes])
    first = state.next_row
    with connection.cursor() as cursor:
        _copy(cursor, _DOCUMENTS, ["int8", "text", "text", "text"], _document_rows(entries, first))
        kinds = ["int8", "text", "int8", "int8", "int8", "text", "text", "bytea", "bool", "vector"]
        _copy(cursor, _NODES, kinds, _node_rows(entries, first))
    number = first
    words: list[tuple[int, int, str]] = []
    for one in entries:
        words += _words_of(one, number + 1)
        number += 1 + len(one.entry.nodes)
        safe = safe_rows(one.entry.vectors)
        norms = vector_lengths(one.entry.vectors)[safe]
        state.longest = max(state.longest, float(norms.max(initial=0.0)))
    if words:
        connection.execute(_WORDS, [list(column) for column in zip(*words, strict=True)])
    state.next_row = number
    state.documents += len(entries)
    state.nodes += len(words)
    state.words += sum(length for _, length, _ in words)


def find_documents(connection: Any, ids: Iterable[str]) -> dict[int, str]:
    """Give the ids of those documents that are there, by their numbers."""
    found = connection.execute(
        "SELECT number, id FROM documents WHERE id = ANY(%s)", ([storable(name) for name in ids],)
    )
    return {number: restored(name) for number, name in found}


def remove_documents(connection: Any, state: State, numbers: Sequence[int]) -> None:
    """Remove documents with all that belongs to them.

    Args:
        connection: A connection within a write transaction.
        state: Of the index, locked; it is brought up to date.
        numbers: Of documents that are there.
    """
    if not numbers:
        return
    removed = connection.execute(
        "DELETE FROM nodes WHERE document = ANY(%s) RETURNING row", (list(numbers),)
    )
    _forget(connection, state, [row for (row,) in removed])
    connection.execute("DELETE FROM documents WHERE number = ANY(%s)", (list(numbers),))
    state.documents -= len(numbers)


def remove_nodes(connection: Any, state: State, ids: Iterable[str]) -> int:
    """Remove single nodes; their documents stay.

    Returns:
        How many were there.
    """
    removed = connection.execute(
        "DELETE FROM nodes WHERE id = ANY(%s) RETURNING row", ([storable(name) for name in ids],)
    )
    rows = [row for (row,) in removed]
    _forget(connection, state, rows)
    return len(rows)


def _forget(connection: Any, state: State, rows: list[int]) -> None:
    """Take the words of removed nodes out, and count them no more."""
    gone = connection.execute("DELETE FROM words WHERE row = ANY(%s) RETURNING length", (rows,))
    state.words -= sum(length for (length,) in gone)
    state.nodes -= len(rows)


def _refuse_taken(connection: Any, ids: Sequence[str]) -> None:
    taken = connection.execute(
        "SELECT nodes.id, documents.id FROM nodes JOIN documents ON number = document "
        "WHERE nodes.id = ANY(%s) LIMIT 1",
        ([storable(name) for name in ids],),
    ).fetchone()
    if taken is not None:
        name, owner = map(restored, taken)
        message = (
            f"Node id {shown(name)} already belongs to document {shown(owner)}. "
            "Node ids are unique in an index."
        )
        raise StoreError(message)


def _document_rows(entries: Sequence[CheckedEntry], number: int) -> Iterable[tuple[Any, ...]]:
    """Number documents and their nodes in one series: each document, then its nodes."""
    for one in entries:
        entry = one.entry
        yield number, storable(entry.document_id), storable(entry.content_hash), one.metadata
        number += 1 + len(entry.nodes)


def _node_rows(entries: Sequence[CheckedEntry], number: int) -> Iterable[tuple[Any, ...]]:
    facts: dict[str, bytes | None] = {}
    for one in entries:
        document, entry = number, one.entry
        safe = safe_rows(entry.vectors)
        for at, (node, data) in enumerate(zip(entry.nodes, one.node_metadata, strict=True)):
            number += 1
            if data not in facts:
                form = facts_of(data)
                # As the wire has jsonb: the version of its form, then its text.
                facts[data] = None if form is None else b"\x01" + form.encode()
            yield (
                number, storable(node.id), document, node.start, node.end, storable(node.text),
                data, facts[data], bool(safe[at]), np.asarray(entry.vectors[at], np.float32),
            )  # fmt: skip
        facts.clear()
        number += 1


def _words_of(one: CheckedEntry, row: int) -> list[tuple[int, int, str]]:
    """Give row, number of words, and words, of each node of a document."""
    found = [words_of(node.text) for node in one.entry.nodes]
    return [(row + at, length, words) for at, (words, length) in enumerate(found)]


def _copy(cursor: Any, statement: str, kinds: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(statement) as copy:
        copy.set_types(kinds)
        for row in rows:
            copy.write_row(row)
