"""``--rerank`` on the commands that search."""

from __future__ import annotations

import json

import pytest

from nearfield.cli.main import run as nearfield
from nearfield.core import Document, VectorStoreIndex
from nearfield.core.registry import EMBEDDINGS, RERANKERS, Registered

QUESTION = "red planet dust"
TEXTS = {"a": "red dust", "b": "rings of ice", "c": "dust of the planet, and red"}


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.setitem(
        EMBEDDINGS, "fake", Registered("nearfield.testing.fake:FakeEmbedding", "", "model_name")
    )
    monkeypatch.setitem(
        RERANKERS, "fake", Registered("nearfield.testing.fake:FakeReranker", "", "model_name")
    )
    path = tmp_path / "my.index"
    documents = [Document(text, id=name) for name, text in TEXTS.items()]
    VectorStoreIndex.from_documents(documents, embed_model="fake:one", path=path).close()
    return path


@pytest.fixture
def run(capsys):
    def given(*arguments):
        code = nearfield([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return json.loads(shown.out)

    return given


def test_search_gives_the_rerankers_order_and_scores(index, run):
    shared = ("search", QUESTION, "--index", index, "--model", "fake:one", "--json")
    found = run(*shared, "--rerank", "fake:judge")

    assert found["engine"] == "exact+rerank"
    assert found["results"][0]["document_id"] == "c"
    assert found["results"][0]["score"] == 1.0


def test_ask_answers_from_what_the_reranker_chose(index, run):
    shared = ("ask", QUESTION, "--index", index, "--model", "fake:one", "--json", "-k", "1")
    answer = run(*shared, "--rerank", "fake:judge")

    assert [source["document_id"] for source in answer["sources"]] == ["c"]


def test_eval_scores_the_reranked_order(index, tmp_path, run):
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "1", "text": QUESTION}))
    (tmp_path / "qrels.tsv").write_text("1\tc\t1\n")
    shared = ("eval", "--queries", tmp_path / "queries.jsonl", "--qrels", tmp_path / "qrels.tsv")
    shared += ("--index", index, "--model", "fake:one", "--mode", "vector", "--json")

    found = run(*shared, "--rerank", "fake:judge")

    assert found["rerank"] == "fake:judge"
    assert found["scores"]["vector"]["ndcg_at_10"] == 1.0
