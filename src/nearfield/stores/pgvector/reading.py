"""Documents and nodes read back from their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.outlines import Outline
from nearfield.core.schema import Node
from nearfield.core.upserts import joined
from nearfield.stores.pgvector.records import decoded, restored, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.schema import Metadata
    from nearfield.core.store import Entry
    from nearfield.core.vectors import Vector

ROWS_PER_READ = 1024
_NODES = (
    "SELECT {columns} nodes.id, documents.id, start, stop, text, nodes.metadata "
    "FROM nodes JOIN documents ON number = document"
)


def read_nodes(connection: Any, rows: Sequence[int]) -> dict[int, Node]:
    """Read nodes by row; those that are not there are passed over."""
    found = connection.execute(
        f"{_NODES.format(columns='row,')} WHERE row = ANY(%s)", (list(rows),)
    )
    return {row: _node(parts) for row, *parts in found}


def iterate_nodes(connection: Any, node_ids: Sequence[str] | None) -> Iterator[tuple[Node, Vector]]:
    """Read nodes with their vectors, of some ids or all, in the order of writing."""
    statement, bound = _NODES.format(columns="embedding,"), []
    if node_ids is not None:
        statement += " WHERE nodes.id = ANY(%s)"
        bound = [[storable(name) for name in node_ids]]
    for vector, *parts in _streamed(connection, f"{statement} ORDER BY row", bound):
        yield _node(parts), vector.to_numpy()


def iterate_documents(connection: Any) -> Iterator[tuple[str, Metadata]]:
    """Read the id and facts of every document, in the order of writing."""
    statement = "SELECT id, metadata FROM documents ORDER BY number"
    for name, data in _streamed(connection, statement, []):
        yield restored(name), decoded(data)


def read_hashes(connection: Any, document_ids: Sequence[str] | None) -> dict[str, str]:
    """Give content hashes by document id: of all documents, or of those named."""
    statement = "SELECT id, content_hash FROM documents"
    if document_ids is None:
        rows = connection.execute(f"{statement} ORDER BY number")
    else:
        ids = [storable(name) for name in document_ids]
        rows = connection.execute(f"{statement} WHERE id = ANY(%s) ORDER BY number", (ids,))
    return {restored(name): restored(content) for name, content in rows}


def read_outlines(connection: Any, document_ids: Sequence[str] | None) -> dict[str, Outline]:
    """Give facts and node ids by document id: of all documents, or of those named."""
    statement = (
        "SELECT documents.id, documents.metadata, nodes.id FROM documents "
        "LEFT JOIN nodes ON document = number {where} ORDER BY number, row"
    )
    where, bound = "", []
    if document_ids is not None:
        where, bound = "WHERE documents.id = ANY(%s)", [[storable(name) for name in document_ids]]
    found: dict[str, Outline] = {}
    for stored, data, node in _streamed(connection, statement.format(where=where), bound):
        name = restored(stored)
        if name not in found:
            found[name] = Outline(decoded(data))
        if node is not None:
            found[name].node_ids.append(restored(node))
    return found


def read_joined(connection: Any, entries: Sequence[Entry]) -> list[Entry]:
    """Give documents with the nodes that they have already; see ``joined``."""
    ids = [entry.document_id for entry in entries]
    known, has = read_hashes(connection, ids), read_outlines(connection, ids)
    node_ids = [node_id for outline in has.values() for node_id in outline.node_ids]
    return joined(entries, known, has, iterate_nodes(connection, node_ids))


def _streamed(connection: Any, statement: str, bound: list[Any]) -> Iterator[Any]:
    """Run a statement whose rows are fetched some at a time."""
    with connection.cursor("nearfield", withhold=False) as cursor:
        cursor.itersize = ROWS_PER_READ
        cursor.execute(statement, bound, binary=True)
        yield from cursor


def _node(parts: Sequence[Any]) -> Node:
    name, owner, start, stop, text, data = parts
    return Node(restored(text), restored(name), restored(owner), start, stop, decoded(data))
