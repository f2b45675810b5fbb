"""An exact search that streams the table past the queries, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nearfield.core.search import Lengths, Segment, row_norms, search
from nearfield.stores.lance.rows import read_vectors
from nearfield.stores.lance.snapshot import allowed_by

if TYPE_CHECKING:
    from nearfield.core.filters import MetadataFilters
    from nearfield.core.vectors import Vectors
    from nearfield.stores.lance.table import Version

ROWS_AT_ONCE = 1 << 15


class Hit(NamedTuple):
    """A row found, in the order hits are ranked.

    Attributes:
        negated: Minus the score.
        number: The row's number in the order of writing.
        place: Where it stands in the table.
    """

    negated: float
    number: int
    place: int

    @property
    def score(self) -> float:
        """How near it is."""
        return -self.negated


def exact_places(
    version: Version, queries: Vectors, top_k: int, conditions: MetadataFilters | None = None
) -> list[list[Hit]]:
    """Find the nearest rows of each query, exactly.

    Args:
        version: The version to look in.
        queries: ``(q, dim)`` float32.
        top_k: How many of each.
        conditions: On the nodes' metadata.

    Returns:
        The hits of each query, best first; equal scores in the order of writing.
    """
    columns = ["row", "vector", *(["metadata"] if conditions is not None else [])]
    best: list[list[Hit]] = [[] for _ in queries]
    start = 0
    for batch in version.data.to_batches(columns=columns, batch_size=ROWS_AT_ONCE):
        places = start + np.flatnonzero(batch["vector"].is_valid().to_numpy(zero_copy_only=False))
        rows, start = batch.take(places - start), start + len(batch)
        if not len(rows):
            continue
        vectors = read_vectors(rows["vector"], version.header.dim)
        numbers = rows["row"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        live = None if conditions is None else allowed_by(rows["metadata"], conditions)
        segment = Segment(vectors, Lengths.of(row_norms(vectors)), numbers, live)
        found = search([segment], queries, top_k, version.header.metric)
        for hits, known in zip(found, best, strict=True):
            own = order[np.searchsorted(numbers, hits.rows, sorter=order)]
            known.extend(
                map(Hit, (-hits.scores).tolist(), hits.rows.tolist(), places[own].tolist())
            )
            known.sort()
            del known[top_k:]
    return best
