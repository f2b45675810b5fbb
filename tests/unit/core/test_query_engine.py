"""Answers: sentences picked out with their sources, or a chat model's words."""

from __future__ import annotations

import pytest

from nearfield.core import Document, Settings, VectorStoreIndex
from nearfield.core.extractive import best_spans
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

DOCUMENTS = [
    Document(
        "About Mars. Mars is often called the red planet because of iron oxide. It has two moons.",
        id="mars.txt",
    ),
    Document(
        "Venus\n\nVenus is the hottest planet of all. Its clouds are of acid.", id="venus.txt"
    ),
]
QUESTION = "Why is Mars called the red planet?"


class Chat:
    """Answers every prompt alike, and keeps the prompts."""

    model = "chatty"

    def __init__(self):
        self.prompts = []

    def complete(self, prompt):
        self.prompts.append(prompt)
        return "  Because of iron oxide [1].\n"


class AsyncChat(Chat):
    """Has a coroutine of its own."""

    async def acomplete(self, prompt):
        self.prompts.append("async: " + prompt)
        return "Awaited [1]."


@pytest.fixture
def model():
    return FakeEmbedding(dim=256)


@pytest.fixture
def index(model):
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=model)


def test_without_a_chat_model_the_best_sentences_answer_with_their_sources(index):
    response = index.as_query_engine().query(QUESTION)

    lines = response.response.splitlines()
    assert lines[0] == "Mars is often called the red planet because of iron oxide. [1]"
    assert len(lines) == 3
    assert response.source_nodes[0].node.document_id == "mars.txt"
    assert response.metadata["mode"] == "extractive"


def test_each_sentence_can_be_found_again_in_its_source(index):
    response = index.as_query_engine().query(QUESTION)

    for line, place in zip(
        response.response.splitlines(), response.metadata["sentences"], strict=True
    ):
        text = response.source_nodes[place["source"]].text[place["start"] : place["end"]]
        assert line == f"{text} [{place['source'] + 1}]"
    scores = [place["score"] for place in response.metadata["sentences"]]
    assert scores == sorted(scores, reverse=True)


def test_headings_and_scraps_are_no_answer(index):
    response = index.as_query_engine(similarity_top_k=2).query("Venus")

    assert not any(line.startswith("Venus [") for line in response.response.splitlines())


def test_markdown_headings_and_rows_of_tables_are_no_answer(model):
    page = "## Why is Mars red\n\n| why | Mars is called red |\n\nOf iron oxide, they say so."
    index = VectorStoreIndex.from_documents([Document(page)], embed_model=model)

    assert str(index.as_query_engine().query(QUESTION)).startswith("Of iron oxide, they say so.")


def test_scraps_answer_when_there_is_nothing_else(model):
    index = VectorStoreIndex.from_documents([Document("Venus", id="v")], embed_model=model)

    assert index.as_query_engine().query("venus?").response == "Venus [1]"


def test_a_sentence_that_stands_twice_is_given_once(model):
    twice = [Document("The moon is made of rock.", {"n": n}, id=f"d{n}") for n in range(2)]
    index = VectorStoreIndex.from_documents(twice, embed_model=model)

    assert index.as_query_engine().query("moon").response == "The moon is made of rock. [1]"


def test_the_question_is_embedded_once(index, model):
    index.as_query_engine().query(QUESTION)

    assert model.computed.count(QUESTION) == 1


def test_a_printed_answer_names_its_sources(index):
    printed = str(index.as_query_engine().query(QUESTION))

    answer, sources = printed.split("\n\n")
    assert answer.endswith("]")
    assert sources.splitlines()[0].startswith("[1] mars.txt, characters 0-")


