"""Azure's four names: each missing or wrong one is told."""

from __future__ import annotations

import pytest

from nearfield.core.embeddings import resolve_embed_model
from nearfield.embeddings.azure_openai import AzureOpenAIEmbedding
from nearfield.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ProviderUnavailableError,
)

pytestmark = pytest.mark.openai


@pytest.fixture
def names(server):
    """Give the four right names."""
    return {
        "azure_endpoint": server.azure_endpoint,
        "azure_deployment": server.deployment,
        "api_key": server.api_key,
        "api_version": "2024-10-21",
    }


@pytest.fixture(autouse=True)
def _no_names_in_the_environment(monkeypatch):
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


def make(names, **changes):
    return AzureOpenAIEmbedding(cache=False, max_retries=0, **{**names, **changes})


def test_the_four_names_lead_to_the_deployment(server, names):
    assert len(make(names).get_text_embedding("a")) == 16
    call = server.calls[0]
    assert call.path == "/openai/deployments/embedder/embeddings"
    assert call.query == {"api-version": "2024-10-21"}
    assert call.headers["api-key"] == server.api_key


def test_the_environment_gives_three_of_them(names, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", names["azure_endpoint"])
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", names["api_key"])
    monkeypatch.setenv("OPENAI_API_VERSION", names["api_version"])
    model = AzureOpenAIEmbedding(deployment_name="embedder", cache=False)
    assert len(model.get_text_embedding("a")) == 16
    named = resolve_embed_model("azure:embedder")
    assert named.azure_deployment == "embedder"


@pytest.mark.parametrize(
    ("missing", "error", "words"),
    [
        ("azure_endpoint", ConfigError, "AZURE_OPENAI_ENDPOINT"),
        ("azure_deployment", ConfigError, "azure_deployment"),
        ("api_version", ConfigError, "OPENAI_API_VERSION"),
        ("api_key", AuthenticationError, "AZURE_OPENAI_API_KEY"),
    ],
)
def test_a_missing_name_is_told_when_the_model_is_made(names, missing, error, words):
    with pytest.raises(error, match=words):
        make(names, **{missing: None})


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"azure_deployment": "nobody"}, BadRequestError, "azure_deployment 'nobody'"),
        ({"api_version": "latest"}, BadRequestError, "api_version 'latest'"),
        ({"api_key": "wrong-key"}, AuthenticationError, "AZURE_OPENAI_API_KEY"),
        (
            {"azure_endpoint": "http://127.0.0.1:9"},
            ProviderUnavailableError,
            "azure_endpoint",
        ),
    ],
)
def test_a_wrong_name_is_told_at_the_first_call(names, wrong, error, words):
    with pytest.raises(error, match=words):
        make(names, **wrong).get_text_embedding("a")


def test_a_token_stands_in_for_the_key(server, names):
    names["api_key"] = None
    model = make(names, azure_ad_token_provider=lambda: server.api_key)
    assert len(model.get_text_embedding("a")) == 16
    assert server.calls[0].headers["authorization"] == f"Bearer {server.api_key}"


def test_the_deployment_is_part_of_the_fingerprint(names):
    assert make(names).fingerprint != make(names, azure_deployment="other").fingerprint
