"""Our models in Haystack."""

from __future__ import annotations

import asyncio

import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.core.errors import DeserializationError
from haystack.document_stores.in_memory import InMemoryDocumentStore

from nearfield.adapters.haystack import NearfieldDocumentEmbedder, NearfieldTextEmbedder
from nearfield.embeddings.bundled import FOLDER
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.haystack

TEXTS = ["Mars is the red planet", "Bread needs flour and water", "Venus is a hot planet"]


def test_documents_get_their_vectors_and_stay_as_they_were():
    documents = [Document(content=text) for text in TEXTS]
    made = NearfieldDocumentEmbedder(FakeEmbedding()).run(documents)["documents"]
    assert [one.embedding for one in made] == FakeEmbedding().get_text_embedding_batch(TEXTS)
    assert [one.embedding for one in documents] == [None] * 3
    assert [one.id for one in made] == [one.id for one in documents]


def test_the_coroutines_give_the_same():
    async def ask():
        texts = NearfieldTextEmbedder(FakeEmbedding())
        documents = NearfieldDocumentEmbedder(FakeEmbedding())
        return await texts.run_async("red"), await documents.run_async([Document(content="red")])

    text, documents = asyncio.run(ask())
    assert text["embedding"] == FakeEmbedding().get_query_embedding("red")
    assert documents["documents"][0].embedding == FakeEmbedding().get_text_embedding("red")


def test_a_pipeline_finds_the_right_document():
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    documents = [Document(content=text) for text in TEXTS]
    store.write_documents(NearfieldDocumentEmbedder(FakeEmbedding()).run(documents)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", NearfieldTextEmbedder(FakeEmbedding()))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    found = pipeline.run({"embedder": {"text": "which planet is red"}})
    assert found["retriever"]["documents"][0].content == TEXTS[0]


def test_a_pipelines_file_keeps_the_models_name():
    pipeline = Pipeline()
    pipeline.add_component("embedder", NearfieldTextEmbedder("local"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["nearfield.adapters.haystack"])
    embedder = again.get_component("embedder")
    assert embedder.model.fingerprint == NearfieldTextEmbedder().model.fingerprint


def test_a_model_without_a_name_cannot_be_kept():
    with pytest.raises(ConfigError, match="by its name"):
        NearfieldTextEmbedder(FakeEmbedding()).to_dict()


def test_a_model_whose_options_the_file_does_not_keep_is_told_when_it_is_read():
    """Its name alone would make a model of other vectors."""
    folder = str(FOLDER)
    pipeline = Pipeline()
    model = HuggingFaceEmbedding(folder, query_instruction="find: ")
    pipeline.add_component("embedder", NearfieldTextEmbedder(model))
    with pytest.raises(DeserializationError, match="options of its own"):
        Pipeline.loads(pipeline.dumps(), allowed_modules=["nearfield.adapters.haystack"])

    plain = NearfieldTextEmbedder(HuggingFaceEmbedding(folder))
    again = NearfieldTextEmbedder.from_dict(plain.to_dict())
    assert again.run("red") == plain.run("red")