def test_a_chat_model_words_the_answer_from_the_sources(index):
    chat = Chat()

    response = index.as_query_engine(llm=chat).query(QUESTION)

    assert response.response == "Because of iron oxide [1]."
    assert response.metadata == {"mode": "synthesized", "llm": "chatty"}
    assert QUESTION in chat.prompts[0]
    for number, source in enumerate(response.source_nodes, 1):
        assert f"[{number}] {source.text}" in chat.prompts[0]


def test_the_chat_model_of_the_settings_is_used_and_can_be_left_aside(index):
    with Settings.override(llm=Chat()):
        assert index.as_query_engine().query(QUESTION).metadata["mode"] == "synthesized"
        plain = index.as_query_engine(response_mode="extractive")
    assert plain.query(QUESTION).metadata["mode"] == "extractive"


def test_braces_in_sources_and_questions_are_plain_text(model):
    index = VectorStoreIndex.from_documents([Document("Use {sources} here.")], embed_model=model)
    chat = Chat()

    index.as_query_engine(llm=chat).query("what of {question}?")

    assert "Use {sources} here." in chat.prompts[0]
    assert "what of {question}?" in chat.prompts[0]


@pytest.mark.parametrize("chat", [None, Chat(), AsyncChat()])
async def test_async_answers_as_sync_does(index, chat):
    engine = index.as_query_engine(llm=chat)

    response = await engine.aquery(QUESTION)

    if isinstance(chat, AsyncChat):
        assert response.response == "Awaited [1]."
        assert chat.prompts[0].startswith("async: ")
    else:
        assert response == engine.query(QUESTION)


def test_sources_alone(index):
    response = index.as_query_engine(response_mode="no_text").query(QUESTION)

    assert response.response == ""
    assert len(response.source_nodes) == 2
    assert str(response).startswith("[1] ")


@pytest.mark.parametrize("chat", [None, Chat()])
async def test_an_empty_index_says_so_and_asks_no_chat_model(model, chat):
    engine = VectorStoreIndex(embed_model=model).as_query_engine(llm=chat)

    for response in (engine.query("anything"), await engine.aquery("anything")):
        assert response.response == "Nothing in the index answers this."
        assert response.source_nodes == []
        assert response.metadata == {"mode": "empty"}
    assert chat is None or chat.prompts == []


def test_options_of_the_retriever_go_through(index):
    engine = index.as_query_engine(similarity_top_k=1, mode="hybrid", doc_ids=["venus.txt"])

    assert [n.node.document_id for n in engine.query(QUESTION).source_nodes] == ["venus.txt"]
    assert engine.retrieve(QUESTION)[0].node.document_id == "venus.txt"
    assert "hybrid" in repr(engine)


@pytest.mark.parametrize("question", ["", " "])
def test_an_empty_question_is_refused(index, question):
    with pytest.raises(ConfigError, match="question is empty"):
        index.as_query_engine().query(question)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"response_mode": "refine"}, "Unknown response_mode 'refine'"),
        ({"response_mode": "synthesized"}, "needs a chat model"),
        ({"llm": object()}, "cannot answer"),
        ({"llm": Chat}, "cannot answer"),
        ({"llm": "gpt"}, "cannot answer"),
        ({"similarity_top_k": 0}, "top_k"),
    ],
)
def test_options_that_make_no_sense_are_refused(index, options, says):
    with pytest.raises(ConfigError, match=says):
        index.as_query_engine(**options)


def test_llama_indexs_usual_mode_is_ours(index):
    assert index.as_query_engine(response_mode="compact").query(QUESTION).response


def test_an_unknown_keyword_is_a_type_error(index):
    with pytest.raises(TypeError, match="streaming"):
        index.as_query_engine(streaming=True)


def test_the_best_sentence_of_each_node_can_be_marked(index, model):
    nodes = index.as_retriever().retrieve(QUESTION)

    spans = best_spans(model, QUESTION, nodes)

    start, end = spans[0]
    assert nodes[0].text[start:end].startswith("Mars is often called")
    assert len(spans) == len(nodes)
    assert best_spans(model, QUESTION, []) == []
