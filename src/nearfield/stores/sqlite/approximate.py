"""The approximate index of a large index: HNSW by faiss, a derived file, its recall measured.

It lies beside the index as ``NAME-hnsw``, is made only when asked for, and may be
deleted at any time. It says which rows of one snapshot may be near a question (Malkov and
Yashunin, 2018, over vectors rounded to a byte a number); those few are scored again
exactly, so that a score is the same whichever way its row was found. Vectors that are
newer than the snapshot are compared one by one, and once the snapshot is made anew, the file
counts no more.

Layout: a page of JSON, then what faiss writes, with its CRC-32 in the JSON.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.core.progress import progress
from nearfield.core.search import Lengths, Segment, search
from nearfield.core.vectors import SimilarityMode, normalize
from nearfield.errors import ConfigError, MissingDependencyError
from nearfield.stores.sqlite.snapshot import PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nearfield.core.search import Hits
    from nearfield.core.vectors import Vectors
    from nearfield.stores.sqlite.snapshot import Snapshot

ENGINE = "hnsw"
FORMAT = "nearfield-hnsw-1"
LINKS, CARE = 16, 100
"""Links per row, and how carefully they are chosen: ``M`` and ``efConstruction``."""
EFFORTS = (20, 40, 80, 160, 320, 640, 1280)
SAMPLES = 100
SAMPLED_K = 10
TRAINED_ON = 50_000
ROWS_AT_ONCE = 10_000
MORE_THAN_ASKED = 4
"""Candidates per result: rounding to a byte changes the order of near ones."""


@dataclass(frozen=True, slots=True)
class Approximate:
    """An approximate index over one snapshot.

    Attributes:
        effort: How many rows a search keeps in sight (``efSearch``).
        recall: The share of the true 10 best that was found at that effort, on average.
    """

    effort: int
    recall: float
    _graph: Any
    _metric: SimilarityMode

    def places(self, queries: Vectors, k: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
        """Give the places in the snapshot that may be among the best, for each query, in order.

        Args:
            queries: ``(q, dim)`` float32.
            k: How many results are wanted.
        """
        return _places(self._graph, _prepared(queries, self._metric), k, self.effort)


def approximate_path(index: Path) -> Path:
    """Give the place of an index's approximate index."""
    return index.with_name(f"{index.name}-hnsw")


