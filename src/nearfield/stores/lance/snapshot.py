"""The nodes of one version in memory: exact answers without a round through the engine.

The table's files (fragments) never change, they only lose rows: a snapshot of a
new version takes over the fragments it knows and reads the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.codes import CodesOnDemand
from nearfield.core.metadata import decode_metadata
from nearfield.core.schema import NodeWithScore
from nearfield.core.search import Lengths, Segment, row_norms, search
from nearfield.stores.lance.rows import IS_NODE, NODE_COLUMNS, read_nodes, read_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.search import Mask
    from nearfield.core.vectors import SimilarityMode, Vectors
    from nearfield.stores.lance.table import Version


@dataclass(frozen=True, slots=True)
class Chunk:
    """The nodes of one fragment.

    Attributes:
        nodes: What they are, an Arrow table.
        numbers: Their numbers in the order of writing, ``(n,)`` int64.
        vectors: ``(n, dim)`` float32.
        lengths: Of the vectors.
        live: Which of them are still there; all when ``None``.
        codes: The vectors as bytes, made when they are asked often.
    """

    nodes: Any
    numbers: NDArray[np.int64]
    vectors: Vectors
    lengths: Lengths
    live: Mask | None = None
    codes: CodesOnDemand = field(default_factory=CodesOnDemand)

    @classmethod
    def of(cls, table: Any, dim: int) -> Chunk:
        """Give the chunk of rows of the table that are nodes."""
        vectors = read_vectors(table["vector"], dim)
        numbers = table["row"].to_numpy().astype(np.int64)
        return cls(table.select(NODE_COLUMNS), numbers, vectors, Lengths.of(row_norms(vectors)))

    def allowed(self, conditions: MetadataFilters) -> Mask:
        """Say which nodes are there and satisfy conditions."""
        allowed = allowed_by(self.nodes["metadata"].combine_chunks(), conditions)
        return allowed if self.live is None else allowed & self.live


class Snapshot:
    """All nodes of one version.

    Args:
        version: The version.
        previous: A snapshot of another version, of which known fragments are taken over.
    """

    def __init__(self, version: Version, previous: Snapshot | None = None) -> None:
        self.number = version.number
        self._chunks: dict[str, tuple[int, Chunk]] = {}
        known = previous._chunks if previous is not None else {}  # noqa: SLF001 - its own kind
        for fragment in version.data.get_fragments():
            name, gone = fragment.metadata.files[0].path, fragment.num_deletions
            if name in known:
                before, chunk = known[name]
                if before != gone:
                    left = fragment.to_table(columns=["row"], filter=IS_NODE)["row"].to_numpy()
                    live = np.isin(chunk.numbers, left)
                    chunk = replace(chunk, live=None if live.all() else live)
            else:
                columns = [*NODE_COLUMNS, "row", "vector"]
                table = fragment.to_table(columns=columns, filter=IS_NODE)
                chunk = Chunk.of(table, version.header.dim)
            self._chunks[name] = gone, chunk
        self._parts = [chunk for _, chunk in self._chunks.values() if len(chunk.numbers)]
        ends = np.cumsum([len(chunk.numbers) for chunk in self._parts])
        self._starts = np.concatenate([[0], ends[:-1]]) if len(ends) else np.zeros(0, np.int64)
        numbers = [chunk.numbers for chunk in self._parts] or [np.zeros(0, np.int64)]
        # Places in the order of writing; two writers without a lock may share a number.
        self._order = np.argsort(np.concatenate(numbers), kind="stable")
        self._ranks = np.empty_like(self._order)
        self._ranks[self._order] = np.arange(len(self._order))

    def search(
        self,
        queries: Vectors,
        top_k: int,
        metric: SimilarityMode,
        conditions: MetadataFilters | None,
    ) -> list[list[NodeWithScore]]:
        """Find the nearest nodes of each query, exactly.

        Args:
            queries: ``(q, dim)`` float32.
            top_k: How many of each.
            metric: How to compare.
            conditions: On the nodes' metadata.

        Returns:
            The nodes of each query, best first; equal scores in the order of writing.
        """
        segments = [
            Segment(
                chunk.vectors,
                chunk.lengths,
                self._ranks[start : start + len(chunk.numbers)],
                chunk.live if conditions is None else chunk.allowed(conditions),
                chunk.codes,
            )
            for start, chunk in zip(self._starts.tolist(), self._parts, strict=True)
        ]
        return [
            self._nodes(hits.rows, hits.scores.tolist())
            for hits in search(segments, queries, top_k, metric)
        ]

    def _nodes(self, ranks: NDArray[np.int64], scores: Sequence[float]) -> list[NodeWithScore]:
        places = self._order[ranks]
        owners = np.searchsorted(self._starts, places, side="right") - 1
        found: list[Any] = [None] * len(places)
        for owner in np.unique(owners).tolist():
            its = np.flatnonzero(owners == owner)
            rows = self._parts[owner].nodes.take(places[its] - self._starts[owner])
            for at, node in zip(its.tolist(), read_nodes(rows), strict=True):
                found[at] = NodeWithScore(node, scores[at])
        return found


def allowed_by(metadata: Any, conditions: MetadataFilters) -> Mask:
    """Say which rows satisfy conditions; equal facts are judged once.

    Args:
        metadata: The column of facts, an Arrow array.
        conditions: The conditions.

    Returns:
        ``(n,)`` bool.
    """
    encoded = metadata.dictionary_encode()
    facts = encoded.dictionary.to_pylist()
    verdicts = np.array([conditions.matches(decode_metadata(one)) for one in facts], np.bool_)
    allowed: Mask = verdicts[encoded.indices.to_numpy().astype(np.intp)]
    return allowed
