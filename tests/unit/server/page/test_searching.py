"""A question asked in several ways at once."""

import pytest

from nearfield import Document
from nearfield.core import VectorStoreIndex
from nearfield.core.schema import QueryBundle

pytestmark = pytest.mark.server

QUESTION = "Which planet is red?"
TEXTS = (
    "Mars is called the Red Planet.",
    "A red apple fell from the tree.",
    "Venus is the planet next to ours.",
    "Whales live in the sea.",
)


@pytest.fixture(scope="module")
def index():
    documents = [Document(text, id=str(number)) for number, text in enumerate(TEXTS * 8)]
    return VectorStoreIndex.from_documents(documents)


def asked(index, modes, top_k):
    from nearfield.server.page.searching import search_by

    vector = index.embed_model.encode([QUESTION], input_type="query")[0]
    return search_by(index, QueryBundle(QUESTION, vector), modes, top_k, None)


@pytest.mark.parametrize(
    "modes", [["vector"], ["text"], ["hybrid"], ["hybrid", "vector"], ["vector", "text", "hybrid"]]
)
@pytest.mark.parametrize("top_k", [1, 5, 50])
def test_each_way_finds_what_its_retriever_finds(index, modes, top_k):
    found = asked(index, modes, top_k)

    assert list(found) == modes
    for mode in modes:
        wanted = index.as_retriever(top_k, mode=mode).retrieve(QUESTION)
        assert [(each.node.id, each.score) for each in found[mode]] == [
            (each.node.id, each.score) for each in wanted
        ]


def test_both_is_fused_from_the_two_without_asking_anew(index, monkeypatch):
    queries = []
    query = index.store.query
    monkeypatch.setattr(
        index.store, "query", lambda *a, **k: queries.append(k["mode"]) or query(*a, **k)
    )

    asked(index, ["vector", "text", "hybrid"], 5)

    assert queries == ["vector", "text"]
