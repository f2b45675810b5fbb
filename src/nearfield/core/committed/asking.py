"""One query answered from the rows that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.core.committed.lookup import all_rows
from nearfield.core.committed.rows import NODE, node_of, vector_of
from nearfield.core.nearest import Candidates, find_nearest
from nearfield.core.schema import NodeWithScore
from nearfield.core.store import Found

if TYPE_CHECKING:
    from nearfield.core.committed.engine import Engine
    from nearfield.core.committed.rows import Row
    from nearfield.core.committed.state import State
    from nearfield.core.filters import MetadataFilters
    from nearfield.core.vectors import SimilarityMode, Vector


def nearest_nodes(
    engine: Engine,
    state: State,
    query: Vector,
    *,
    k: int,
    metric: SimilarityMode,
    conditions: MetadataFilters | None,
) -> Found:
    """Answer one query from the nodes that count and satisfy the conditions."""

    def allowed(row: Row) -> bool:
        return state.counts(row.number) and (
            conditions is None or conditions.matches(node_of(row).metadata)
        )

    ask = Candidates(
        query=query,
        k=k,
        metric=metric,
        longest=state.longest,
        exact=engine.exact,
        nearest=lambda limit: engine.nearest(query, limit, state),
        unsafe=engine.unsafe,
        everything=lambda: all_rows(engine, state, NODE),
        allowed=allowed,
        vector=vector_of,
        number=lambda row: row.number,
    )
    hits = find_nearest(ask)
    answered = "exact" if engine.exact else "hnsw"
    return Found([NodeWithScore(node_of(row), score) for row, score in hits], answered)
