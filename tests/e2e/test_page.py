"""What LlamaIndex's page on embeddings shows works as it is printed there.

Models of the hub and OpenAI are the stand-ins of the surroundings; the blocks
for ONNX and OpenVINO files are in ``test_page_backends.py``.
"""

import asyncio
import runpy
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nearfield.core import Document, Settings, VectorStoreIndex

PAGE = runpy.run_path(str(Path(__file__).with_name("page_blocks.py")))
QUERY = "Which planet is known as the Red Planet?"


@pytest.fixture
def run(surroundings):
    """Run blocks of the page one after another, in one namespace; settings end with the test."""
    names = {"__name__": "__main__"}

    def run(*blocks, **given):
        names.update(given)
        for block in blocks:
            exec(compile(PAGE[block], block, "exec"), names)
        return names

    yield run
    Settings.reset()


@pytest.mark.openai
def test_the_usage_pattern(run):
    documents = [Document("Mars is the red planet.", id="mars")]
    embed_model = Settings.embed_model

    names = run("USAGE_PATTERN", documents=documents, embed_model=embed_model)

    assert type(Settings.embed_model).__name__ == "OpenAIEmbedding"
    assert all(isinstance(number, float) for number in names["embedding"])
    assert names["embeddings"] == [names["embedding"]] * 2
    assert names["index"].embed_model is embed_model
    assert names["index"].count == 1


@pytest.mark.openai
def test_getting_started_from_a_folder_to_an_answer(run):
    names = run("GETTING_STARTED", "QUERY_TIME")

    assert type(names["index"].embed_model).__name__ == "OpenAIEmbedding"
    assert len(names["documents"]) == 3
    assert len(names["response"].source_nodes) == 2
    assert str(names["response"])


@pytest.mark.openai
def test_the_batch_size(run):
    names = run("USAGE_PATTERN", "BATCH_SIZE", documents=[], embed_model=None)

    assert names["embed_model"].embed_batch_size == 42


def test_a_local_model_and_an_answer_without_openai(run, surroundings):
    from nearfield.core import SimpleDirectoryReader

    run("LOCAL_MODEL")
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader("./data").load_data())
    names = run("QUERY_TIME", "STANDALONE", index=index, embed_model=Settings.embed_model)

    assert index.store.header.model_name == "BAAI/bge-small-en-v1.5"
    assert names["response"].metadata["mode"] == "extractive"
    assert len(names["embeddings"]) == index.store.header.dim


def test_a_local_model_is_found_again_by_the_index_it_made(run, surroundings):
    run("LOCAL_MODEL")
    documents = [Document("Mars is the red planet.", id="mars")]
    VectorStoreIndex.from_documents(documents, path="my.index").close()
    Settings.reset()

    with VectorStoreIndex.open("my.index") as index:
        assert index.embed_model.model_name == "BAAI/bge-small-en-v1.5"
        assert index.as_retriever().retrieve("red")[0].node.document_id == "mars"


def test_the_benchmark_script(run, capsys):
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding

    baseline = HuggingFaceEmbedding(model_name="BAAI/bge-small-en-v1.5")
    names = run(
        "BENCHMARK",
        time=time,
        query=QUERY,
        baseline_model=baseline,
        baseline_model_desc="hub model",
        quantized_model=Settings.embed_model,
        quantized_model_desc="bundled model",
    )

    printed = capsys.readouterr().out
    assert printed.count("queries/sec (over 5 runs)") == 2
    assert printed.count("Query-document similarities") == 2
    scores = np.asarray(names["quantized_similarity"])
    assert scores.shape == (1, 4)
    assert scores.argmax() == 0  # Mars, as on the page


class INSTRUCTOR:
    """Stands for the model of InstructorEmbedding: pairs in, rows of an array out."""

    def __init__(self, name):
        self.name = name

    def encode(self, pairs):
        return np.array([[len(instruction), len(text), 1] for instruction, text in pairs], "f4")


@pytest.fixture
def instructor_library(monkeypatch):
    library = ModuleType("InstructorEmbedding")
    library.INSTRUCTOR = INSTRUCTOR
    monkeypatch.setitem(sys.modules, "InstructorEmbedding", library)


def test_the_custom_class_as_printed(run, instructor_library):
    with pytest.warns(UserWarning, match="_get_query_embedding as a coroutine"):
        names = run("CUSTOM_MODEL")
    embed_model = names["InstructorEmbeddings"](embed_batch_size=2)

    names = run("STANDALONE", embed_model=embed_model)

    assert names["embeddings"] == [57.0, 33.0, 1.0]
    assert asyncio.run(embed_model.aget_text_embedding("abc")) == [57.0, 3.0, 1.0]
    index = VectorStoreIndex.from_documents(
        [Document("Mars is red."), Document("Venus is hotter than Mars.")], embed_model=embed_model
    )
    assert len(index.as_query_engine().query("Mars is hot.").source_nodes) == 2


def test_an_embeddings_object_of_langchain(run, monkeypatch):
    """The page's import is of a LangChain long past; the object is known by its two methods."""

    class HuggingFaceBgeEmbeddings:
        def __init__(self, model_name):
            self.model_name = model_name

        def embed_documents(self, texts):
            return [[len(text), 1.0] for text in texts]

        def embed_query(self, text):
            return [len(text), 2.0]

    parts = ["langchain", "langchain.embeddings", "langchain.embeddings.huggingface"]
    for name in parts:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[parts[-1]].HuggingFaceBgeEmbeddings = HuggingFaceBgeEmbeddings

    run("LANGCHAIN")

    assert Settings.embed_model.model_name == "BAAI/bge-base-en"
    assert Settings.embed_model.get_query_embedding("abc") == [3.0, 2.0]


def test_the_planets_of_the_page_with_the_default_model():
    documents = [
        "Venus is often called Earth's twin because of its similar size and proximity.",
        "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
        "Jupiter, the largest planet in our solar system, has a prominent red spot.",
        "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
    ]
    index = VectorStoreIndex.from_documents([Document(text) for text in documents])

    found = index.as_retriever(similarity_top_k=4).retrieve(QUERY)
    answer = index.as_query_engine().query(QUERY)

    assert [documents.index(each.text) for each in found] == [1, 3, 2, 0]
    # The page prints 0.7783 for MiniLM's bigger sister; the order and the size are what count.
    assert found[0].score == pytest.approx(0.78, abs=0.05)
    assert answer.response.startswith("Mars, known for its reddish appearance")
