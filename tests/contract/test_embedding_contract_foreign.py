"""The embedding contract, on models of other libraries and on classes of the user's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from nearfield.adapters.langchain import LangChainAdapter
from nearfield.adapters.llama_index import LlamaIndexAdapter
from nearfield.core.embeddings import BaseEmbedding
from nearfield.embeddings.langchain import LangchainEmbedding
from nearfield.embeddings.llama_index import LlamaIndexEmbedding
from nearfield.testing.contracts import EmbeddingContract
from nearfield.testing.fake import FakeEmbedding
from nearfield.testing.openai_server import word_vectors

pytestmark = [pytest.mark.langchain, pytest.mark.llama_index]


class TestLangchain(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return LangchainEmbedding(LangChainAdapter(FakeEmbedding()))


class TestLangchainsOwnModel(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return LangchainEmbedding(DeterministicFakeEmbedding(size=12))


class TestLlamaIndex(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return LlamaIndexEmbedding(LlamaIndexAdapter(FakeEmbedding()))


class TestOneMethod(EmbeddingContract):
    @pytest.fixture
    def model(self):
        class Mine(BaseEmbedding):
            def _encode(self, texts, input_type):
                return word_vectors(list(texts), 12)

        return Mine("mine")


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the class body's coroutines, which are the point

    class PageStyle(BaseEmbedding):
        """Written as the LlamaIndex documentation writes a model of one's own."""

        def __init__(self, instruction: str = "Represent: ", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._instruction = instruction

        def _get_query_embedding(self, query: str):
            return word_vectors([self._instruction + query], 12)[0]

        def _get_text_embedding(self, text: str):
            return word_vectors([self._instruction + text], 12)[0]

        def _get_text_embeddings(self, texts: list[str]):
            return list(np.asarray(word_vectors([self._instruction + t for t in texts], 12)))

        async def _get_query_embedding(self, query: str):
            return self._get_query_embedding(query)

        async def _get_text_embedding(self, text: str):
            return self._get_text_embedding(text)


class TestPageStyle(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return PageStyle()
