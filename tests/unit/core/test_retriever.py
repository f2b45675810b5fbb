"""Questions to nodes, in every mode and with every option."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.core import (
    MemoryStore,
    MetadataFilter,
    MetadataFilters,
    Node,
    QueryBundle,
    VectorStoreIndex,
)
from nearfield.core.store import Capabilities
from nearfield.core.vectors import similarity
from nearfield.errors import ConfigError, DimensionMismatchError, NotSupportedError
from nearfield.testing.fake import FakeEmbedding

WORDS = ["red", "green", "iron", "dust", "ring", "ice", "moon", "cloud", "storm", "acid", "gas"]


def some_nodes(count=60, documents=6):
    random = np.random.default_rng(3)
    return [
        Node(
            " ".join(random.choice(WORDS, 5)) + f" number{n}",
            id=f"n{n}",
            document_id=f"d{n % documents}",
            metadata={"even": n % 2 == 0, "n": n},
        )
        for n in range(count)
    ]


@pytest.fixture
def model():
    return FakeEmbedding(dim=128)


@pytest.fixture
def index(model):
    return VectorStoreIndex(some_nodes(), embed_model=model)


def names(found):
    return [each.node.id for each in found]


def by_brute_force(index, question):
    """Give the score of every node by its id."""
    stored = list(index.store.nodes())
    query = index.embed_model.encode([question], input_type="query")
    scores = similarity(query, np.stack([vector for _, vector in stored]))[0]
    return {node.id: float(score) for (node, _), score in zip(stored, scores, strict=True)}


def best(scores, count):
    return pytest.approx(sorted(scores, reverse=True)[:count], abs=1e-6)


def test_the_nearest_come_first_with_their_scores(index):
    expected = by_brute_force(index, "red iron dust")

    found = index.as_retriever(similarity_top_k=7).retrieve("red iron dust")

    assert [each.score for each in found] == best(expected.values(), 7)
    assert [each.score for each in found] == [
        pytest.approx(expected[each.node.id], abs=1e-6) for each in found
    ]


def test_two_come_back_unless_more_are_asked_for(index):
    assert len(index.as_retriever().retrieve("moon")) == 2
    assert len(index.as_retriever(similarity_top_k=1000).retrieve("moon")) == 60


def test_many_questions_are_embedded_in_one_call_and_scanned_in_one(index, model):
    calls = []

    class Watched(FakeEmbedding):
        def encode(self, texts, **options):
            calls.append(list(texts))
            return super().encode(texts, **options)

    scans = []
    query = index.store.query
    index.store.query = lambda vectors, *a, **k: (
        scans.append(len(vectors)) or query(vectors, *a, **k)
    )
    retriever = index.as_retriever(similarity_top_k=3, embed_model=Watched(dim=128))
    questions = ["red moon", "acid cloud", "gas giant"]

    together = retriever.retrieve_many(questions)

    assert calls == [questions]
    assert scans == [3]
    assert [names(found) for found in together] == [
        names(index.as_retriever(similarity_top_k=3).retrieve(question)) for question in questions
    ]


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid", "mmr"])
async def test_async_gives_what_sync_gives(index, mode):
    retriever = index.as_retriever(similarity_top_k=4, mode=mode)

    assert await retriever.aretrieve("red moon") == retriever.retrieve("red moon")
    many = ["red moon", "acid cloud"]
    assert await retriever.aretrieve_many(many) == retriever.retrieve_many(many)


def test_words_are_searched_by_words(index, model):
    paid = len(model.computed)
    retriever = index.as_retriever(similarity_top_k=1, mode="text")

    assert names(retriever.retrieve("number37")) == ["n37"]
    assert len(model.computed) == paid  # no vector is needed


def test_hybrid_fuses_both_rankings_by_rank(index):
    by_vector = names(index.as_retriever(similarity_top_k=100).retrieve("storm number12"))
    by_text = names(
        index.as_retriever(similarity_top_k=100, mode="text").retrieve("storm number12")
    )

    def score(name):
        return sum(1 / (61 + r.index(name)) for r in (by_vector, by_text) if name in r)

    found = index.as_retriever(similarity_top_k=5, mode="hybrid").retrieve("storm number12")

    assert [each.score for each in found] == pytest.approx(
        sorted((score(name) for name in by_vector), reverse=True)[:5]
    )


def test_mmr_gives_variety_where_copies_crowd_the_top(model):
    nodes = [Node("red iron dust", id=f"copy{n}", document_id=f"c{n}") for n in range(3)]
    nodes += [Node("red iron ring of ice", id="other")]
    index = VectorStoreIndex(nodes, embed_model=model)

    plain = names(index.as_retriever(similarity_top_k=2).retrieve("red iron"))
    varied = index.as_retriever(similarity_top_k=2, mode="mmr").retrieve("red iron")

    assert plain == ["copy0", "copy1"]
    assert names(varied) == ["copy0", "other"]
    assert varied[0].score > varied[1].score  # similarities, not the chooser's own numbers


def test_the_words_of_llama_index_are_understood(index):
    class Enum:
        value = "mmr"

    retriever = index.as_retriever(
        vector_store_query_mode=Enum(), vector_store_kwargs={"mmr_threshold": 1.0}
    )

    assert retriever.options.mode == "mmr"
    assert names(retriever.retrieve("moon")) == names(index.as_retriever().retrieve("moon"))
    assert index.as_retriever(vector_store_query_mode="default").options.mode == "vector"
    assert index.as_retriever(vector_store_query_mode="text_search").options.mode == "text"


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid", "mmr"])
def test_filters_hold_in_every_mode(index, mode):
    filters = MetadataFilters([MetadataFilter("even", value=True)])

    found = index.as_retriever(similarity_top_k=100, mode=mode, filters=filters).retrieve("moon")

    assert found
    assert all(each.metadata["even"] for each in found)


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid", "mmr"])
def test_only_the_documents_named_answer(index, mode):
    retriever = index.as_retriever(similarity_top_k=4, mode=mode, doc_ids=["d1", "d4"])

    found = retriever.retrieve("moon storm")

    assert len(found) == 4
    assert {each.node.document_id for each in found} <= {"d1", "d4"}


def test_the_best_of_the_documents_named_are_found_however_deep(index):
    expected = by_brute_force(index, "moon storm")

    found = index.as_retriever(similarity_top_k=3, doc_ids="d2").retrieve("moon storm")

    its = [score for name, score in expected.items() if int(name[1:]) % 6 == 2]
    assert [each.score for each in found] == best(its, 3)
    assert {each.node.document_id for each in found} == {"d2"}


def test_only_the_nodes_named_answer(index):
    found = index.as_retriever(similarity_top_k=5, node_ids=["n1", "n59", "gone"]).retrieve("moon")

    assert sorted(names(found)) == ["n1", "n59"]


def test_a_document_gives_no_more_nodes_than_allowed(index):
    found = index.as_retriever(similarity_top_k=6, nodes_per_document=1).retrieve("moon storm")

    assert len({each.node.document_id for each in found}) == 6


def test_a_cutoff_leaves_out_what_scores_less(index):
    everything = index.as_retriever(similarity_top_k=60).retrieve("moon storm")
    border = everything[4].score

    found = index.as_retriever(similarity_top_k=60, score_cutoff=border).retrieve("moon storm")

    assert names(found) == [each.node.id for each in everything if each.score >= border]


def test_a_question_may_bring_its_vector_and_is_not_written_to(index, model):
    vector = model.get_query_embedding("acid cloud")
    bundle, plain = QueryBundle("red moon", vector), QueryBundle("red moon")
    paid = len(model.computed)

    found = index.as_retriever().retrieve(bundle)

    assert len(model.computed) == paid
    assert names(found) == names(index.as_retriever().retrieve("acid cloud"))
    index.as_retriever().retrieve(plain)
    assert plain.embedding is None


def test_questions_with_and_without_vectors_mix(index, model):
    vector = model.get_query_embedding("acid cloud")

    found = index.as_retriever().retrieve_many(["red moon", QueryBundle("", vector), "gas giant"])

    expected = index.as_retriever().retrieve_many(["red moon", "acid cloud", "gas giant"])
    assert [names(each) for each in found] == [names(each) for each in expected]


def test_a_vector_of_another_length_is_refused(index):
    with pytest.raises(DimensionMismatchError):
        index.as_retriever().retrieve(QueryBundle("moon", [1.0, 2.0]))


def test_a_retriever_sees_what_is_inserted_later(index):
    retriever = index.as_retriever(similarity_top_k=1)
    index.insert_nodes([Node("a comet with a tail", id="comet")])

    assert names(retriever.retrieve("comet tail")) == ["comet"]


def test_an_empty_index_answers_with_nothing(model):
    for mode in ("vector", "text", "hybrid", "mmr"):
        retriever = VectorStoreIndex(embed_model=model).as_retriever(mode=mode)
        assert retriever.retrieve("anything") == []
        assert retriever.retrieve_many([]) == []


def test_every_answer_says_what_gave_it(index):
    for mode, engine in (
        ("vector", "exact"),
        ("text", "text"),
        ("hybrid", "exact+text"),
        ("mmr", "exact+mmr"),
    ):
        assert index.as_retriever(mode=mode).search(["moon"])[0].engine == engine


@pytest.mark.parametrize("question", ["", "  \n\t"])
@pytest.mark.parametrize("mode", ["vector", "text"])
def test_an_empty_question_is_refused(index, question, mode):
    with pytest.raises(ConfigError, match="question is empty"):
        index.as_retriever(mode=mode).retrieve(question)


@pytest.mark.parametrize("question", [None, 3, ["moon"]])
def test_what_is_no_question_is_a_type_error(index, question):
    with pytest.raises(TypeError, match="Expected a question"):
        index.as_retriever().retrieve(question)


def test_one_question_where_many_are_expected_is_a_type_error(index):
    with pytest.raises(TypeError, match=r"\[question\]"):
        index.as_retriever().retrieve_many("moon")


@pytest.mark.parametrize("top_k", [0, -1, 2.0, True, "3", None])
def test_a_number_of_results_that_makes_no_sense_is_refused(index, top_k):
    with pytest.raises(ConfigError, match="top_k"):
        index.as_retriever(similarity_top_k=top_k)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "svm"}, "Unknown search mode 'svm'"),
        ({"vector_store_query_mode": "sparse"}, "Unknown search mode"),
        ({"nodes_per_document": 0}, "nodes_per_document"),
        ({"nodes_per_document": 1.5}, "nodes_per_document"),
        ({"score_cutoff": "0.5"}, "score_cutoff"),
        ({"score_cutoff": float("nan")}, "score_cutoff"),
        ({"filters": "year > 2020"}, "Filters are"),
        ({"mmr_threshold": 1.5}, "mmr_threshold"),
        ({"vector_store_kwargs": {"nprobe": 3}}, "nprobe"),
    ],
)
def test_options_that_make_no_sense_are_refused(index, options, says):
    with pytest.raises(ConfigError, match=says):
        index.as_retriever(**options)


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_a_store_without_words_is_refused_when_the_retriever_is_made(model, mode):
    class Wordless(MemoryStore):
        capabilities = Capabilities(text_search=False)

    with pytest.raises(NotSupportedError, match="cannot search by words"):
        VectorStoreIndex(store=Wordless(), embed_model=model).as_retriever(mode=mode)


def test_it_says_what_it_is(index):
    assert repr(index.as_retriever(mode="hybrid")).startswith("Retriever(mode='hybrid'")


def test_an_unknown_option_is_named_beside_those_there_are(index):
    with pytest.raises(TypeError, match=r"no option 'alpha'.*score_cutoff"):
        index.as_retriever(3, alpha=0.5)
    with pytest.raises(TypeError, match="no option 'streaming'"):
        index.as_query_engine(streaming=True)
