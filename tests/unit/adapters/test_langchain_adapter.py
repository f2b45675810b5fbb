"""Our models in LangChain, LangChain's in ours."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from nearfield.adapters.langchain import LangChainAdapter
from nearfield.core import Document, Settings, VectorStoreIndex
from nearfield.core.embeddings import resolve_embed_model
from nearfield.embeddings.langchain import LangchainEmbedding
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.langchain

TEXTS = [
    "Mars is the red planet",
    "Venus is a hot planet",
    "Bread needs flour and water",
    "Cake needs sugar, flour and eggs",
    "A planet moves around a star",
]


def test_the_adapter_is_what_langchain_asks_for():
    adapter = LangChainAdapter(FakeEmbedding())
    assert isinstance(adapter, Embeddings)
    model = FakeEmbedding()
    assert adapter.embed_documents(TEXTS) == model.get_text_embedding_batch(TEXTS)
    assert adapter.embed_query("red?") == model.get_query_embedding("red?")


def test_its_coroutines_give_the_same():
    adapter = LangChainAdapter(FakeEmbedding())

    async def ask():
        return await adapter.aembed_documents(TEXTS), await adapter.aembed_query("red?")

    documents, query = asyncio.run(ask())
    assert documents == adapter.embed_documents(TEXTS)
    assert query == adapter.embed_query("red?")


def test_langchains_own_store_finds_the_neighbours_our_index_finds():
    model = FakeEmbedding()
    store = InMemoryVectorStore(LangChainAdapter(model))
    store.add_documents([LangChainDocument(page_content=text) for text in TEXTS])
    index = VectorStoreIndex.from_documents([Document(text) for text in TEXTS], embed_model=model)
    retriever = index.as_retriever(similarity_top_k=4)
    for query in ("which planet is red", "what is in a cake", "flour", "stars and planets"):
        theirs = store.similarity_search_with_score(query, k=4)
        ours = retriever.retrieve(query)
        assert [document.page_content for document, _ in theirs] == [node.text for node in ours]
        np.testing.assert_allclose(
            [score for _, score in theirs], [node.score for node in ours], atol=1e-5
        )


class Foreign:
    """LangChain's two methods and nothing of LangChain."""

    def __init__(self, name="foreign", api_key="hidden"):
        self.model_name = name
        self.api_key = api_key
        self.calls = []

    def embed_documents(self, texts):
        self.calls.append(len(texts))
        return [[float(len(text)), 1.0] for text in texts]

    def embed_query(self, text):
        return [float(len(text)), 2.0]


def test_an_object_of_langchain_can_be_set_as_it_is():
    Settings.embed_model = DeterministicFakeEmbedding(size=8)
    model = Settings.embed_model
    assert isinstance(model, LangchainEmbedding)
    assert model.encode(["a"]).shape == (1, 8)


def test_so_can_anything_with_its_two_methods():
    model = resolve_embed_model(Foreign())
    assert model.get_text_embedding("abc") == [3, 1]
    assert model.get_query_embedding("abc") == [3, 2]
    assert asyncio.run(model.aget_query_embedding("abc")) == [3, 2]
    assert model.model_name == "foreign"


def test_texts_are_handed_over_in_batches():
    foreign = Foreign()
    LangchainEmbedding(foreign, embed_batch_size=2).encode(["a", "b", "c"])
    assert foreign.calls == [2, 1]


def test_its_own_coroutines_are_used():
    class Asynchronous(Foreign):
        async def aembed_documents(self, texts):
            return [[9.0, 9.0] for _ in texts]

        async def aembed_query(self, text):
            return [8.0, 8.0]

    model = LangchainEmbedding(Asynchronous())
    assert asyncio.run(model.aget_text_embedding("a")) == [9, 9]
    assert asyncio.run(model.aget_query_embedding("a")) == [8, 8]


def test_the_fingerprint_tells_models_apart_and_holds_no_key():
    one = LangchainEmbedding(Foreign("one")).fingerprint
    assert one == LangchainEmbedding(Foreign("one", api_key="other")).fingerprint
    assert one != LangchainEmbedding(Foreign("two")).fingerprint
    assert "hidden" not in one


def test_settings_that_change_vectors_are_in_the_fingerprint_and_others_are_not():
    def fingerprint(**settings):
        foreign = Foreign()
        vars(foreign).update(settings)
        return LangchainEmbedding(foreign).fingerprint

    assert fingerprint(dimensions=8) != fingerprint(dimensions=16)
    assert fingerprint(encode_kwargs={"normalize": True}) != fingerprint()
    assert fingerprint(show_progress=True, chunk_size=9, _private=1) == fingerprint()


def test_a_dictionary_of_settings_counts_for_what_changes_vectors_in_it():
    """As that of sentence-transformers' options, in which a batch size and a key often stand."""

    def fingerprint(**options):
        foreign = Foreign()
        foreign.encode_kwargs = options
        return LangchainEmbedding(foreign).fingerprint

    one = fingerprint(normalize_embeddings=True, batch_size=32, token="hidden", device=object())
    assert one != fingerprint(normalize_embeddings=False, batch_size=32)
    assert one == fingerprint(normalize_embeddings=True, batch_size=64)
    assert fingerprint(steps=[{"size": 1}]) != fingerprint(steps=[{"size": 2}])


def test_a_name_given_here_tells_apart_what_looks_alike():
    foreign = Foreign()
    alone = LangchainEmbedding(foreign).fingerprint
    named = {LangchainEmbedding(foreign, model_name=name).fingerprint for name in ("one", "two")}
    assert len({alone, *named}) == 3
    assert LangchainEmbedding(foreign, model_name="foreign").fingerprint == alone


@pytest.mark.parametrize("wrong", [object(), Foreign, "text", None])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ConfigError, match="embed_documents"):
        LangchainEmbedding(wrong)
