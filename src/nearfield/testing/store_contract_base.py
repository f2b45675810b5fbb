"""What the clauses of the store contract have in common."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.core.store import Found, VectorStore

DIM = 16
HEADER = Header("fingerprint-1", DIM, model_name="model-1", facts={"chunk_size": 256})


def make_entry(
    name: str, vectors: Any, *, version: int = 1, metadata: dict[str, Any] | None = None
) -> Entry:
    """Give a document with one node per vector.

    Args:
        name: The document's id.
        vectors: ``(n, dim)`` numbers.
        version: Goes into texts and content hash, so that versions differ.
        metadata: Facts of the document and of its nodes.

    Returns:
        The entry.
    """
    nodes = [
        Node(
            text=f"{name} piece {number} version {version}",
            id=f"{name}/{version}/{number}",
            document_id=name,
            start=number * 10,
            end=number * 10 + 9,
            metadata=metadata or {},
        )
        for number in range(len(vectors))
    ]
    matrix = np.asarray(vectors, np.float32).reshape(len(nodes), -1)
    return Entry(name, f"hash-{version}", nodes, matrix, metadata or {})


def brute_force(
    matrix: NDArray[Any], query: NDArray[Any], metric: SimilarityMode
) -> NDArray[np.float64]:
    """Score all rows in float64, straight from the definitions.

    Args:
        matrix: ``(n, dim)``.
        query: ``(dim,)``.
        metric: Cosine, dot product, or minus the Euclidean distance.

    Returns:
        ``(n,)`` float64.
    """
    rows, one = matrix.astype(np.float64), query.astype(np.float64)
    if metric is SimilarityMode.EUCLIDEAN:
        return np.asarray(-np.linalg.norm(rows - one, axis=1))
    dots = rows @ one
    if metric is SimilarityMode.DOT_PRODUCT:
        return np.asarray(dots)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))


class Clauses:
    """A store to be opened, and filled with documents."""

    seed: ClassVar[int] = 7

    def open_store(self, folder: Path) -> VectorStore:
        """Open the store that belongs to a folder; override this.

        Args:
            folder: An empty folder, or one this was called with before.

        Returns:
            The store.
        """
        message = f"{type(self).__name__} must define open_store(folder) to open {folder}."
        raise TypeError(message)

    def vectors(self, rows: int, *, seed: int = 0) -> NDArray[np.float32]:
        """Give random vectors, the same at every call."""
        rng = np.random.default_rng((self.seed, seed))
        return rng.standard_normal((rows, DIM)).astype(np.float32)

    @contextmanager
    def filled(
        self, folder: Path, documents: int = 20, *, metric: SimilarityMode = SimilarityMode.COSINE
    ) -> Iterator[tuple[VectorStore, NDArray[np.float32]]]:
        """Give a store of documents ``d0``, ``d1``, ... of three nodes each, and its vectors."""
        matrix = self.vectors(documents * 3)
        with closing(self.open_store(folder)) as store:
            store.initialize(Header("fingerprint-1", DIM, metric))
            store.add(
                [
                    make_entry(f"d{n}", matrix[3 * n : 3 * n + 3], metadata={"n": n})
                    for n in range(documents)
                ]
            )
            yield store, matrix


def raises(kind: Any, call: Any) -> str:
    """Give the message of the error that a call raises; fail if it raises none."""
    try:
        call()
    except kind as error:
        return str(error)
    message = f"Expected {kind}, but nothing was raised."
    raise AssertionError(message)


def near(score: float) -> Any:
    """Give a score that equals any other within 1e-6."""

    class Near(float):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, float) and abs(other - score) < 1e-6

        __hash__ = float.__hash__

    return Near(score)


def found_in(answers: Sequence[Found]) -> list[tuple[str, float]]:
    """Give node ids and scores of answers, in order."""
    return [(hit.node.id, hit.score) for answer in answers for hit in answer.nodes]


def ids_of(name: str, pieces: int) -> list[str]:
    """Give the node ids that :func:`make_entry` gives a document."""
    return [f"{name}/1/{piece}" for piece in range(pieces)]


def single(document_id: str, node_id: str, vector: NDArray[np.float32]) -> Entry:
    """Give a document of one node, under a node id of its own."""
    return Entry(document_id, "h", [Node(text="t", id=node_id, document_id=document_id)], vector)


def texts_with(store: VectorStore, words: str) -> list[str]:
    """Give the texts that a search by words finds."""
    return [hit.text for hit in store.query(None, 99, mode="text", texts=[words])[0].nodes]
