"""The embedding contract, on every provider that speaks OpenAI's protocol."""

from __future__ import annotations

import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.embeddings.azure_openai import AzureOpenAIEmbedding
from nearfield.embeddings.openai import OpenAIEmbedding
from nearfield.embeddings.openai_like import OpenAILikeEmbedding
from nearfield.testing.contracts import EmbeddingContract
from nearfield.testing.openai_server import OpenAIServer

pytestmark = pytest.mark.openai


@pytest.fixture(scope="module")
def server():
    """Give a running stand-in for OpenAI and Azure."""
    with OpenAIServer() as running:
        yield running


class TestOpenAI(EmbeddingContract):
    @pytest.fixture
    def model(self, server):
        return OpenAIEmbedding(api_key=server.api_key, api_base=server.url, cache=False)


class TestOpenAIWithACache(EmbeddingContract):
    @pytest.fixture
    def model(self, server, tmp_path):
        cache = EmbeddingCache(tmp_path / "cache.sqlite")
        return OpenAIEmbedding(api_key=server.api_key, api_base=server.url, cache=cache)


class TestOpenAIWithFewerDimensionsInBatchesOfItsChoice(EmbeddingContract):
    @pytest.fixture
    def model(self, server):
        return OpenAIEmbedding(
            model="text-embedding-3-small",
            api_key=server.api_key,
            api_base=server.url,
            dimensions=8,
            embed_batch_size="auto",
            cache=False,
        )


class TestAzureOpenAI(EmbeddingContract):
    @pytest.fixture
    def model(self, server):
        return AzureOpenAIEmbedding(
            azure_endpoint=server.azure_endpoint,
            azure_deployment=server.deployment,
            api_key=server.api_key,
            api_version="2024-10-21",
            cache=False,
        )


class TestOpenAILike(EmbeddingContract):
    @pytest.fixture
    def model(self, server):
        return OpenAILikeEmbedding(
            "words",
            api_base=server.url,
            api_key=server.api_key,
            query_instruction="query: ",
            reuse_client=False,
            cache=False,
        )
