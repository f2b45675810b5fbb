"""What an engine keeps of documents and nodes: rows of plain numbers and plain ASCII."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.metadata import decode_metadata
from nearfield.core.nearest import safe_rows, vector_lengths
from nearfield.core.outlines import Outline
from nearfield.core.schema import Node
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nearfield.core.search import Mask
    from nearfield.core.store_checks import CheckedEntry
    from nearfield.core.vectors import Vector, Vectors

DOCUMENT, NODE = "document", "node"


@dataclass(slots=True)
class Row:
    """What an engine keeps: plain numbers and plain ASCII, whatever ids and texts hold.

    Attributes:
        number: The row's number, from 0; the order of writing.
        kind: ``"document"`` or ``"node"``.
        key: Stands for its id: 32 hexadecimal digits.
        owner: The number of a node's document; a document's own.
        data: All there is to know of it, as JSON.
        vector: The vector as base64 of little-endian float32; empty for a document.
        safe: Whether the engine may compare it: float32 can bear its length.
        search: What the engine compares, ``(dim,)`` float32; zeros when it may not, and
            empty in rows that are read.
    """

    number: int
    kind: str
    key: str
    owner: int
    data: str
    vector: str = ""
    safe: bool = True
    search: Sequence[float] = ()


def key_of(name: str) -> str:
    """Give what stands for an id: plain, and of one length."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def rows_of(checked: Sequence[CheckedEntry], number: int, metric: SimilarityMode) -> Iterator[Row]:
    """Give the rows of documents: each, then its nodes.

    Args:
        checked: The documents.
        number: Of the first row.
        metric: How their vectors are compared.
    """
    for one in checked:
        entry, owner = one.entry, number
        facts = {"id": entry.document_id, "hash": entry.content_hash, "metadata": one.metadata}
        yield Row(owner, DOCUMENT, key_of(entry.document_id), owner, json.dumps(facts))
        search, safe = searchable(entry.vectors, metric)
        for at, (node, data) in enumerate(zip(entry.nodes, one.node_metadata, strict=True)):
            number += 1
            said = {
                "id": node.id, "document": node.document_id, "text": node.text,
                "start": node.start, "end": node.end, "metadata": data,
            }  # fmt: skip
            vector = base64.b64encode(np.ascontiguousarray(entry.vectors[at], "<f4").tobytes())
            yield Row(
                number, NODE, key_of(node.id), owner, json.dumps(said), vector.decode(),
                safe=bool(safe[at]), search=search[at].tolist(),
            )  # fmt: skip
        number += 1


def searchable(vectors: Vectors, metric: SimilarityMode) -> tuple[Vectors, Mask]:
    """Give vectors as an engine compares them: of length 1 for cosine, zeros where unsafe."""
    safe = safe_rows(vectors)
    exact = np.where(safe[:, None], vectors, 0).astype(np.float64)
    if metric is SimilarityMode.COSINE:
        exact /= np.where(safe, vector_lengths(vectors), 1)[:, None]
    return exact.astype(np.float32), safe


def node_of(row: Row) -> Node:
    """Give the node that a row tells of."""
    facts = json.loads(row.data)
    return Node(
        facts["text"], facts["id"], facts["document"], facts["start"], facts["end"],
        decode_metadata(facts["metadata"]),
    )  # fmt: skip


def outlines_of(documents: Iterable[Row], nodes: Iterable[Row]) -> dict[str, Outline]:
    """Give what rows tell of documents and of their nodes, by document id."""
    found = {}
    for row in documents:
        facts = json.loads(row.data)
        found[row.number] = facts["id"], Outline(decode_metadata(facts["metadata"]))
    for row in sorted(nodes, key=lambda row: row.number):
        if row.owner in found:
            found[row.owner][1].node_ids.append(json.loads(row.data)["id"])
    return dict(found.values())


def vector_of(row: Row) -> Vector:
    """Give the vector of a node's row, as it was written."""
    vector: Vector = np.frombuffer(base64.b64decode(row.vector), "<f4").astype(np.float32)
    return vector
