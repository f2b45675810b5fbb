"""The contract of a store, as tests: inherit, say how to open yours, and run pytest.

::

    class TestMyStore(StoreContract):
        def open_store(self, folder):
            return MyStore(folder / "my.index")

``open_store`` is called with an empty folder at first; called again with the
same folder, it opens the same store if the store is persistent. What a store
need not do is decided by its ``capabilities``: no test is skipped, each then
asks that the store says so.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nearfield.core.filters import MetadataFilter, MetadataFilters
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import (
    ConfigError,
    DimensionMismatchError,
    InvalidVectorsError,
    ModelMismatchError,
    NotSupportedError,
    StoreError,
)

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


class StoreContract:
    """What every store promises. Subclass it under a name that starts with ``Test``."""

    seed: ClassVar[int] = 7

    def open_store(self, folder: Path) -> VectorStore:
        """Open the store that belongs to a folder; override this.

        Args:
            folder: An empty folder, or one this was called with before.

        Returns:
            The store.
        """
        message = f"{type(self).__name__} must define open_store(folder)."
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

    # The header

    def test_a_new_store_is_empty(self, tmp_path: Path) -> None:
        """No header, no nodes, no answer."""
        with closing(self.open_store(tmp_path)) as store:
            assert store.header is None
            assert store.count() == 0
            assert list(store.nodes()) == []
            assert store.query(self.vectors(2), 3)[1].nodes == []

    def test_a_new_store_is_not_written_before_it_has_a_header(self, tmp_path: Path) -> None:
        """A vector without its model's name is never stored."""
        with closing(self.open_store(tmp_path)) as store:
            _raises(StoreError, lambda: store.add([make_entry("a", self.vectors(1))]))
            assert store.count() == 0

    def test_the_header_is_kept_and_checked(self, tmp_path: Path) -> None:
        """Another model, dimension or metric is refused, and both are named."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.initialize(HEADER)
            assert store.header == HEADER
            other = Header("fingerprint-2", DIM, model_name="model-2")
            error = _raises(ModelMismatchError, lambda: store.initialize(other))
            assert "fingerprint-1" in error
            assert "fingerprint-2" in error
            _raises(
                DimensionMismatchError, lambda: store.initialize(Header("fingerprint-1", DIM + 1))
            )
            euclidean = Header("fingerprint-1", DIM, SimilarityMode.EUCLIDEAN)
            _raises(StoreError, lambda: store.initialize(euclidean))

    def test_facts_are_merged_into_the_header(self, tmp_path: Path) -> None:
        """Facts can be added and replaced; what is not named stays."""
        with closing(self.open_store(tmp_path)) as store:
            _raises(StoreError, lambda: store.update_facts({"a": 1}))
            store.initialize(HEADER)
            store.update_facts({"a": 1})
            store.update_facts({"a": [2]})
            assert store.header is not None
            assert store.header.facts == {"chunk_size": 256, "a": [2]}

    # Writing

    def test_nodes_come_back_as_they_were_written(self, tmp_path: Path) -> None:
        """Texts, places, facts and vectors are the same, bit for bit, in the order of writing."""
        facts = {"n": 1, "é": "ü\x00\ud800", "list": [1, 2.5, None, True], "deep": {"a": {"b": ""}}}
        matrix = self.vectors(4)
        entries = [
            make_entry("b", matrix[:3], metadata=facts),
            make_entry("a\x00'\";--\ud800", matrix[3:]),
            Entry("empty", "hash", [], np.zeros((0, DIM), np.float32), {"kept": True}),
        ]
        odd = Node(
            text="\ud83d \x00 'x'", id="odd", document_id="a\x00'\";--\ud800", metadata={"m": 1}
        )
        entries[1] = Entry(odd.document_id, "h", [odd], matrix[3:], {})
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.add(entries)
            written = [node for entry in entries for node in entry.nodes]
            assert [node for node, _ in store.nodes()] == written
            assert np.array_equal(np.stack([vector for _, vector in store.nodes()]), matrix)
            assert list(store.documents()) == [
                ("b", facts),
                (odd.document_id, {}),
                ("empty", {"kept": True}),
            ]
            assert [node.id for node, _ in store.nodes(["odd", "?", "b/1/0", "odd"])] == [
                "b/1/0",
                "odd",
            ]

    def test_what_is_given_out_is_a_copy(self, tmp_path: Path) -> None:
        """Changing an answer, or what was written, does not change the store."""
        matrix, facts = self.vectors(1), {"tags": ["x"]}
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.add([make_entry("a", matrix, metadata=facts)])
            before = matrix.copy()
            facts["tags"].append("y")
            matrix[:] = 0
            for node, vector in store.nodes():
                node.metadata["tags"].append("z")
                vector[:] = 0
            store.query(before, 1)[0].nodes[0].metadata.clear()
            ((node, vector),) = store.nodes()
            assert node.metadata == {"tags": ["x"]}
            assert np.array_equal(vector, before[0])

    def test_content_hashes_tell_what_is_there(self, tmp_path: Path) -> None:
        """Of all documents, or of those asked for."""
        with self.filled(tmp_path, 3) as (store, _):
            assert store.content_hashes() == dict.fromkeys(["d0", "d1", "d2"], "hash-1")
            assert store.content_hashes(["d2", "?", "d2"]) == {"d2": "hash-1"}
            assert store.content_hashes([]) == {}

    def test_adding_a_known_id_writes_nothing(self, tmp_path: Path) -> None:
        """A known document, a known node, or an id given twice stops the whole call."""
        new = make_entry("new", self.vectors(2))
        thief = Entry(
            "thief", "h", [Node(text="x", id="d0/1/0", document_id="thief")], self.vectors(1)
        )
        with self.filled(tmp_path, 2) as (store, _):
            before = [node for node, _ in store.nodes()]
            _raises(StoreError, lambda: store.add([new, make_entry("d1", self.vectors(1))]))
            _raises(StoreError, lambda: store.add([new, thief]))
            _raises(StoreError, lambda: store.upsert([new, thief]))
            _raises(StoreError, lambda: store.upsert([new, new]))
            twin = Entry(
                "twin", "h", [Node(text="x", id="t", document_id="twin")] * 2, self.vectors(2)
            )
            _raises(StoreError, lambda: store.upsert([new, twin]))
            foreign = Entry("f", "h", [Node(text="x", document_id="other")], self.vectors(1))
            _raises(StoreError, lambda: store.upsert([new, foreign]))
            assert [node for node, _ in store.nodes()] == before
            assert "new" not in store.content_hashes()

    def test_bad_vectors_write_nothing(self, tmp_path: Path) -> None:
        """Wrong length, NaN, infinity and a wrong count are refused before anything is written."""
        good = make_entry("good", self.vectors(1))
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            wide = make_entry("wide", np.ones((1, DIM + 1)))
            _raises(DimensionMismatchError, lambda: store.upsert([good, wide]))
            for bad in (np.nan, np.inf):
                entry = make_entry("bad", np.full((1, DIM), bad))
                _raises(InvalidVectorsError, lambda entry=entry: store.upsert([good, entry]))
            short = Entry("short", "h", good.nodes, np.zeros((2, DIM), np.float32))
            _raises((InvalidVectorsError, StoreError), lambda: store.upsert([good, short]))
            assert store.count() == 0

    def test_metadata_that_is_not_json_is_refused(self, tmp_path: Path) -> None:
        """A store never changes a fact on the way: what it cannot keep, it refuses by name."""
        deep: dict[str, Any] = {}
        for _ in range(1000):
            deep = {"d": deep}
        bad_facts: list[dict[Any, Any]] = [
            {"when": np.datetime64("2024-01-01")}, {"x": float("nan")}, {1: "one"}, {"deep": deep},
        ]  # fmt: skip
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            for facts in bad_facts:
                entry = make_entry("bad", self.vectors(1), metadata=facts)
                assert "'bad'" in _raises(ConfigError, lambda entry=entry: store.upsert([entry]))
            assert store.count() == 0

    def test_an_upsert_replaces_a_document_whole(self, tmp_path: Path) -> None:
        """No old node stays, no other document changes, the new one is the last written."""
        with self.filled(tmp_path, 3) as (store, matrix):
            fresh = self.vectors(2, seed=1)
            store.upsert([make_entry("d1", fresh, version=2, metadata={"v": 2})])
            ids = [node.id for node, _ in store.nodes()]
            assert ids == [*_ids("d0", 3), *_ids("d2", 3), "d1/2/0", "d1/2/1"]
            assert store.content_hashes()["d1"] == "hash-2"
            assert dict(store.documents())["d1"] == {"v": 2}
            assert _found(store.query(matrix[3:4], 9))[0][1] < 1 - 1e-6
            assert _found(store.query(fresh[:1], 1)) == [("d1/2/0", _near(1.0))]

    def test_an_upsert_may_take_over_the_node_ids_of_what_it_replaces(self, tmp_path: Path) -> None:
        """Two documents may even swap theirs, within one call."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            matrix = self.vectors(2)
            store.add([_single("a", "x", matrix[:1]), _single("b", "y", matrix[1:])])
            store.upsert([_single("a", "y", matrix[1:]), _single("b", "x", matrix[:1])])
            assert [(node.id, node.document_id) for node, _ in store.nodes()] == [
                ("y", "a"),
                ("x", "b"),
            ]
            assert _found(store.query(matrix[:1], 1)) == [("x", _near(1.0))]

    def test_what_is_deleted_is_found_no_more(self, tmp_path: Path) -> None:
        """Documents or single nodes; the count says how many were there."""
        with self.filled(tmp_path, 6) as (store, matrix):
            assert store.delete(["d0", "d3", "d3", "?"]) == 2
            assert store.delete([]) == 0
            assert store.delete_nodes(["d1/1/0", "d1/1/1", "d1/1/2", "?", "d2/1/0"]) == 4
            expected = ["d2/1/1", "d2/1/2", *_ids("d4", 3), *_ids("d5", 3)]
            assert [node.id for node, _ in store.nodes()] == expected
            assert store.count() == len(expected)
            assert list(store.content_hashes()) == ["d1", "d2", "d4", "d5"]
            assert {name for name, _ in _found(store.query(matrix[:1], 99))} == set(expected)
            store.add([make_entry("d0", matrix[:3])])
            assert _found(store.query(matrix[:1], 1)) == [("d0/1/0", _near(1.0))]

    # Searching

    def test_vector_search_equals_a_brute_force_in_float64(self, tmp_path: Path) -> None:
        """Under every metric, one by one and in a batch, after deletions too."""
        for metric in SimilarityMode:
            folder = tmp_path / metric.value
            folder.mkdir()
            with self.filled(folder, 60, metric=metric) as (store, matrix):
                if not store.capabilities.exact:
                    continue
                store.delete([f"d{n}" for n in range(0, 60, 4)])
                kept = [row for row in range(180) if (row // 3) % 4]
                queries = self.vectors(5, seed=2)
                answers = store.query(queries, 10)
                for query, answer in zip(queries, answers, strict=True):
                    scores = brute_force(matrix[kept], query, metric)
                    best = np.argsort(-scores, kind="stable")[:10]
                    assert answer.engine == "exact"
                    assert [name for name, _ in _found([answer])] == [
                        f"d{kept[at] // 3}/1/{kept[at] % 3}" for at in best
                    ]
                    found = [score for _, score in _found([answer])]
                    assert np.allclose(found, scores[best], rtol=0, atol=1e-6)
                    assert _found(store.query(query[None], 10)) == _found([answer])

    def test_equal_vectors_come_in_the_order_of_writing(self, tmp_path: Path) -> None:
        """Also when they are more than were asked for."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            row = self.vectors(1)
            store.add([make_entry(f"t{n}", row) for n in range(9)])
            store.upsert([make_entry("t2", row, version=2)])
            order = [f"t{n}/1/0" for n in (0, 1, 3, 4, 5, 6, 7, 8)] + ["t2/2/0"]
            assert [name for name, _ in _found(store.query(row, 9))] == order
            assert [name for name, _ in _found(store.query(row, 4))] == order[:4]

    def test_extreme_vectors_are_ranked_right(self, tmp_path: Path) -> None:
        """Zeros, tiny and huge numbers neither overflow nor disappear."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            one = np.abs(self.vectors(1)) + 0.5
            store.add(
                [
                    make_entry("zero", 0 * one), make_entry("far", -one),
                    make_entry("huge", one * np.float32(1e38 / one.max())),
                    make_entry("tiny", one * np.float32(1e-38)),
                ]
            )  # fmt: skip
            ids = [name.partition("/")[0] for name, _ in _found(store.query(one, 4))]
            assert sorted(ids[:2]) == ["huge", "tiny"]
            assert ids[2:] == ["zero", "far"]
            scores = [score for _, score in _found(store.query(one, 4))]
            assert np.allclose(scores, [1, 1, 0, -1], atol=1e-5)
            assert [score for _, score in _found(store.query(0 * one, 4))] == [0, 0, 0, 0]

    def test_top_k_is_a_positive_whole_number(self, tmp_path: Path) -> None:
        """0, −1 and 1.5 are refused; more than there are gives all."""
        with self.filled(tmp_path, 1) as (store, matrix):
            bad: Any
            for bad in (0, -1, 1.5, True, None):
                _raises(ConfigError, lambda bad=bad: store.query(matrix[:1], bad))
            assert len(store.query(matrix[:1], 10**6)[0].nodes) == 3
            assert store.query(matrix[:0], 3) == []

    def test_a_bad_query_is_refused(self, tmp_path: Path) -> None:
        """Vectors of another length, NaN, no vectors, an unknown mode."""
        with self.filled(tmp_path, 1) as (store, matrix):
            mode: Any = "colour"
            _raises(
                DimensionMismatchError, lambda: store.query(np.ones((1, DIM + 1), np.float32), 1)
            )
            _raises(InvalidVectorsError, lambda: store.query(matrix[:1] * np.float32(np.nan), 1))
            _raises(ConfigError, lambda: store.query(None, 1))
            _raises(ConfigError, lambda: store.query(matrix[:1], 1, mode=mode))

    def test_filters_narrow_a_search(self, tmp_path: Path) -> None:
        """The best of those that satisfy the conditions, not those among the best."""
        conditions = MetadataFilters(
            [MetadataFilter("n", 3, "<"), MetadataFilters([MetadataFilter("n", 1)], "not")]  # type: ignore[arg-type]
        )
        with self.filled(tmp_path, 8) as (store, matrix):
            if not store.capabilities.filters:
                _raises(NotSupportedError, lambda: store.query(matrix[:1], 3, filters=conditions))
                return
            found = _found(store.query(matrix[20:21], 99, filters=conditions))
            assert {name for name, _ in found} == {*_ids("d0", 3), *_ids("d2", 3)}
            assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)
            nothing = MetadataFilters([MetadataFilter("?", 1)])
            assert store.query(matrix[:1], 3, filters=nothing)[0].nodes == []

    def test_words_find_texts(self, tmp_path: Path) -> None:
        """By BM25; nothing a user types is an operator; replaced texts are forgotten."""
        with self.filled(tmp_path, 4) as (store, _):
            if not store.capabilities.text_search:
                _raises(NotSupportedError, lambda: store.query(None, 3, mode="text", texts=["d1"]))
                return
            (found, none) = store.query(None, 9, mode="text", texts=["d1 piece", "absent"])
            assert found.engine == "text"
            assert {name for name, _ in _found([found])[:3]} == set(_ids("d1", 3))
            assert none.nodes == []
            for odd in (
                '"',
                "AND",
                "NEAR(d1",
                "text:x",
                "*",
                "^",
                "-",
                "\x00",
                "",
                "d1 OR",
                "'; --",
            ):
                store.query(None, 3, mode="text", texts=[odd])
            store.upsert([make_entry("d1", self.vectors(1), version=2)])
            assert _texts(store, "d1") == ["d1 piece 0 version 2"]
            store.delete(["d1"])
            assert _texts(store, "d1") == []
            if store.capabilities.filters:
                only = MetadataFilters([MetadataFilter("n", 2)])
                (found,) = store.query(None, 99, mode="text", texts=["piece"], filters=only)
                assert {name for name, _ in _found([found])} == set(_ids("d2", 3))

    # Lasting

    def test_a_persistent_store_opens_as_it_was_closed(self, tmp_path: Path) -> None:
        """The same nodes, vectors, answers and header; another store starts new."""
        with self.filled(tmp_path) as (store, matrix):
            persistent = store.capabilities.persistent
            store.upsert([make_entry("d3", matrix[:2], version=2)])
            nodes = [(node, vector.tobytes()) for node, vector in store.nodes()]
            header, answers = store.header, _found(store.query(matrix[:3], 7))
            store.close()
            store.close()
        with closing(self.open_store(tmp_path)) as store:
            if not persistent:
                assert store.count() == 0
                return
            assert store.header == header
            assert [(node, vector.tobytes()) for node, vector in store.nodes()] == nodes
            assert _found(store.query(matrix[:3], 7)) == answers

    def test_the_facts_of_a_store_are_told(self, tmp_path: Path) -> None:
        """Documents, nodes, size and the time of the last change."""
        with closing(self.open_store(tmp_path)) as store:
            assert (store.info().documents, store.info().nodes) == (0, 0)
        with self.filled(tmp_path, 5) as (store, _):
            store.delete_nodes(["d0/1/0"])
            info = store.info()
            assert (info.documents, info.nodes, info.header) == (5, 14, store.header)
            assert info.size_bytes >= 14 * DIM * 4
            assert info.changed_at is not None

    def test_threads_may_share_a_store(self, tmp_path: Path) -> None:
        """Readers see whole documents only, while others are written."""
        torn: list[str] = []
        stop = threading.Event()
        with self.filled(tmp_path, 4) as (store, matrix):

            def read() -> None:
                while not stop.is_set():
                    names = [name for name, _ in _found(store.query(matrix[:1], 1000))]
                    versions = {name.rpartition("/")[0] for name in names if name.startswith("x/")}
                    pieces = sum(name.startswith("x/") for name in names)
                    if len(versions) > 1 or pieces not in {0, 5}:
                        torn.extend(names)

            readers = [threading.Thread(target=read) for _ in range(2)]
            for reader in readers:
                reader.start()
            try:
                for version in range(30):
                    rows = self.vectors(5, seed=version)
                    store.upsert([make_entry("x", rows, version=version)])
            finally:
                stop.set()
                for reader in readers:
                    reader.join()
            assert torn == []
            assert store.count() == 17


def _raises(kind: Any, call: Any) -> str:
    """Give the message of the error that a call raises."""
    try:
        call()
    except kind as error:
        return str(error)
    message = f"Expected {kind}, but nothing was raised."
    raise AssertionError(message)


def _near(score: float) -> Any:
    class Near(float):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, float) and abs(other - score) < 1e-6  # noqa: PLR2004

        __hash__ = float.__hash__

    return Near(score)


def _found(answers: Sequence[Found]) -> list[tuple[str, float]]:
    return [(hit.node.id, hit.score) for answer in answers for hit in answer.nodes]


def _ids(name: str, pieces: int) -> list[str]:
    return [f"{name}/1/{piece}" for piece in range(pieces)]


def _single(document_id: str, node_id: str, vector: NDArray[np.float32]) -> Entry:
    return Entry(document_id, "h", [Node(text="t", id=node_id, document_id=document_id)], vector)


def _texts(store: VectorStore, words: str) -> list[str]:
    return [hit.text for hit in store.query(None, 99, mode="text", texts=[words])[0].nodes]
