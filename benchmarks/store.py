"""The stores at size: open, query, insert, bytes on disk; and beside others at 10,000 nodes.

    python -m benchmarks.store [--nodes 1000000] [--dim 384] [--folder DIR] [--rivals]

Vectors are random, texts are words drawn from a Zipf-like distribution, so no
data is needed. Times are wall clock; the best of several runs where a run is
short. ``--rivals`` measures LlamaIndex's default store, Chroma and LanceDB too,
those that are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.stores.sqlite import SQLiteStore
from nearfield.stores.sqlite.snapshot import snapshot_path

WINDOW = 4096
NODES_PER_DOCUMENT = 8
WORDS_PER_TEXT = 80
RIVAL_NODES = 10_000
RUNS = 20


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--text-nodes", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument(
        "--folder", type=Path, help="where the files go; a temporary folder if not given"
    )
    parser.add_argument("--rivals", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nearfield-bench-", dir=options.folder))
    try:
        figures = vectors_alone(folder / "vectors.index", options.nodes, options.dim)
        figures |= with_texts(folder / "texts.index", options.text_nodes, options.dim)
        figures |= small(folder / "small.index", options.dim)
        if options.rivals:
            figures |= rivals(folder, options.dim)
    finally:
        shutil.rmtree(folder)
    for name, value in figures.items():
        print(f"{name:58} {value:14.4f}")
    print(json.dumps({"machine": describe_machine(), "figures": figures}))


def vectors_alone(path: Path, count: int, dim: int) -> dict[str, float]:
    """Insert vectors without texts; open; query with and without the snapshot."""
    wall, cpu = insert(path, count, dim, texts=False)
    figures = {
        f"insert {count} vectors alone, rows/s": wall,
        f"insert {count} vectors alone, rows per CPU second": cpu,
    }
    raw = count * dim * 4
    figures["record / raw vectors"] = path.stat().st_size / raw
    query = np.random.default_rng(1).standard_normal((1, dim)).astype(np.float32)
    figures["first query without a snapshot, s"] = cold(path, query)["query"]
    times = [cold(path, query) for _ in range(3)]
    figures["open, s"] = min(each["open"] for each in times)
    figures["first query with the snapshot, s"] = min(each["query"] for each in times)
    figures["numpy load(mmap) @ q, s"] = min(
        numpy_scan(snapshot_path(path), count, dim) for _ in range(3)
    )
    with SQLiteStore(path) as store:
        store.query(query, 10)
        figures["next queries, s"] = best(lambda: store.query(query, 10))
        many = np.random.default_rng(2).standard_normal((64, dim)).astype(np.float32)
        figures["64 queries in a batch, s"] = best(lambda: store.query(many, 10), 3)
    figures["snapshot / raw vectors"] = snapshot_path(path).stat().st_size / raw
    return figures


def with_texts(path: Path, count: int, dim: int) -> dict[str, float]:
    """Insert vectors with texts and the word index."""
    wall, cpu = insert(path, count, dim, texts=True)
    figures = {
        f"insert {count} with texts and words, rows/s": wall,
        f"insert {count} with texts and words, rows per CPU second": cpu,
    }
    raw, text = count * dim * 4, sum(len(words) for words in made_texts(count))
    figures["(record - 1.6 text) / raw vectors"] = (path.stat().st_size - 1.6 * text) / raw
    with SQLiteStore(path) as store:
        question = next(made_texts(1))[:40]
        figures["query by words, s"] = best(
            lambda: store.query(None, 10, mode="text", texts=[question]), 5
        )
        vector = np.ones((1, dim), np.float32)
        store.query(vector, 10)
        figures["query with a filter for 1 in 10, s"] = best(
            lambda: store.query(vector, 10, filters={"tenth": 3})
        )
    return figures


def small(path: Path, dim: int) -> dict[str, float]:
    """Query 10,000 nodes in a file and in memory."""
    figures = {}
    query = np.random.default_rng(1).standard_normal((1, dim)).astype(np.float32)
    start = time.perf_counter()
    insert(path, RIVAL_NODES, dim, texts=True)
    figures["10,000 nodes in a file: write, s"] = time.perf_counter() - start
    start = time.perf_counter()
    with SQLiteStore(path) as store:
        store.query(query, 10)
        figures["10,000 nodes in a file: open and first query, s"] = time.perf_counter() - start
        figures["10,000 nodes in a file: query, s"] = best(lambda: store.query(query, 10))
    memory = MemoryStore()
    memory.initialize(Header("bench", dim))
    for entries in windows(RIVAL_NODES, dim, texts=True):
        memory.add(entries)
    figures["10,000 nodes in memory: query, s"] = best(lambda: memory.query(query, 10))
    return figures


def rivals(folder: Path, dim: int) -> dict[str, float]:
    """Query 10,000 nodes of other stores that are installed."""
    figures: dict[str, float] = {}
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((RIVAL_NODES, dim)).astype(np.float32)
    query = rng.standard_normal(dim).astype(np.float32)
    texts = list(made_texts(RIVAL_NODES))
    for name, measure in (
        ("llama_index", llama_index_store),
        ("chromadb", chroma_store),
        ("lancedb", lance_store),
    ):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: not measured", file=sys.stderr)
            continue
        figures |= {
            f"10,000 nodes in {name}: {k}": v
            for k, v in measure(folder, matrix, texts, query).items()
        }
    return figures


def llama_index_store(
    folder: Path, matrix: np.ndarray, texts: list[str], query: np.ndarray
) -> dict[str, float]:
    """Measure LlamaIndex's SimpleVectorStore with its document store."""
    from llama_index.core.schema import TextNode
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery

    store, texts_store = SimpleVectorStore(), SimpleDocumentStore()
    nodes = [
        TextNode(text=text, id_=str(n), embedding=row)
        for n, (text, row) in enumerate(zip(texts, matrix.tolist(), strict=True))
    ]
    store.add(nodes)
    texts_store.add_documents(nodes)
    asked = VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=10)
    figures = {"query, s": best(lambda: store.query(asked), 3)}
    start = time.perf_counter()
    store.persist(str(folder / "llama.json"))
    texts_store.persist(str(folder / "docs.json"))
    SimpleVectorStore.from_persist_path(str(folder / "llama.json"))
    SimpleDocumentStore.from_persist_path(str(folder / "docs.json"))
    figures["save and open, s"] = time.perf_counter() - start
    return figures


