"""Our models in LlamaIndex, LlamaIndex's in ours."""

from __future__ import annotations

import asyncio
import copy
import pickle

import numpy as np
import pytest
from llama_index.core import MockEmbedding
from llama_index.core import VectorStoreIndex as LlamaIndexIndex
from llama_index.core.base.embeddings.base import BaseEmbedding as LlamaIndexBase
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.schema import TextNode as LlamaIndexNode

from nearfield.adapters.llama_index import LlamaIndexAdapter
from nearfield.core import Document, Settings, VectorStoreIndex
from nearfield.embeddings.llama_index import LlamaIndexEmbedding
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.llama_index

TEXTS = [
    "Mars is the red planet",
    "Venus is a hot planet",
    "Bread needs flour and water",
    "Cake needs sugar, flour and eggs",
    "A planet moves around a star",
]


def test_the_adapter_is_what_llama_index_asks_for():
    model, adapter = FakeEmbedding(), LlamaIndexAdapter(FakeEmbedding())
    assert isinstance(adapter, LlamaIndexBase)
    assert adapter.get_text_embedding_batch(TEXTS) == model.get_text_embedding_batch(TEXTS)
    assert adapter.get_text_embedding("a") == model.get_text_embedding("a")
    assert adapter.get_query_embedding("red?") == model.get_query_embedding("red?")
    assert adapter.model_name == model.model_name


def test_its_coroutines_give_the_same():
    adapter = LlamaIndexAdapter(FakeEmbedding())

    async def ask():
        return (
            await adapter.aget_text_embedding_batch(TEXTS),
            await adapter.aget_text_embedding("a"),
            await adapter.aget_query_embedding("red?"),
        )

    batch, text, query = asyncio.run(ask())
    assert batch == adapter.get_text_embedding_batch(TEXTS)
    assert text == adapter.get_text_embedding("a")
    assert query == adapter.get_query_embedding("red?")


def test_llama_indexs_cache_of_ingestion_knows_models_of_one_name_apart():
    cache, node = IngestionCache(), LlamaIndexNode(text="Mars is the red planet")

    def embedded(dim):
        adapter = LlamaIndexAdapter(FakeEmbedding(dim=dim))
        pipeline = IngestionPipeline(transformations=[adapter], cache=cache)
        return pipeline.run(nodes=[node.model_copy()])[0].embedding

    assert [len(embedded(dim)) for dim in (8, 16, 8)] == [8, 16, 8]


def test_a_pickled_adapter_and_a_copy_hold_the_model():
    adapter = LlamaIndexAdapter(FakeEmbedding(dim=8))
    for again in (pickle.loads(pickle.dumps(adapter)), copy.deepcopy(adapter)):
        assert again.get_text_embedding("a") == adapter.get_text_embedding("a")
        assert again.to_dict() == adapter.to_dict()


def test_llama_indexs_own_store_finds_the_neighbours_our_index_finds():
    model = FakeEmbedding()
    nodes = [LlamaIndexNode(text=text) for text in TEXTS]
    theirs = LlamaIndexIndex(nodes, embed_model=LlamaIndexAdapter(model))
    ours = VectorStoreIndex.from_documents([Document(text) for text in TEXTS], embed_model=model)
    for query in ("which planet is red", "what is in a cake", "flour", "stars and planets"):
        found = theirs.as_retriever(similarity_top_k=4).retrieve(query)
        expected = ours.as_retriever(similarity_top_k=4).retrieve(query)
        assert [node.text for node in found] == [node.text for node in expected]
        np.testing.assert_allclose(
            [node.score for node in found], [node.score for node in expected], atol=1e-5
        )


def test_a_model_of_llama_index_can_be_set_as_it_is():
    Settings.embed_model = MockEmbedding(embed_dim=5)
    model = Settings.embed_model
    assert isinstance(model, LlamaIndexEmbedding)
    assert model.get_text_embedding("a") == [0.5] * 5
    assert asyncio.run(model.aget_query_embedding("a")) == [0.5] * 5
    assert model.model_name == "MockEmbedding"


def test_a_model_goes_there_and_back_unchanged():
    model = FakeEmbedding()
    back = LlamaIndexEmbedding(LlamaIndexAdapter(model))
    np.testing.assert_array_equal(back.encode(TEXTS), model.encode(TEXTS))


def test_a_key_in_the_object_shows_nowhere():
    class Keyed(MockEmbedding):
        api_key: str = "hidden-key"

    model = LlamaIndexEmbedding(Keyed(embed_dim=3))
    assert "hidden-key" not in repr(model) + model.fingerprint
    other = LlamaIndexEmbedding(Keyed(embed_dim=4))
    assert model.fingerprint != other.fingerprint


@pytest.mark.parametrize("wrong", [object(), MockEmbedding, "text", None])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ConfigError, match="get_text_embedding_batch"):
        LlamaIndexEmbedding(wrong)
