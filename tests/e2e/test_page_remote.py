"""What LlamaIndex's users write for remote and foreign models runs with the package's name changed.

Each block is spelled for ``llama_index``; the one change is the word. OpenAI and
Azure are played by a loopback server, two packages that are not installed by
modules with the one class each block needs.
"""

from __future__ import annotations

import sys
import textwrap
import types
import warnings

import numpy as np
import pytest

from nearfield.core import Settings
from nearfield.testing.openai_server import OpenAIServer, word_vectors

pytestmark = pytest.mark.openai

TEXTS = {
    "planets.txt": "Mars is called the Red Planet because of its rust. Venus is hot and bright.",
    "cooking.txt": "Bread dough needs an hour to rise. Onions turn sweet when fried slowly.",
}


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def run(server, tmp_path, monkeypatch):
    """Give a function that runs blocks in one namespace, in a folder with two texts."""
    (tmp_path / "data").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "data" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    names = {"__name__": "__main__"}

    def run_block(block):
        source = textwrap.dedent(block).replace("llama_index", "nearfield")
        exec(compile(source, "block", "exec"), names)
        return names

    return run_block


def module(monkeypatch, name, **contents):
    """Put a module into the process for the length of a test, with its parents."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        made = types.ModuleType(path)
        made.__path__ = []
        monkeypatch.setitem(sys.modules, path, made)
    vars(sys.modules[name]).update(contents)


def test_usage_pattern(server, run):
    names = run(
        """
        from llama_index.embeddings.openai import OpenAIEmbedding
        from llama_index.core import Document
        from llama_index.core import VectorStoreIndex
        from llama_index.core import Settings

        Settings.embed_model = OpenAIEmbedding()

        embedding = OpenAIEmbedding().get_text_embedding("hello world")
        embeddings = OpenAIEmbedding().get_text_embeddings(["hello world", "hello world"])

        embed_model = OpenAIEmbedding()
        documents = [Document(text="Mars is called the Red Planet.")]
        index = VectorStoreIndex.from_documents(documents, embed_model=embed_model)
        """
    )
    assert names["embeddings"] == [names["embedding"]] * 2
    assert server.embedded == [["hello world"], ["Mars is called the Red Planet."]]
    assert server.calls[0].body["model"] == "text-embedding-ada-002"


def test_getting_started(server, run):
    names = run(
        """
        from llama_index.core import VectorStoreIndex, SimpleDirectoryReader
        from llama_index.embeddings.openai import OpenAIEmbedding
        from llama_index.core import Settings

        Settings.embed_model = OpenAIEmbedding()
        documents = SimpleDirectoryReader("./data").load_data()
        index = VectorStoreIndex.from_documents(documents)

        query_engine = index.as_query_engine()
        response = query_engine.query("Which planet is called the Red Planet?")
        """
    )
    assert "Mars" in str(names["response"])
    assert names["response"].source_nodes[0].metadata["file_name"] == "planets.txt"
    assert ["Which planet is called the Red Planet?"] in server.embedded


def test_customization(server, run):
    names = run(
        """
        from llama_index.embeddings.openai import OpenAIEmbedding

        embed_model = OpenAIEmbedding(embed_batch_size=42)
        """
    )
    names["embed_model"].get_text_embedding_batch([f"text {n}" for n in range(50)])
    assert sorted(map(len, server.embedded)) == [8, 42]


def test_azure(server, run, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
    names = run(
        f"""
        from llama_index.embeddings.azure_openai import AzureOpenAIEmbedding
        from llama_index.core import Settings

        Settings.embed_model = AzureOpenAIEmbedding(
            model="text-embedding-ada-002",
            deployment_name="{server.deployment}",
            api_key="{server.api_key}",
            api_version="2024-10-21",
        )
        embedding = Settings.embed_model.get_text_embedding("hello world")
        """
    )
    assert len(names["embedding"]) == server.dim


def test_langchain(run, monkeypatch):
    class HuggingFaceBgeEmbeddings:
        def __init__(self, model_name):
            self.model_name = model_name

        def embed_documents(self, texts):
            return word_vectors(texts, 8).tolist()

        def embed_query(self, text):
            return word_vectors([text], 8)[0].tolist()

    module(
        monkeypatch,
        "langchain.embeddings.huggingface",
        HuggingFaceBgeEmbeddings=HuggingFaceBgeEmbeddings,
    )
    names = run(
        """
        from langchain.embeddings.huggingface import HuggingFaceBgeEmbeddings
        from llama_index.core import Document, Settings, VectorStoreIndex

        Settings.embed_model = HuggingFaceBgeEmbeddings(model_name="BAAI/bge-base-en")

        documents = [Document(text="red Mars"), Document(text="sweet onions")]
        index = VectorStoreIndex.from_documents(documents)
        found = index.as_retriever(similarity_top_k=1).retrieve("Mars")
        """
    )
    assert found_text(names) == "red Mars"
    assert Settings.embed_model.model_name == "BAAI/bge-base-en"


def test_a_class_of_ones_own(run, monkeypatch):
    class INSTRUCTOR:
        def __init__(self, name):
            self.name = name

        def encode(self, pairs):
            return word_vectors([text for _, text in pairs], 8)

    module(monkeypatch, "InstructorEmbedding", INSTRUCTOR=INSTRUCTOR)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = run(
            """
            from typing import Any, List
            from InstructorEmbedding import INSTRUCTOR
            from llama_index.core.embeddings import BaseEmbedding

            class InstructorEmbeddings(BaseEmbedding):
                def __init__(
                    self,
                    instructor_model_name: str = "hkunlp/instructor-large",
                    instruction: str = "Represent the text:",
                    **kwargs: Any,
                ) -> None:
                    super().__init__(**kwargs)
                    self._model = INSTRUCTOR(instructor_model_name)
                    self._instruction = instruction

                def _get_query_embedding(self, query: str) -> List[float]:
                    return self._model.encode([[self._instruction, query]])[0]

                def _get_text_embedding(self, text: str) -> List[float]:
                    return self._model.encode([[self._instruction, text]])[0]

                def _get_text_embeddings(self, texts: List[str]) -> List[List[float]]:
                    return self._model.encode([[self._instruction, text] for text in texts])

                async def _get_query_embedding(self, query: str) -> List[float]:
                    return self._get_query_embedding(query)

                async def _get_text_embedding(self, text: str) -> List[float]:
                    return self._get_text_embedding(text)

            embed_model = InstructorEmbeddings(embed_batch_size=2)
            embeddings = embed_model.get_text_embedding("It is raining cats and dogs here!")
            """
        )
    assert len([one for one in caught if "coroutine" in str(one.message)]) == 1
    np.testing.assert_allclose(
        names["embeddings"], word_vectors(["It is raining cats and dogs here!"], 8)[0]
    )
    assert len(names["embed_model"].get_text_embedding_batch(["a", "b", "c"])) == 3
    run(
        """
        import asyncio
        from llama_index.core import Document, VectorStoreIndex

        documents = [Document(text="red Mars"), Document(text="sweet onions")]
        index = VectorStoreIndex.from_documents(documents, embed_model=embed_model)
        found = index.as_retriever(similarity_top_k=1).retrieve("Mars")
        later = asyncio.run(embed_model.aget_query_embedding("Mars"))
        """
    )
    assert found_text(names) == "red Mars"
    assert names["later"] == names["embed_model"].get_query_embedding("Mars")


def found_text(names):
    (found,) = names["found"]
    return found.text