def chroma_store(
    folder: Path, matrix: np.ndarray, texts: list[str], query: np.ndarray
) -> dict[str, float]:
    """Measure Chroma's persistent client (approximate)."""
    import chromadb

    client = chromadb.PersistentClient(str(folder / "chroma"))
    collection = client.create_collection("bench", embedding_function=None)
    for start in range(0, len(texts), 1000):
        part = slice(start, start + 1000)
        ids = [str(n) for n in range(start, start + len(texts[part]))]
        collection.add(ids=ids, embeddings=matrix[part], documents=texts[part])
    return {"query, s": best(lambda: collection.query(query_embeddings=[query], n_results=10))}


def lance_store(
    folder: Path, matrix: np.ndarray, texts: list[str], query: np.ndarray
) -> dict[str, float]:
    """Measure LanceDB without an index (exact)."""
    import lancedb

    rows = [{"vector": row, "text": text} for row, text in zip(matrix, texts, strict=True)]
    table = lancedb.connect(str(folder / "lance")).create_table("bench", rows)
    return {"query, s": best(lambda: table.search(query).metric("cosine").limit(10).to_list())}


def insert(path: Path, count: int, dim: int, *, texts: bool) -> tuple[float, float]:
    """Write an index; give rows per second, and per CPU second, of the store's own."""
    wall = cpu = 0.0
    store = SQLiteStore(path)
    store.initialize(Header("bench", dim))
    for entries in windows(count, dim, texts=texts):
        start, used = time.perf_counter(), time.process_time()
        store.add(entries)
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - used
    start, used = time.perf_counter(), time.process_time()
    store.close()
    wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - used
    return count / wall, count / cpu


def windows(count: int, dim: int, *, texts: bool):
    """Make documents of eight nodes, a few thousand nodes at a time."""
    rng = np.random.default_rng(0)
    words = made_texts(count)
    for first in range(0, count, WINDOW):
        matrix = rng.standard_normal((min(WINDOW, count - first), dim)).astype(np.float32)
        entries = []
        for start in range(0, len(matrix), NODES_PER_DOCUMENT):
            part = matrix[start : start + NODES_PER_DOCUMENT]
            name = f"doc-{first + start:024x}"
            facts = {"tenth": (first + start) // NODES_PER_DOCUMENT % 10} if texts else {}
            nodes = [
                Node(
                    text=next(words) if texts else "",
                    id=f"node-{first + start + n:024x}",
                    document_id=name,
                    metadata=facts,
                )
                for n in range(len(part))
            ]
            entries.append(Entry(name, f"{first + start:064x}", nodes, part, facts))
        yield entries


def made_texts(count: int):
    """Make texts of 80 words, about 500 characters, always the same."""
    dice = random.Random(0)  # noqa: S311 - no secret
    vocabulary = [f"w{dice.randrange(36**4):x}" for _ in range(30_000)]
    weights = [1 / (n + 10) for n in range(len(vocabulary))]
    pool = dice.choices(vocabulary, weights, k=1_000_000)
    for _ in range(count):
        start = dice.randrange(len(pool) - WORDS_PER_TEXT)
        yield " ".join(pool[start : start + WORDS_PER_TEXT])


def cold(path: Path, query: np.ndarray) -> dict[str, float]:
    """Open and query in a new process (the page cache stays warm)."""
    code = (
        "import sys, json, time\n"
        "import numpy as np\n"
        "from nearfield.stores.sqlite import SQLiteStore\n"
        "query = np.frombuffer(bytes.fromhex(sys.stdin.read()), np.float32)[None]\n"
        "np.ones((8, 8), np.float32) @ np.ones(8, np.float32)\n"
        "start = time.perf_counter()\n"
        "store = SQLiteStore(sys.argv[1], create=False); store.count()\n"
        "opened = time.perf_counter()\n"
        "store.query(query, 10)\n"
        "print(json.dumps({'open': opened - start, 'query': time.perf_counter() - opened}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        input=query.tobytes().hex(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def numpy_scan(path: Path, count: int, dim: int) -> float:
    """Map the vectors of a snapshot and multiply, in a new process."""
    code = (
        "import sys, os, time\n"
        "import numpy as np\n"
        "count, dim = int(sys.argv[2]), int(sys.argv[3])\n"
        "offset = os.path.getsize(sys.argv[1]) - count // 1024 * 1024 * dim * 4\n"
        "query = np.ones(dim, np.float32)\n"
        "np.ones((8, 8), np.float32) @ np.ones(8, np.float32)\n"
        "start = time.perf_counter()\n"
        "np.memmap(sys.argv[1], '<f4', 'r', offset, (count // 1024 * 1024, dim)) @ query\n"
        "print(time.perf_counter() - start)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(count), str(dim)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def best(call, runs: int = RUNS) -> float:
    """Give the shortest of several runs, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
