"""What a user may write for a model, and what it stands for."""

from __future__ import annotations

import re

import pytest

from nearfield.core.embeddings import BaseEmbedding, resolve_embed_model
from nearfield.errors import ConfigError, UnknownProviderError


class Mine(BaseEmbedding):
    """A model of the user's own."""

    def _encode(self, texts, input_type):
        return [[1.0, 2.0] for _ in texts]


class LikeLangChain:
    """Has LangChain's methods, and nothing else of it."""

    def embed_documents(self, texts):
        return [[float(len(text)), 1.0] for text in texts]

    def embed_query(self, text):
        return [float(len(text)), 2.0]


class LikeLlamaIndex:
    """Has LlamaIndex's methods, and nothing else of it."""

    model_name = "theirs"

    def get_text_embedding_batch(self, texts, **_):
        return [[float(len(text)), 3.0] for text in texts]

    def get_query_embedding(self, query):
        return [float(len(query)), 4.0]


def test_a_model_stands_for_itself():
    model = Mine()

    assert resolve_embed_model(model) is model


@pytest.mark.parametrize("name", [None, "default", "local", "bundled"])
def test_no_name_and_the_default_names_give_the_bundled_model(name, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-in-the-environment-changes-nothing")

    assert type(resolve_embed_model(name)).__name__ == "BundledEmbedding"


def test_a_langchain_object_is_known_by_its_methods():
    model = resolve_embed_model(LikeLangChain())

    assert model.get_text_embedding("abc") == [3.0, 1.0]
    assert model.get_query_embedding("abc") == [3.0, 2.0]


def test_a_llama_index_object_is_known_by_its_methods():
    model = resolve_embed_model(LikeLlamaIndex())

    assert model.get_text_embedding("abc") == [3.0, 3.0]
    assert model.get_query_embedding("abc") == [3.0, 4.0]


@pytest.mark.parametrize("name", ["nosuch", "nosuch:model", "gpt", ""])
def test_an_unknown_name_lists_what_exists(name):
    with pytest.raises(UnknownProviderError, match=r"azure.*bundled.*local.*openai"):
        resolve_embed_model(name)


@pytest.mark.parametrize("name", ["openai:", "bundled:x", "langchain:x"])
def test_a_name_with_nothing_or_too_much_behind_the_colon_is_refused(name):
    with pytest.raises(ConfigError, match="is not a model name"):
        resolve_embed_model(name)


@pytest.mark.parametrize("thing", [3, object(), ["a"], Mine, LikeLangChain])
def test_something_that_cannot_embed_is_refused_naming_its_type(thing):
    with pytest.raises(ConfigError, match="cannot be used as an embedding model"):
        resolve_embed_model(thing)


def test_a_class_instead_of_an_object_is_noticed():
    with pytest.raises(ConfigError, match=r"Did you mean Mine\(\)"):
        resolve_embed_model(Mine)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("BAAI/bge-small-en-v1.5", "'local:BAAI/bge-small-en-v1.5'"),
        ("./models/mine", "'local:./models/mine'"),
        ("all-MiniLM-L6-v2", "'local:all-MiniLM-L6-v2'"),
        ("text-embedding-3-small", "'openai:text-embedding-3-small'"),
        ("bundeld", "'bundled'"),
    ],
)
def test_a_model_named_without_its_provider_is_told_how_it_is_written(name, told):
    with pytest.raises(UnknownProviderError, match=re.escape(told)):
        resolve_embed_model(name)
