"""Documents and nodes read back from their tables, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nearfield.core.outlines import Outline
from nearfield.core.schema import Node
from nearfield.core.store_checks import shown
from nearfield.core.upserts import joined
from nearfield.errors import CorruptStoreError
from nearfield.stores.sqlite.blocks import row_vectors
from nearfield.stores.sqlite.records import (
    decoded,
    metadata_checksum,
    node_checksum,
    restored,
    storable,
)
from nearfield.stores.sqlite.schema import read_header, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from nearfield.core.schema import Metadata
    from nearfield.core.store import Entry
    from nearfield.core.vectors import Vector

IDS_AT_ONCE = 500
ROWS_PER_READ = 1024
_NODE_COLUMNS = (
    "SELECT nodes.row, nodes.id, nodes.document, nodes.start, nodes.stop, nodes.metadata, "
    "nodes.checksum, texts.text, documents.id, metadata.json, metadata.checksum "
    "FROM nodes JOIN texts USING (row) JOIN documents ON documents.number = nodes.document "
    "JOIN metadata ON metadata.number = nodes.metadata"
)


class Found(NamedTuple):
    """A document that is there: its number and its id."""

    number: int
    id: str


def find_documents(connection: sqlite3.Connection, ids: Sequence[str]) -> list[Found]:
    """Give the numbers of those documents that are there."""
    return [
        Found(number, restored(name))
        for number, name in by_ids(
            connection, "SELECT number, id FROM documents WHERE id IN (%s)", ids
        )
    ]


def find_rows(connection: sqlite3.Connection, node_ids: Sequence[str]) -> list[int]:
    """Give the rows of those nodes that are there, in order."""
    found = by_ids(connection, "SELECT row, id FROM nodes WHERE id IN (%s)", node_ids)
    return sorted(row for row, _ in found)


def read_nodes(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, Node]:
    """Read nodes by row, checked.

    Args:
        connection: A connection to the index.
        rows: Their rows; those that are not there are passed over.

    Returns:
        The nodes by row.

    Raises:
        CorruptStoreError: One of them is damaged.
    """
    nodes: dict[int, Node] = {}
    for row in by_ids(connection, f"{_NODE_COLUMNS} WHERE nodes.row IN (%s)", rows):
        nodes[row[0]] = _node(row)
    return nodes


def iterate_nodes(
    connection: sqlite3.Connection, first: int, last: int
) -> Iterator[tuple[int, Node]]:
    """Read all nodes from one row to another, both included, checked, in order."""
    for row in connection.execute(
        f"{_NODE_COLUMNS} WHERE nodes.row BETWEEN ? AND ? ORDER BY nodes.row", (first, last)
    ):
        yield row[0], _node(row)


def iterate_with_vectors(
    connection: sqlite3.Connection, node_ids: Sequence[str] | None
) -> Iterator[tuple[Node, Vector]]:
    """Read nodes with their vectors, checked, in order: all, or those named."""
    header = read_header(connection)
    if header is None:
        return
    if node_ids is not None:
        rows = find_rows(connection, node_ids)
        stretches = (
            read_nodes(connection, rows[start : start + ROWS_PER_READ])
            for start in range(0, len(rows), ROWS_PER_READ)
        )
    else:
        end = read_state(connection).next_row
        stretches = (
            dict(iterate_nodes(connection, start, start + ROWS_PER_READ - 1))
            for start in range(0, end, ROWS_PER_READ)
        )
    for stretch in stretches:
        for row, vector in row_vectors(connection, sorted(stretch), header.dim):
            yield stretch[row], vector


def iterate_documents(connection: sqlite3.Connection) -> Iterator[tuple[str, Metadata]]:
    """Read the id and facts of every document, in the order of writing."""
    for name, data in connection.execute(
        "SELECT id, json FROM documents JOIN metadata ON metadata.number = documents.metadata "
        "ORDER BY documents.number"
    ):
        yield restored(name), decoded(data)


def read_outlines(
    connection: sqlite3.Connection, document_ids: Sequence[str] | None
) -> dict[str, Outline]:
    """Give facts and node ids by document id: of all documents, or of those named."""
    known = (
        "SELECT documents.number, documents.id, metadata.json FROM documents "
        "JOIN metadata ON metadata.number = documents.metadata"
    )
    of_nodes = "SELECT row, document, id FROM nodes"
    if document_ids is None:
        documents = connection.execute(known).fetchall()
        nodes = connection.execute(of_nodes).fetchall()
    else:
        documents = list(by_ids(connection, f"{known} WHERE documents.id IN (%s)", document_ids))
        numbers = [number for number, _, _ in documents]
        nodes = list(by_ids(connection, f"{of_nodes} WHERE document IN (%s)", numbers))
    found = {number: (restored(name), Outline(decoded(data)))
             for number, name, data in sorted(documents)}  # fmt: skip
    for _, number, name in sorted(nodes):
        if number in found:
            found[number][1].node_ids.append(restored(name))
    return dict(found.values())


def read_joined(connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Give documents with the nodes that they have already; see ``joined``."""
    ids = [entry.document_id for entry in entries]
    known, has = read_hashes(connection, ids), read_outlines(connection, ids)
    node_ids = [node_id for outline in has.values() for node_id in outline.node_ids]
    return joined(entries, known, has, iterate_with_vectors(connection, node_ids))


def read_hashes(
    connection: sqlite3.Connection, document_ids: Sequence[str] | None
) -> dict[str, str]:
    """Give content hashes by document id: of all documents, or of those named."""
    if document_ids is None:
        rows: Iterable[tuple[Any, ...]] = connection.execute(
            "SELECT id, content_hash FROM documents ORDER BY number"
        )
    else:
        rows = by_ids(
            connection, "SELECT id, content_hash FROM documents WHERE id IN (%s)", document_ids
        )
    return {restored(name): restored(content_hash) for name, content_hash in rows}


def by_ids(
    connection: sqlite3.Connection, statement: str, ids: Sequence[str] | Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """Run a statement that has ``IN (%s)`` over ids, some hundred at a time."""
    bound = [storable(name) if isinstance(name, str) else name for name in dict.fromkeys(ids)]
    for start in range(0, len(bound), IDS_AT_ONCE):
        some = bound[start : start + IDS_AT_ONCE]
        marks = ",".join("?" * len(some))  # nothing but question marks is put into the statement
        yield from connection.execute(statement % marks, some)


def _node(row: tuple[Any, ...]) -> Node:
    number, name, document, start, stop, metadata, checksum, text, owner, data, of_data = row
    node = Node(restored(text), restored(name), restored(owner), start, stop, decoded(data))
    if checksum != node_checksum(node, number, document, metadata) or of_data != metadata_checksum(
        metadata, document, data
    ):
        message = (
            f"Node {shown(node.id)} is damaged. Run `nearfield verify` on the index to see "
            "what is lost, and repair it."
        )
        raise CorruptStoreError(message)
    return node
