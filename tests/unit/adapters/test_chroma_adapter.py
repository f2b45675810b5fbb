"""Our models in Chroma."""

from __future__ import annotations

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings as ChromaSettings

from nearfield.adapters.chroma import ChromaAdapter
from nearfield.embeddings.bundled import FOLDER
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.chroma

TEXTS = ["Mars is the red planet", "Bread needs flour and water", "Venus is a hot planet"]


@pytest.fixture
def client(tmp_path):
    return chromadb.PersistentClient(
        str(tmp_path / "chroma"), settings=ChromaSettings(anonymized_telemetry=False)
    )


def test_questions_and_texts_are_embedded_each_in_their_way():
    adapter = ChromaAdapter(FakeEmbedding())
    np.testing.assert_array_equal(adapter(TEXTS), FakeEmbedding().encode(TEXTS))
    np.testing.assert_array_equal(
        adapter.embed_query(TEXTS), FakeEmbedding().encode(TEXTS, input_type="query")
    )


def test_a_collection_finds_the_right_text(client):
    collection = client.create_collection(
        "texts", embedding_function=ChromaAdapter(FakeEmbedding())
    )
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    found = collection.query(query_texts=["which planet is red"], n_results=1)
    assert found["documents"] == [[TEXTS[0]]]


def test_a_collection_opened_again_knows_its_model(client):
    client.create_collection("texts", embedding_function=ChromaAdapter("local")).add(
        ids=["a", "b", "c"], documents=TEXTS
    )
    found = client.get_collection("texts").query(query_texts=["planet that is red"], n_results=1)
    assert found["documents"] == [[TEXTS[0]]]


def test_a_model_whose_options_the_collection_does_not_keep_must_be_passed_again(client):
    """Its name alone would make a model of other vectors."""
    adapter = ChromaAdapter(HuggingFaceEmbedding(str(FOLDER), query_instruction="find: "))
    client.create_collection("texts", embedding_function=adapter).add(
        ids=["a", "b", "c"], documents=TEXTS
    )
    with pytest.raises(ConfigError, match=r"with options of its own.*embedding_function="):
        ChromaAdapter.build_from_config(adapter.get_config())
    with pytest.raises(ValueError, match="with options of its own"):
        client.get_collection("texts").query(query_texts=["red"])
    again = client.get_collection("texts", embedding_function=adapter)
    found = again.query(query_texts=["planet that is red"], n_results=1)
    assert found["documents"] == [[TEXTS[0]]]


def test_a_model_that_must_be_passed_again_is_not_replaced_by_chromas_own(client):
    client.create_collection("texts", embedding_function=ChromaAdapter(FakeEmbedding())).add(
        ids=["a", "b", "c"], documents=TEXTS
    )
    with pytest.raises(ValueError, match=r"a model of your own.*embedding_function="):
        client.get_collection("texts").query(query_texts=["red"])


def test_no_name_in_a_database_leads_to_a_remote_model(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with pytest.raises(ConfigError, match="embedding_function="):
        ChromaAdapter.build_from_config({"model": "openai:text-embedding-3-small"})
    with pytest.raises(ConfigError, match="embedding_function="):
        ChromaAdapter.build_from_config({"model": None})


def test_another_model_is_refused_for_a_collection():
    adapter = ChromaAdapter("local")
    adapter.validate_config_update(adapter.get_config(), adapter.get_config())
    with pytest.raises(ConfigError, match="new collection"):
        adapter.validate_config_update(
            adapter.get_config(), ChromaAdapter(FakeEmbedding()).get_config()
        )
