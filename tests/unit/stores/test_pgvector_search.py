"""How PostgreSQL answers: exactly, approximately when it says so, and by words."""

from contextlib import closing

import numpy as np
import pytest

from nearfield.core.filters import MetadataFilter, MetadataFilters
from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError
from nearfield.stores.pgvector import PGVectorStore, approximate
from nearfield.testing.store_contract import make_entry

pytestmark = pytest.mark.pgvector

DIM, DOCUMENTS, PIECES = 24, 60, 50


def clustered(rows, dim, seed):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((20, dim))
    noise = 0.5 * rng.standard_normal((rows, dim))
    return (centres[rng.integers(0, 20, rows)] + noise).astype(np.float32)


def documents(dim=DIM):
    matrix = clustered(DOCUMENTS * PIECES, dim, 5).reshape(DOCUMENTS, PIECES, dim)
    return [
        make_entry(f"d{n}", rows, metadata={"n": n, "even": n % 2 == 0})
        for n, rows in enumerate(matrix)
    ]


def answers(store, queries, k=10, **options):
    return [[hit.node.id for hit in found.nodes] for found in store.query(queries, k, **options)]


def recall(found, true):
    return sum(len({*a} & {*b}) for a, b in zip(found, true, strict=True)) / sum(map(len, true))


@pytest.fixture(scope="module", params=list(SimilarityMode), ids=lambda metric: metric.value)
def pair(request, postgres):
    """A store with an approximate index, and the brute force beside it."""
    header = Header("f", DIM, request.param)
    with closing(PGVectorStore(postgres, index="ann", ann_from_nodes=2_000)) as store:
        true = MemoryStore()
        for each in (store, true):
            each.initialize(header)
            each.add(documents()[:30])
        assert store.query(np.ones((1, DIM), np.float32), 1)[0].engine == "exact"
        for each in (store, true):
            each.add(documents()[30:])
        yield store, true
        store.drop()


QUERIES = clustered(30, DIM, 6)


def test_above_the_stated_size_the_approximate_index_answers_and_says_so(pair):
    store, true = pair
    found = store.query(QUERIES, 10)
    assert {one.engine for one in found} == {"hnsw"}
    assert recall(answers(store, QUERIES), answers(true, QUERIES)) >= 0.95
    exact = {hit.node.id: hit.score for hit in true.query(QUERIES[:1], 3000)[0].nodes}
    assert [hit.score for hit in found[0].nodes] == [exact[hit.node.id] for hit in found[0].nodes]


def test_filters_leave_the_best_of_what_they_allow(pair, monkeypatch):
    """By a scan where they leave little, else by an index that looks on until it has enough."""
    store, true = pair
    even = MetadataFilters([MetadataFilter("even", True)])
    for few, engine in ((10_000, "exact"), (100, "hnsw")):
        monkeypatch.setattr(approximate, "FEW_MATCHES", few)
        found = store.query(QUERIES, 10, filters=even)
        assert {one.engine for one in found} == {engine}
        assert all(hit.metadata["even"] for one in found for hit in one.nodes)
        wanted = answers(true, QUERIES, filters=even)
        assert recall(answers(store, QUERIES, filters=even), wanted) >= 0.95


def test_more_than_the_index_can_give_is_found_by_a_scan(pair):
    store, true = pair
    (found,) = store.query(QUERIES[:1], 1001)
    assert found.engine == "exact"
    assert answers(store, QUERIES[:1], 1001) == answers(true, QUERIES[:1], 1001)


def test_the_index_follows_what_is_written(pair):
    store, _ = pair
    row = 3 * QUERIES[:1]
    store.upsert([make_entry("new", row), make_entry("huge", row * np.float32(1e30))])
    found = store.query(row, 10)[0]
    assert found.engine == "hnsw"
    assert {"new/1/0", "huge/1/0"} & {hit.node.id for hit in found.nodes}
    assert store.delete(["new", "huge"]) == 2
    assert "new/1/0" not in answers(store, row)[0]


def test_long_vectors_are_indexed_by_halves_and_scored_whole(postgres):
    dim = 2_100
    entries = [make_entry(f"d{n}", clustered(20, dim, n)) for n in range(10)]
    with closing(PGVectorStore(postgres, index="halves", ann_from_nodes=None)) as store:
        true = MemoryStore()
        for each in (store, true):
            each.initialize(Header("f", dim))
            each.add(entries)
        store.build_ann()
        query = clustered(5, dim, 99)
        assert [one.engine for one in store.query(query, 5)] == ["hnsw"] * 5
        scores = [hit.score for hit in store.query(query, 1)[0].nodes]
        assert scores == [hit.score for hit in true.query(query, 1)[0].nodes]
        store.drop()


