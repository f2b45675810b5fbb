"""The approximate index: HNSW, made above a stated size, its recall measured, not assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nearfield.core.vectors import SimilarityMode
from nearfield.stores.pgvector.searching import (
    OPERATORS,
    Best,
    Question,
    find_exactly,
    take_unsafe,
)

if TYPE_CHECKING:
    from nearfield.stores.pgvector.schema import State

ENGINE = "hnsw"
MAX_VECTOR_DIM = 2_000
MAX_DIM = 4_000
HALF_FROM_NODES = 1_000_000
LINKS, CARE = 16, 128
"""``m`` and ``ef_construction``: links per node, and how carefully they are chosen."""
EFFORTS = (40, 60, 100, 160, 250, 400, 650, 1000)
SAMPLES = 100
BETWEEN = 0.25
"""How far from a stored vector towards another a question of the measurement lies: questions
are not stored, and those that are would be found too easily."""
MEASURED_K = 10
FEW_MATCHES = 10_000
"""With filters that leave fewer nodes, a scan of those is exact and about as fast."""
_OPERATORS_OF = {
    SimilarityMode.COSINE: "cosine_ops",
    SimilarityMode.DOT_PRODUCT: "ip_ops",
    SimilarityMode.EUCLIDEAN: "l2_ops",
}


class Built(NamedTuple):
    """An approximate index, as it was measured when made.

    Attributes:
        kind: What it holds: ``"vector"`` or ``"halfvec"``.
        effort: How many candidates it looks at (``hnsw.ef_search``).
        recall: What part of the true ten best it found with so many.
    """

    kind: str
    effort: int
    recall: float


def build(connection: Any, state: State, *, recall: float, memory_mb: int) -> Built | None:
    """Make the approximate index, or make it anew, and find out how hard it must look.

    Args:
        connection: A connection within a write transaction.
        state: Of the index, locked; with a header.
        recall: What part of the true ten best it is to find, on average.
        memory_mb: How much memory the server may use to build it.

    Returns:
        What was measured; ``None`` where no such index can be made, or of nothing.
    """
    header = state.header
    if header is None or header.dim > MAX_DIM or not state.nodes:
        return None
    half = header.dim > MAX_VECTOR_DIM or state.nodes >= HALF_FROM_NODES
    kind = "halfvec" if half else "vector"
    connection.execute("SELECT set_config('maintenance_work_mem', %s, true)", (f"{memory_mb}MB",))
    connection.execute("DROP INDEX IF EXISTS nodes_hnsw")
    connection.execute(
        f"CREATE INDEX nodes_hnsw ON nodes USING hnsw ({_column(kind, header.dim)} "
        f"{kind}_{_OPERATORS_OF[header.metric]}) WITH (m = {LINKS}, ef_construction = {CARE}) "
        "WHERE safe"
    )
    connection.execute("ANALYZE nodes")
    state.ann = kind
    state.ann_effort, found = _measured(connection, state, recall)
    connection.execute(
        "UPDATE state SET ann = %s, ann_effort = %s, ann_recall = %s",
        (kind, state.ann_effort, found),
    )
    return Built(kind, state.ann_effort, found)


def find_nearly(ask: Question, state: State, effort: int | None = None) -> list[tuple[int, float]]:
    """Find rows by the approximate index; their scores are exact.

    Args:
        ask: The question.
        state: Of the version of the index that its connection sees; it has such an index.
        effort: How many candidates to look at; as measured when not given.

    Returns:
        Rows and scores, best first; fewer than asked for where filters left it none.
    """
    half = state.ann == "halfvec"
    limit = ask.k * (2 if half else 1)
    looked_at = min(max(effort or state.ann_effort or EFFORTS[-1], limit), EFFORTS[-1])
    # Whatever the planner thinks of its cost: what answers is what is said to answer.
    ask.connection.execute(
        f"SET LOCAL hnsw.ef_search = {looked_at}; SET LOCAL hnsw.iterative_scan = relaxed_order; "
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
        "SET LOCAL enable_sort = off"
    )
    column = _column(str(state.ann), len(ask.vector))
    query = f"%(query)b::{state.ann}({len(ask.vector)})" if half else "%(query)b"
    found = ask.connection.execute(
        f"SELECT row, embedding FROM nodes {ask.where('safe')} "  # noqa: S608
        f"ORDER BY {column} {OPERATORS[ask.metric]} {query} LIMIT %(limit)s",
        ask.values(limit=limit),
        binary=True,
    ).fetchall()
    ask.connection.execute(
        "SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; "
        "SET LOCAL enable_sort = on"
    )
    best = Best(ask)
    take_unsafe(ask, best)
    best.take(found)
    return best.hits()


def serves(ask: Question, state: State) -> bool:
    """Say whether the approximate index is there, and worth asking."""
    if state.ann is None or ask.k * (2 if state.ann == "halfvec" else 1) > EFFORTS[-1]:
        return False
    if ask.conditions is None:
        return True
    (matches,) = ask.connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM nodes {ask.where('TRUE')} LIMIT %(limit)s) matching",  # noqa: S608
        {**ask.conditions.values, "limit": FEW_MATCHES},
    ).fetchone()
    return bool(matches >= FEW_MATCHES)


def _column(kind: str, dim: int) -> str:
    return f"(embedding::halfvec({dim}))" if kind == "halfvec" else "embedding"


def _measured(connection: Any, state: State, recall: float) -> tuple[int, float]:
    """Find the least effort that reaches a recall on vectors of the index itself."""
    header = state.header
    if header is None:
        return EFFORTS[-1], 0.0
    step = max(state.nodes // SAMPLES, 1)
    sampled = connection.execute(
        "SELECT embedding FROM (SELECT row, row_number() OVER (ORDER BY row) AS place FROM nodes "
        "WHERE safe) numbered JOIN nodes USING (row) WHERE place %% %s = 0 LIMIT %s",
        (step, SAMPLES),
        binary=True,
    ).fetchall()
    if not sampled:
        return EFFORTS[-1], 1.0
    stored = np.stack([vector.to_numpy() for (vector,) in sampled])
    between = ((1 - BETWEEN) * stored + BETWEEN * np.roll(stored, 1, axis=0)).astype(np.float32)
    asks = [
        Question(connection, query, MEASURED_K, header.metric, state.longest, None)
        for query in between
    ]
    true = [{row for row, _ in find_exactly(ask)} for ask in asks]
    wanted = sum(map(len, true)) or 1
    found, aim = 0.0, recall + (1 - recall) / 3  # for a sample may flatter
    for effort in EFFORTS:
        hits = [{row for row, _ in find_nearly(ask, state, effort)} for ask in asks]
        found = sum(len(a & b) for a, b in zip(hits, true, strict=True)) / wanted
        if found >= aim:
            return effort, found
    return EFFORTS[-1], found
