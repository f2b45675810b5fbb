"""The stores at size: open, query, insert, bytes on disk; and beside others at 10,000 nodes.

    python -m benchmarks.store [--nodes N] [--text-nodes N] [--dim 384] [--folder DIR] [--rivals]

Vectors are random, texts are words drawn from a Zipf-like distribution, so no
data is needed. Times are wall clock; the best of several runs where a run is
short. ``--rivals`` measures LlamaIndex's default store, Chroma and LanceDB too,
those that are installed. Chroma has no exact search, and random vectors are the
hardest there are for what it has (HNSW): beside its time stands what it finds.

With a million nodes it takes some four minutes, 6 GiB of disk and 4 GiB of memory.
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
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.stores.sqlite import SQLiteStore
from nearfield.stores.sqlite.snapshot import snapshot_path

WINDOW = 4096
WINDOWS_AT_ONCE = 64
NODES_PER_DOCUMENT = 8
WORDS_PER_TEXT = 80
RIVAL_NODES = 10_000
RUNS = 20

Write = Callable[[], None]
Ask = Callable[[np.ndarray], list[int]]
Open = Callable[[], Ask]
Side = Callable[[Path, np.ndarray, list[str]], tuple[Write, Open]]


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--text-nodes", type=int, default=1_000_000)
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
        figures |= small(folder, options.dim, others=options.rivals)
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


def small(folder: Path, dim: int, *, others: bool) -> dict[str, float]:
    """Write, open and query 10,000 nodes: this store, and others that are installed."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((RIVAL_NODES, dim)).astype(np.float32)
    queries = rng.standard_normal((RUNS, dim)).astype(np.float32)
    query = queries[0]
    texts = list(made_texts(RIVAL_NODES))
    cosines = queries @ (matrix / np.linalg.norm(matrix, axis=1)[:, None]).T
    right = np.argsort(-cosines, axis=1)[:, :10].tolist()
    figures: dict[str, float] = {}
    stores: list[tuple[str, Side]] = [("nearfield", sqlite_store)]
    if others:
        stores += [
            ("llama_index", llama_index_store),
            ("chromadb", chroma_store),
            ("lancedb", lance_store),
        ]
    for name, side in stores:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: not measured", file=sys.stderr)
            continue
        write, opened = side(folder, matrix, texts)
        start = time.perf_counter()
        write()
        wrote = time.perf_counter() - start
        start = time.perf_counter()
        ask = opened()
        ask(query)
        took = time.perf_counter() - start
        shares = [len(set(ask(q)) & set(ten)) / 10 for q, ten in zip(queries, right, strict=True)]
        figures |= {
            f"10,000 nodes in {name}: write, s": wrote,
            f"10,000 nodes in {name}: open and first query, s": took,
            f"10,000 nodes in {name}: query, s": best(lambda ask=ask: ask(query)),
            f"10,000 nodes in {name}: share of the 10 best found": sum(shares) / len(shares),
        }
        figures |= {
            f"{name} / nearfield: {what}": figures[f"10,000 nodes in {name}: {what}, s"]
            / figures[f"10,000 nodes in nearfield: {what}, s"]
            for what in ("write", "open and first query", "query")
            if name != "nearfield"
        }
    memory = MemoryStore()
    memory.initialize(Header("bench", dim))
    memory.add(made_entries(matrix, texts))
    figures["10,000 nodes in memory: query, s"] = best(lambda: memory.query(query[None], 10))
    return figures


def sqlite_store(folder: Path, matrix: np.ndarray, texts: list[str]) -> tuple[Write, Open]:
    """Measure this project's store, exact."""
    path = folder / "small.index"
    entries = made_entries(matrix, texts)

    def write() -> None:
        with SQLiteStore(path) as store:
            store.initialize(Header("bench", matrix.shape[1]))
            store.add(entries)

    def opened() -> Ask:
        store = SQLiteStore(path, create=False)
        return lambda query: [int(hit.node.id) for hit in store.query(query[None], 10)[0].nodes]

    return write, opened


