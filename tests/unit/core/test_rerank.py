"""What was found is put into a reranker's order; names lead to rerankers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nearfield.core import Document, QueryBundle, VectorStoreIndex
from nearfield.core.registry import RERANKERS, Registered
from nearfield.core.rerank import resolve_reranker
from nearfield.errors import ConfigError, InvalidVectorsError, UnknownProviderError
from nearfield.testing.fake import FakeEmbedding, FakeReranker

QUESTION = "red planet dust"
TEXTS = ["red dust", "dust of a planet, red", "ice", "red", "rings of ice", "planet and dust"]


@pytest.fixture
def index():
    documents = [Document(text, id=f"d{number}") for number, text in enumerate(TEXTS)]
    return VectorStoreIndex.from_documents(documents, embed_model=FakeEmbedding())


class Broken(FakeReranker):
    """Gives what it was told to give."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def rerank(self, query, texts):
        return self.scores


def test_the_reranker_has_the_last_word(index):
    found = index.as_retriever(3, rerank=FakeReranker()).retrieve(QUESTION)

    assert found[0].text == TEXTS[1]
    assert [round(node.score, 2) for node in found] == [1.0, 0.67, 0.67]


def test_it_reads_as_many_candidates_as_asked_and_never_fewer_than_are_wanted(index):
    reranker = FakeReranker()
    index.as_retriever(2, rerank=reranker, rerank_candidates=4).retrieve(QUESTION)
    index.as_retriever(5, rerank=reranker, rerank_candidates=1).retrieve(QUESTION)

    assert reranker.asked == [(QUESTION, 4), (QUESTION, 5)]


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid", "mmr"])
def test_every_mode_can_be_reranked(index, mode):
    found = index.as_retriever(2, mode=mode, rerank=FakeReranker()).retrieve(QUESTION)

    assert found[0].text == TEXTS[1]
    assert found[0].score == 1.0


def test_what_answered_names_the_reranking(index):
    retriever = index.as_retriever(rerank=FakeReranker())

    assert retriever.search([QUESTION])[0].engine.endswith("+rerank")
    assert "FakeReranker" in repr(retriever)


def test_the_coroutines_give_the_same(index):
    retriever = index.as_retriever(3, rerank=FakeReranker())
    engine = index.as_query_engine(similarity_top_k=2, rerank=FakeReranker())

    assert asyncio.run(retriever.aretrieve(QUESTION)) == retriever.retrieve(QUESTION)
    assert asyncio.run(engine.aquery(QUESTION)).response == engine.query(QUESTION).response


def test_an_answer_is_made_of_what_the_reranker_chose(index):
    response = index.as_query_engine(similarity_top_k=1, rerank=FakeReranker()).query(QUESTION)

    assert [node.text for node in response.source_nodes] == [TEXTS[1]]


def test_a_cutoff_is_on_the_rerankers_score(index):
    found = index.as_retriever(6, rerank=FakeReranker(), score_cutoff=0.5).retrieve(QUESTION)

    assert len(found) == 3
    assert all(node.score >= 0.5 for node in found)


def test_equal_scores_keep_the_order_of_the_search(index):
    plain = index.as_retriever(6).retrieve(QUESTION)
    level = index.as_retriever(6, rerank=Broken(np.zeros(6, np.float32))).retrieve(QUESTION)

    assert [node.node_id for node in level] == [node.node_id for node in plain]


@pytest.mark.parametrize("scores", [[1.0], [1.0, float("nan"), 0, 0, 0, 0]])
def test_scores_that_are_none_are_refused(index, scores):
    retriever = index.as_retriever(rerank=Broken(scores))

    with pytest.raises(InvalidVectorsError, match="reranker"):
        retriever.retrieve(QUESTION)


def test_a_question_without_text_cannot_be_reranked(index):
    retriever = index.as_retriever(rerank=FakeReranker())
    bundle = QueryBundle("", index.embed_model.encode(["x"])[0])

    with pytest.raises(ConfigError, match="without text"):
        retriever.retrieve(bundle)


def test_candidates_below_one_are_refused(index):
    with pytest.raises(ConfigError, match="rerank_candidates"):
        index.as_retriever(rerank=FakeReranker(), rerank_candidates=0)


def test_a_name_leads_to_a_reranker(monkeypatch):
    fake = Registered("nearfield.testing.fake:FakeReranker", "", "model_name")
    monkeypatch.setitem(RERANKERS, "local", fake)
    monkeypatch.setitem(RERANKERS, "fake", fake)

    for name in ("owner/model", "local:owner/model", "fake:owner/model"):
        assert resolve_reranker(name).model_name == "owner/model"


def test_an_unknown_provider_is_named():
    with pytest.raises(UnknownProviderError, match="Unknown reranker 'nosuch'"):
        resolve_reranker("nosuch:model")


@pytest.mark.parametrize("value", [None, 3, "", " ", FakeReranker, object()])
def test_what_is_no_reranker_is_refused(value):
    with pytest.raises(ConfigError, match="cannot be used as a reranker"):
        resolve_reranker(value)


def test_a_provider_without_a_model_is_refused():
    with pytest.raises(ConfigError, match="local:NAME"):
        resolve_reranker("local:")
