"""The ANN index of a Lance table: building it, and measuring what it finds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.search import exact_scores
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError
from nearfield.stores.lance.rows import read_vectors
from nearfield.stores.lance.scan import exact_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors
    from nearfield.stores.lance.table import LanceTable, Version

METADATA_KEY = "nearfield.ann"
INDEX_NAME = "vector_ann"
KINDS = ("IVF_SQ", "IVF_RQ", "IVF_FLAT")
METRICS = {
    SimilarityMode.COSINE: "cosine",
    SimilarityMode.DOT_PRODUCT: "dot",
    SimilarityMode.EUCLIDEAN: "l2",
}
SAMPLED_QUERIES = 64
NEIGHBOURS = 10
REFINE = {"IVF_SQ": 2, "IVF_RQ": 8, "IVF_FLAT": 1}
_LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class AnnIndex:
    """An ANN index, and what was measured of it when it was built.

    Attributes:
        kind: ``"IVF_SQ"``, ``"IVF_RQ"`` or ``"IVF_FLAT"``.
        partitions: How many parts the vectors are in.
        nprobes: How many of them a query looks into.
        refine_factor: How many times ``top_k`` candidates are compared by their full vectors.
        recall: The share of the 10 nearest nodes found, over stored vectors asked as queries.
        target: The recall that was asked for.
        rows: Rows of the table when it was built.
    """

    kind: str
    partitions: int
    nprobes: int
    refine_factor: int
    recall: float
    target: float
    rows: int


def ann_index_of(version: Version) -> AnnIndex | None:
    """Give the ANN index of a version; ``None`` if it has none."""
    said = (version.data.schema.metadata or {}).get(METADATA_KEY.encode())
    return None if said is None else AnnIndex(**json.loads(said))


def nearest(version: Version, index: AnnIndex, query: Any, count: int, columns: list[str]) -> Any:
    """Ask the index for the nearest rows of one query.

    Args:
        version: The version to look in.
        index: How to ask.
        query: ``(dim,)`` float32.
        count: How many.
        columns: What to give of each.

    Returns:
        The rows, an Arrow table.
    """
    asked = {
        "column": "vector",
        "q": query,
        "k": count,
        "metric": METRICS[version.header.metric],
        "nprobes": index.nprobes,
        "refine_factor": index.refine_factor,
    }
    scanner = version.data.scanner(
        columns=columns, nearest=asked, disable_scoring_autoprojection=True
    )
    return scanner.to_table()


def build(table: LanceTable, version: Version, kind: str, recall: float) -> AnnIndex:
    """Build the index anew, and find the smallest effort that reaches a recall.

    Args:
        table: The table, its lock held.
        version: Its newest version.
        kind: One of :data:`KINDS`.
        recall: The share of the 10 nearest nodes to be found, 0 to 1.

    Returns:
        The index, with the recall that was measured.

    Raises:
        ConfigError: The kind is unknown, the recall out of range, or there is too little to index.
    """
    if kind not in KINDS:
        message = f"The kinds of ANN index are {', '.join(KINDS)}, not {kind!r}."
        raise ConfigError(message)
    check_recall(recall)
    rows = version.data.count_rows("vector IS NOT NULL")
    if rows < SAMPLED_QUERIES:
        message = f"{rows} nodes are too few for an ANN index; they are searched exactly anyway."
        raise ConfigError(message)
    partitions = max(1, min(round(rows**0.5), rows // 32))
    table.create_ann_index(version, INDEX_NAME, kind, METRICS[version.header.metric], partitions)
    made = table.latest()
    version = version if made is None else made
    index = _measured(version, kind, partitions, recall, rows)
    table.write_metadata(version, METADATA_KEY, json.dumps(asdict(index)))
    return index


def check_recall(recall: float) -> None:
    """Refuse a recall that is no share.

    Args:
        recall: The share of the nearest nodes to be found.

    Raises:
        ConfigError: It is not above 0 and at most 1.
    """
    if not 0 < recall <= 1:
        message = f"recall is a share above 0 and at most 1, not {recall!r}."
        raise ConfigError(message)


def _measured(version: Version, kind: str, partitions: int, recall: float, rows: int) -> AnnIndex:
    """Raise the effort step by step until sampled queries find what they should."""
    queries, own = _sample(version)
    truth = exact_places(version, queries, NEIGHBOURS + 1)
    steps = [step for step in _LADDER if step < partitions] + [partitions]
    index = AnnIndex(kind, partitions, 1, REFINE[kind], 0.0, recall, rows)
    for nprobes in steps:
        found = AnnIndex(kind, partitions, nprobes, REFINE[kind], 0.0, recall, rows)
        shares = [
            _share(version, found, query, number, {hit.number for hit in hits} - {number})
            for query, number, hits in zip(queries, own.tolist(), truth, strict=True)
        ]
        index = AnnIndex(
            kind, partitions, nprobes, REFINE[kind], float(np.mean(shares)), recall, rows
        )
        if index.recall >= recall:
            break
    return index


def _sample(version: Version) -> tuple[Vectors, NDArray[np.int64]]:
    """Give stored vectors to ask with, and their rows' numbers; the same at every call."""
    rng = np.random.default_rng(version.data.count_rows())
    total = version.data.count_rows()
    places = np.sort(rng.choice(total, min(total, 4 * SAMPLED_QUERIES), replace=False))
    rows = version.data.take(places.tolist(), columns=["row", "vector"])
    rows = rows.filter(rows["vector"].is_valid())
    rows = rows.take(rng.permutation(len(rows))[:SAMPLED_QUERIES])
    return read_vectors(rows["vector"], version.header.dim), rows["row"].to_numpy()


def _share(version: Version, index: AnnIndex, query: Any, own: int, truth: set[int]) -> float:
    """Give the share of the true neighbours that the index finds."""
    if not truth:
        return 1.0
    table = nearest(version, index, query, NEIGHBOURS + 1, ["row", "vector"])
    scores = exact_scores(
        read_vectors(table["vector"], version.header.dim), query, version.header.metric
    )
    numbers = table["row"].to_numpy()
    found = set(numbers[np.argsort(-scores, kind="stable")].tolist()) - {own}
    return len(found & truth) / len(truth)