def test_vectors_too_long_for_an_index_are_searched_exactly(postgres):
    with closing(PGVectorStore(postgres, index="long", ann_from_nodes=1)) as store:
        store.initialize(Header("f", 5_000))
        store.add([make_entry("a", clustered(3, 5_000, 1))])
        assert store.query(clustered(1, 5_000, 2), 2)[0].engine == "exact"
        store.drop()
    with closing(PGVectorStore(postgres, index="long")) as store:
        with pytest.raises(ConfigError, match="16000"):
            store.initialize(Header("f", 16_001))
        store.drop()


def test_many_equal_vectors_are_all_weighed(postgres):
    """More ties than were fetched at first: the order of writing still decides."""
    with closing(PGVectorStore(postgres, index="ties")) as store:
        store.initialize(Header("f", 4))
        store.add([make_entry(f"d{n}", np.ones((100, 4))) for n in range(5)])
        query = np.ones((1, 4), np.float32)
        assert answers(store, query, 150)[0] == [
            *[f"d0/1/{n}" for n in range(100)],
            *[f"d1/1/{n}" for n in range(50)],
        ]
        store.drop()


TEXTS = {
    "cats": "The cat sat. Cats purr, and kittens will be cats.",
    "dog": "A dog barks at the cat at night; cafés are closed.",
    "chinese": "我们在北京大学学习中文。",
    "japanese": "東京の天気は晴れです。",
    "code": "call foo_bar(x) with e-mail a@b.example and http://example.org/path",
    "none": "§§§ --- !!!",
}


@pytest.fixture(scope="module")
def worded(postgres):
    with closing(PGVectorStore(postgres, index="words")) as store:
        store.initialize(Header("f", 2))
        store.add(
            [
                Entry(name, "h", [Node(text=text, id=name, document_id=name)], np.ones((1, 2)))
                for name, text in TEXTS.items()
            ]
        )
        yield store
        store.drop()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("CAT", ["cats", "dog"]),
        ("barking", ["dog"]),
        ("cafe", ["dog"]),
        ("the", ["cats", "dog"]),
        ("北京", ["chinese"]),
        ("京大", ["chinese"]),
        ("京", ["japanese", "chinese"]),
        ("北学", []),
        ("foo", ["code"]),
        ("example", ["code"]),
        ("path", ["code"]),
        ("!!!", []),
        ("", []),
        ("absent & cat | <-> :*", ["cats", "dog"]),
    ],
)
def test_words_are_found_by_stem_without_case_and_accents_in_any_script(worded, question, expected):
    (found,) = worded.query(None, 9, mode="text", texts=[question])
    assert [hit.node.id for hit in found.nodes] == expected


def test_the_score_by_words_is_that_of_bm25(worded):
    (found,) = worded.query(None, 9, mode="text", texts=["dog"])
    with worded._connections.reading() as connection:
        lengths = dict(
            connection.execute("SELECT id, length FROM words JOIN nodes USING (row)").fetchall()
        )
    mean = sum(lengths.values()) / len(lengths)
    weight = np.log((len(TEXTS) - 1 + 0.5) / (1 + 0.5))
    expected = weight * (1.2 + 1) / (1 + 1.2 * (1 - 0.75 + 0.75 * lengths["dog"] / mean))
    assert found.nodes[0].score == pytest.approx(expected)


def test_a_text_of_megabytes_is_kept_whole_and_found_by_its_first_words(postgres):
    text = "first " + " ".join(f"w{n}" for n in range(400_000)) + "\x00" + "x" * 100_000
    with closing(PGVectorStore(postgres, index="large")) as store:
        store.initialize(Header("f", 2))
        node = Node(text=text, id="n" * 10_000, document_id="d" * 10_000)
        store.add([Entry(node.document_id, "h", [node], np.ones((1, 2), np.float32))])
        (found,) = store.query(None, 1, mode="text", texts=["first"])
        assert found.nodes[0].text == text
        store.drop()


def test_damage_is_seen(postgres):
    with closing(PGVectorStore(postgres, index="damaged")) as store:
        store.initialize(Header("f", 2))
        store.add([make_entry("a", np.ones((2, 2))), make_entry("b", np.ones((2, 2)))])
        assert store.verify() == []
        with store._connections.writing() as connection:
            connection.execute("DELETE FROM documents WHERE id = 'a'")
            connection.execute("DELETE FROM words WHERE row = (SELECT max(row) FROM words)")
        assert {problem.part for problem in store.verify()} == {"nodes", "documents"}
        store.drop()
