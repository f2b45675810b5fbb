"""What a version of the table holds: hashes, documents, nodes, in the order of writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.metadata import decode_metadata
from nearfield.core.outlines import Outline
from nearfield.core.upserts import joined
from nearfield.stores.lance.rows import (
    DOCUMENT,
    IS_DOCUMENT,
    NODE,
    NODE_COLUMNS,
    as_text,
    digest,
    one_of,
    read_nodes,
    read_vectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Entry
    from nearfield.core.vectors import Vector
    from nearfield.stores.lance.table import Version

ROWS_PER_READ = 1024


def read_hashes(version: Version, document_ids: Sequence[str] | None) -> dict[str, str]:
    """Give the content hashes of documents, by id.

    Args:
        version: The version to look in.
        document_ids: Which; all when ``None``.
    """
    condition = IS_DOCUMENT
    if document_ids is not None:
        condition = one_of("key", {digest(DOCUMENT, name) for name in document_ids})
    found = _sorted(version.data.to_table(columns=["row", "id", "hash"], filter=condition))
    names = map(as_text, found["id"].to_pylist())
    return dict(zip(names, found["hash"].to_pylist(), strict=True))


def iterate_documents(version: Version) -> Iterator[tuple[str, Metadata]]:
    """Give every document's id and facts."""
    columns = ["row", "id", "metadata"]
    found = _sorted(version.data.to_table(columns=columns, filter=IS_DOCUMENT))
    for name, metadata in zip(found["id"], found["metadata"], strict=True):
        yield as_text(name.as_py()), decode_metadata(metadata.as_py())


def iterate_nodes(
    version: Version, node_ids: Sequence[str] | None
) -> Iterator[tuple[Node, Vector]]:
    """Give nodes with their vectors.

    Args:
        version: The version to look in.
        node_ids: Which; all when ``None``.
    """
    columns = [*NODE_COLUMNS, "row", "vector"]
    if node_ids is not None:
        wanted = one_of("key", {digest(NODE, name) for name in node_ids})
        yield from _pairs(_sorted(version.data.to_table(columns=columns, filter=wanted)))
        return
    numbers = version.data.to_table(columns=["row", "hash"])
    places = np.flatnonzero(numbers["hash"].is_null().to_numpy())
    places = places[np.argsort(numbers["row"].to_numpy()[places], kind="stable")]
    for start in range(0, len(places), ROWS_PER_READ):
        some = places[start : start + ROWS_PER_READ].tolist()
        yield from _pairs(version.data.take(some, columns=columns))


def read_outlines(version: Version, document_ids: Sequence[str] | None) -> dict[str, Outline]:
    """Give facts and node ids by document id; arguments as :func:`read_hashes`."""
    condition = None
    if document_ids is not None:
        condition = one_of("document", sorted({digest(DOCUMENT, name) for name in document_ids}))
    columns = ["row", "document", "id", "metadata", "hash"]
    rows = _sorted(version.data.to_table(columns=columns, filter=condition)).to_pylist()
    found = {
        row["document"]: (as_text(row["id"]), Outline(decode_metadata(row["metadata"])))
        for row in rows
        if row["hash"] is not None
    }
    for row in rows:
        if row["hash"] is None:
            found[row["document"]][1].node_ids.append(as_text(row["id"]))
    return dict(found.values())


def read_joined(version: Version, entries: Sequence[Entry]) -> list[Entry]:
    """Give documents with the nodes that they have already; see ``joined``."""
    ids = [entry.document_id for entry in entries]
    known, has = read_hashes(version, ids), read_outlines(version, ids)
    node_ids = [node_id for outline in has.values() for node_id in outline.node_ids]
    return joined(entries, known, has, iterate_nodes(version, node_ids))


def size_of(version: Version) -> int:
    """Give the bytes of the files of a version."""
    return sum(
        file.file_size_bytes or 0
        for fragment in version.data.get_fragments()
        for file in fragment.metadata.files
    )


def _sorted(table: Any) -> Any:
    return table.take(np.argsort(table["row"].to_numpy(), kind="stable"))


def _pairs(table: Any) -> Iterator[tuple[Node, Vector]]:
    column = table["vector"]
    vectors = read_vectors(column, column.type.list_size)
    for node, vector in zip(read_nodes(table), vectors, strict=True):
        yield node, vector.copy()
