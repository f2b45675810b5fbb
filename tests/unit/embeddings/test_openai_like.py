"""Any server that speaks the protocol."""

from __future__ import annotations

import asyncio

import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.settings import Settings
from nearfield.embeddings.openai_like import OpenAILikeEmbedding
from nearfield.errors import AuthenticationError

pytestmark = pytest.mark.openai


@pytest.fixture
def make(server):
    def make_model(**kwargs):
        arguments = {"api_key": server.api_key, "api_base": server.url, "cache": False, **kwargs}
        return OpenAILikeEmbedding(**arguments)

    return make_model


@pytest.mark.parametrize("keyword", ["model", "model_name"])
def test_any_model_name_goes_out_as_it_is(server, make, keyword):
    model = make(**{keyword: "BAAI/bge-m3"})
    model.get_text_embedding("a")
    assert server.calls[0].body["model"] == model.model_name == "BAAI/bge-m3"


def test_no_key_is_needed(server, make):
    server.api_key = None
    assert len(make(api_key=None).get_text_embedding("a")) == 16


def test_a_key_for_openai_is_not_sent_elsewhere(server, make, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai-only")
    with pytest.raises(AuthenticationError):
        make(api_key=None).get_text_embedding("a")
    assert "for-openai-only" not in str(server.calls[0].headers)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("key", [None, "own-key"])
def test_nothing_of_openais_environment_is_sent_elsewhere(server, make, monkeypatch, way, key):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-hidden")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-hidden")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "x-gateway-key: header-hidden\nAuthorization: Bearer key-hidden"
    )
    server.api_key = key
    model = make(api_key=key, default_headers={"x-own": "sent"})
    model.encode(["a"]) if way == "sync" else asyncio.run(model.aencode(["a"]))
    headers = server.calls[0].headers
    assert "hidden" not in str(headers)
    assert headers["x-own"] == "sent"


def test_instructions_go_before_queries_and_texts(server, make):
    model = make(query_instruction="query: ", text_instruction="passage: ")
    model.get_query_embedding("a")
    model.get_text_embedding("a")
    assert server.embedded == [["query: a"], ["passage: a"]]


def test_no_instruction_may_be_said_by_none(server, make):
    model = make(query_instruction=None, text_instruction=None)
    model.get_query_embedding("a")
    assert server.embedded == [["a"]]
    assert model.fingerprint == make().fingerprint


def test_floats_can_be_asked_for(server, make):
    make(encoding_format="float").get_text_embedding("a")
    assert server.calls[0].body["encoding_format"] == "float"


def test_it_is_made_by_name():
    assert resolve_embed_model("openai-like:bge").model_name == "bge"


def test_vectors_of_a_model_without_a_name_are_not_kept(server, make, tmp_path):
    """Nothing would tell them from those of the next model behind the address."""
    with Settings.override(cache_dir=tmp_path):
        for _ in range(2):
            make(cache=None).encode(["a"])
            make(cache=None, model="named").encode(["a"])
    assert [call.body["model"] for call in server.calls] == ["default", "named", "default"]
    own = EmbeddingCache(tmp_path / "own.sqlite")
    assert make(cache=own).cache is own