def build(index: Path, base: Snapshot, metric: SimilarityMode, recall: float) -> Approximate:
    """Make the approximate index of a snapshot, and find out how hard it must look.

    Args:
        index: The index file.
        base: Its snapshot.
        metric: How vectors are compared.
        recall: The share of the true 10 best to be found, above 0 and at most 1.

    Returns:
        The index, written; its recall is what was measured, which may be less.

    Raises:
        ConfigError: ``recall`` is no such share.
        MissingDependencyError: faiss is not installed.
        OSError: It cannot be written.
    """
    if not 0 < recall <= 1:
        message = f"recall is a share above 0 and at most 1, not {recall!r}."
        raise ConfigError(message)
    faiss = require("faiss", extra="faiss", purpose="an approximate index")
    by = faiss.METRIC_L2 if metric is SimilarityMode.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT
    count, dim = base.vectors.shape
    graph = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, LINKS, by)
    graph.hnsw.efConstruction = CARE
    step = max(1, count // TRAINED_ON)
    graph.train(_prepared(base.vectors[::step], metric))
    with progress(count, "Building the approximate index", show=True) as job:
        for start in range(0, count, ROWS_AT_ONCE):
            part = _prepared(base.vectors[start : start + ROWS_AT_ONCE], metric)
            graph.add(part)
            job.advance(len(part))
    effort, found = _measured(graph, base, metric, recall)
    made = Approximate(effort, found, graph, metric)
    _write(
        approximate_path(index), _key(base, metric), made, faiss.serialize_index(graph).tobytes()
    )
    return made


def open_approximate(index: Path, base: Snapshot, metric: SimilarityMode) -> Approximate | None:
    """Open the approximate index of a snapshot, if there is a whole one and faiss is installed.

    Args:
        index: The index file.
        base: Its snapshot.
        metric: How vectors are compared.

    Returns:
        The index, or ``None``: then the search is exact.
    """
    path = approximate_path(index)
    if not path.exists():
        return None
    try:
        faiss = require("faiss", extra="faiss")
        with path.open("rb") as file:
            facts = json.loads(file.read(PAGE).rstrip(b"\0"))
            if facts["format"] != FORMAT or facts["key"] != _key(base, metric):
                return None
            data = file.read()
        if zlib.crc32(data) != facts["checksum"]:
            return None
        graph = faiss.deserialize_index(np.frombuffer(data, np.uint8))
        return Approximate(facts["effort"], facts["recall"], graph, metric)
    except (OSError, ValueError, KeyError, TypeError, MissingDependencyError):
        return None


def search_approximately(
    approximate: Approximate,
    segments: Sequence[Segment],
    queries: Vectors,
    k: int,
    metric: SimilarityMode,
) -> list[Hits]:
    """Find the best rows of each query: candidates of the snapshot, and all that is newer.

    Args:
        approximate: The approximate index.
        segments: The snapshot's, then those of what is newer.
        queries: ``(q, dim)`` float32, finite.
        k: How many rows per query.
        metric: How to compare.

    Returns:
        One result per query, in order; the scores are exact.
    """
    base, *newer = segments
    hits = []
    for query, near in zip(queries, approximate.places(queries, k), strict=True):
        places = near
        if base.lengths.doubtful is not None:  # of lengths that a graph cannot bear
            places = np.union1d(places, np.flatnonzero(base.lengths.doubtful))
        if base.live is not None:
            places = places[base.live[places]]
        some = Segment(
            base.vectors[places], Lengths.of(base.lengths.norms[places]), base.rows[places]
        )
        hits += search([some, *newer], query[None], k, metric)
    return hits


def _places(
    graph: Any, queries: Vectors, k: int, effort: int
) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    faiss = require("faiss", extra="faiss")
    wanted = min(MORE_THAN_ASKED * k, graph.ntotal)
    looks = faiss.SearchParametersHNSW(efSearch=max(effort, wanted))
    _, places = graph.search(queries, wanted, params=looks)
    return [np.sort(some[some >= 0]) for some in places]


def _measured(
    graph: Any, base: Snapshot, metric: SimilarityMode, recall: float
) -> tuple[int, float]:
    """Find the least effort that finds enough of what an exact search finds."""
    dice = np.random.default_rng(0)
    one, other = dice.integers(0, len(base.rows), (2, SAMPLES))
    # Questions are not stored; those that are would be found too easily.
    questions = base.vectors[one] * np.float32(0.75) + base.vectors[other] * np.float32(0.25)
    whole = Segment(base.vectors, base.lengths, np.arange(len(base.rows), dtype=np.int64))
    k = min(SAMPLED_K, len(base.rows))
    right = [set(hits.rows.tolist()) for hits in search([whole], questions, k, metric)]
    prepared = _prepared(questions, metric)
    effort, found = EFFORTS[0], 0.0
    for effort in EFFORTS:
        some = _places(graph, prepared, k, effort)
        shares = [len(ten & set(each.tolist())) / k for ten, each in zip(right, some, strict=True)]
        found = sum(shares) / len(shares)
        if found >= recall:
            break
    return effort, found


def _prepared(vectors: Vectors, metric: SimilarityMode) -> Vectors:
    """Give vectors as the graph compares them: by direction alone for cosines."""
    if metric is SimilarityMode.COSINE:
        return normalize(vectors)
    return np.ascontiguousarray(vectors, np.float32)


def _key(base: Snapshot, metric: SimilarityMode) -> str:
    """Name the very vectors that a graph was made of: blocks by their random stamps."""
    stamps = json.dumps([sorted(base.stamps.items()), len(base.rows), metric.value])
    return f"{zlib.crc32(stamps.encode()):08x}-{len(base.rows)}"


def _write(path: Path, key: str, made: Approximate, data: bytes) -> None:
    facts = {"format": FORMAT, "key": key, "effort": made.effort, "recall": made.recall,
             "checksum": zlib.crc32(data)}  # fmt: skip
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(facts).encode("ascii").ljust(PAGE, b"\0"))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
