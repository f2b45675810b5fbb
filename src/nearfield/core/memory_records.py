"""What a store in memory keeps of nodes and documents, and which of them satisfy conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nearfield.core.metadata import decode_metadata

if TYPE_CHECKING:
    from nearfield.core.filters import MetadataFilters
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.search import Mask, Segment


class Record(NamedTuple):
    """A node without its facts, and the facts: as JSON to give away, parsed to filter by.

    Attributes:
        node: The node.
        metadata: Its facts as JSON.
        facts: The same, parsed.
    """

    node: Node
    metadata: str
    facts: Metadata

    def give(self) -> Node:
        """Give the node with facts of its own, which the caller may change."""
        return replace(self.node, metadata=decode_metadata(self.metadata))


@dataclass(slots=True)
class Stored:
    """A document of the store.

    Attributes:
        content_hash: The hash of what its nodes were made from.
        metadata: Its facts as JSON.
        rows: The rows of its nodes.
    """

    content_hash: str
    metadata: str
    rows: list[int]


def allowed_rows(records: list[Record], segment: Segment, conditions: MetadataFilters) -> Mask:
    """Say which rows are live and satisfy the conditions; equal facts are judged once.

    Args:
        records: The nodes, by row.
        segment: Their vectors, and which rows are live.
        conditions: What their facts must satisfy.

    Returns:
        ``(rows,)`` bool.
    """
    verdicts: dict[str, bool] = {}
    allowed: Mask = np.zeros(len(segment.rows), np.bool_)
    for row in range(len(allowed)) if segment.live is None else np.flatnonzero(segment.live):
        record = records[row]
        verdict = verdicts.get(record.metadata)
        if verdict is None:
            verdict = verdicts[record.metadata] = conditions.matches(record.facts)
        allowed[row] = verdict
    return allowed