def llama_index_store(folder: Path, matrix: np.ndarray, texts: list[str]) -> tuple[Write, Open]:
    """Measure LlamaIndex's SimpleVectorStore with its document store, exact."""
    from llama_index.core.schema import TextNode
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore, VectorStoreQuery

    vectors_path, texts_path = str(folder / "llama.json"), str(folder / "docs.json")
    nodes = [
        TextNode(text=text, id_=str(n), embedding=row)
        for n, (text, row) in enumerate(zip(texts, matrix.tolist(), strict=True))
    ]

    def write() -> None:
        store, documents = SimpleVectorStore(), SimpleDocumentStore()
        store.add(nodes)
        documents.add_documents([node.model_copy(update={"embedding": None}) for node in nodes])
        store.persist(vectors_path)
        documents.persist(texts_path)

    def opened() -> Ask:
        store = SimpleVectorStore.from_persist_path(vectors_path)
        documents = SimpleDocumentStore.from_persist_path(texts_path)

        def ask(query: np.ndarray) -> list[int]:
            asked = VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=10)
            ids = store.query(asked).ids or []
            return [int(documents.get_document(one).id_) for one in ids]

        return ask

    return write, opened


def chroma_store(folder: Path, matrix: np.ndarray, texts: list[str]) -> tuple[Write, Open]:
    """Measure Chroma's persistent client, which is approximate (HNSW)."""
    import chromadb
    from chromadb.api.client import SharedSystemClient

    place = str(folder / "chroma")

    def write() -> None:
        collection = chromadb.PersistentClient(place).create_collection(
            "bench", embedding_function=None, metadata={"hnsw:space": "cosine"}
        )
        for start in range(0, len(texts), 1000):
            part = slice(start, start + 1000)
            ids = [str(n) for n in range(start, start + len(texts[part]))]
            collection.add(ids=ids, embeddings=matrix[part], documents=texts[part])

    def opened() -> Ask:
        SharedSystemClient.clear_system_cache()  # else the one that wrote answers
        collection = chromadb.PersistentClient(place).get_collection(
            "bench", embedding_function=None
        )
        return lambda query: [
            int(one) for one in collection.query(query_embeddings=[query], n_results=10)["ids"][0]
        ]

    return write, opened


def lance_store(folder: Path, matrix: np.ndarray, texts: list[str]) -> tuple[Write, Open]:
    """Measure LanceDB without an index, exact."""
    import lancedb

    place = str(folder / "lance")

    def write() -> None:
        rows = [
            {"number": n, "vector": row, "text": text}
            for n, (row, text) in enumerate(zip(matrix, texts, strict=True))
        ]
        lancedb.connect(place).create_table("bench", rows)

    def opened() -> Ask:
        table = lancedb.connect(place).open_table("bench")
        return lambda query: [
            int(row["number"])
            for row in table.search(query).distance_type("cosine").limit(10).to_list()
        ]

    return write, opened


def made_entries(matrix: np.ndarray, texts: list[str]) -> list[Entry]:
    """Make documents of eight nodes, each known by its number."""
    entries = []
    for start in range(0, len(matrix), NODES_PER_DOCUMENT):
        part = matrix[start : start + NODES_PER_DOCUMENT]
        nodes = [
            Node(text=texts[start + n], id=str(start + n), document_id=f"doc-{start}")
            for n in range(len(part))
        ]
        entries.append(Entry(f"doc-{start}", f"{start:064x}", nodes, part))
    return entries


def insert(path: Path, count: int, dim: int, *, texts: bool) -> tuple[float, float]:
    """Write an index in bulk; give rows per second, and per CPU second, of the store's own.

    Some windows are made, then written with the clock running until all of them are on the disk:
    nothing is made meanwhile, nor written while the clock stands.
    """
    wall = cpu = 0.0
    store = SQLiteStore(path)
    store.initialize(Header("bench", dim))
    made = windows(count, dim, texts=texts)
    while ready := list(islice(made, WINDOWS_AT_ONCE)):
        start, used = time.perf_counter(), time.process_time()
        with store.bulk() as bulk:
            for entries in ready:
                bulk.add(entries)
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
