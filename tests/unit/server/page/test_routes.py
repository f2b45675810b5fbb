"""The page's API, asked over ASGI."""

import json

import httpx
import pytest

from nearfield import Document
from nearfield.core import VectorStoreIndex
from nearfield.core.schema import Node

pytestmark = pytest.mark.server

TEXTS = {
    "planets.md": "Mars is known as the Red Planet. Venus is Earth's twin.",
    "cooking.txt": "Boil the pasta in salted water. Bread dough needs an hour.",
    "animals.txt": "Whales live in the sea. Dogs bark at strangers.",
}


@pytest.fixture(scope="module")
def index():
    documents = [Document(text, {"kind": name[:4]}, id=name) for name, text in TEXTS.items()]
    index = VectorStoreIndex.from_documents(documents)
    # No model reads half a character; a node may bring its vector along.
    vector = index.embed_model.encode(["half a pair of letters"])[0]
    index.insert_nodes([Node("half a pair \ud800 of letters", document_id="odd", embedding=vector)])
    return index


@pytest.fixture
async def ask(index):
    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig
    from nearfield.server.service import Service

    async with asking(create_app, Service, ServerConfig(index=index)) as asked:
        yield asked


@pytest.fixture
async def ask_without_index():
    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig
    from nearfield.server.service import Service

    async with asking(create_app, Service, ServerConfig()) as asked:
        yield asked


class asking:  # noqa: N801 - reads as the context manager it is
    def __init__(self, create_app, service, config):
        self.service = service(config)
        self.service.load()
        app = create_app(config, service=self.service)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def __aenter__(self):
        async def ask(path, body=None):
            if body is None:
                return await self.client.get(path)
            return await self.client.post(path, json=body)

        return ask

    async def __aexit__(self, *_):
        await self.client.aclose()
        self.service.close()


async def test_all_ways_of_searching_answer_at_once(ask):
    modes = ["vector", "text", "hybrid"]
    answer = (await ask("/api/search", {"query": "red planet", "modes": modes, "top_k": 2})).json()

    for mode in modes:
        first = answer["results"][mode][0]
        assert (first["file"], first["rank"]) == ("planets.md", 1)
        assert first["best"] is None
    assert {"tokenize", "embed", "search"} == set(answer["times_ms"])


async def test_best_sentences_are_asked_for_after_the_results(ask):
    found = (await ask("/api/search", {"query": "red planet", "top_k": 2})).json()
    ids = [one["node_id"] for one in found["results"]["vector"]]
    answer = (await ask("/api/marks", {"query": "red planet", "node_ids": [*ids, "gone"]})).json()

    assert list(answer["marks"]) == ids
    shown = answer["marks"][ids[0]]
    start, end = shown["best"]
    assert shown["text"][start:end] == "Mars is known as the Red Planet."
    assert set(answer["times_ms"]) == {"mark"}


async def test_a_question_is_embedded_once_for_its_results_their_marks_and_why(index):
    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig
    from nearfield.server.service import Service

    running = asking(create_app, Service, ServerConfig(index=index))
    async with running as ask:
        found = (await ask("/api/search", {"query": "red planet"})).json()["results"]["vector"]
        ids = [one["node_id"] for one in found]
        marked = await ask("/api/marks", {"query": "red planet", "node_ids": ids})
        why = await ask("/api/why", {"query": "red planet", "node_id": ids[0]})
        assert (marked.status_code, why.status_code) == (200, 200)
        assert running.service.stats()["texts"] == 1
        await ask("/api/marks", {"query": "another", "node_ids": ids})
        assert running.service.stats()["texts"] == 2
        for number in range(40):
            await ask("/api/search", {"query": f"question {number}"})
        await ask("/api/marks", {"query": "red planet", "node_ids": ids})
        assert running.service.stats()["texts"] == 43, "only the last questions are remembered"


async def test_filters_hold(ask):
    body = {
        "query": "red planet",
        "filters": [{"key": "kind", "operator": "!=", "value": "plan"}],
    }
    answer = (await ask("/api/search", body)).json()

    assert "planets.md" not in {one["file"] for one in answer["results"]["vector"]}


async def test_text_that_utf_8_cannot_say_is_answered(ask):
    answer = await ask("/api/search", {"query": "half a pair of letters"})

    assert answer.json()["results"]["vector"][0]["text"] == "half a pair \ufffd of letters"


async def test_why_explains_a_result(ask):
    found = (await ask("/api/search", {"query": "red planet"})).json()["results"]["vector"][0]
    why = (await ask("/api/why", {"query": "red planet", "node_id": found["node_id"]})).json()

    assert why["ranks"] == {"vector": 1, "text": 1}
    assert why["score"] == found["score"]
    words = [why["text"][start:end] for start, end in why["words"]]
    assert words == ["Red", "Planet"]
    assert (why["query_tokens"], why["max_tokens"], why["cut"]) == (4, 256, None)
    assert len(why["tokens"]) == why["node_tokens"] - 2
    assert (why["number"], why["of"], why["before"], why["after"]) == (1, 1, "", "")


async def test_why_of_a_node_that_is_gone_is_refused(ask):
    answer = await ask("/api/why", {"query": "red", "node_id": "gone"})

    assert answer.status_code == 404
    assert "Search again" in answer.json()["error"]["message"]


async def test_texts_are_compared(ask):
    texts = ["a red planet", "the Red Planet", "boil pasta"]
    answer = (await ask("/api/similarity", {"texts": texts})).json()
    matrix = answer["matrix"]

    assert matrix[0][1] > matrix[0][2]
    assert [matrix[n][n] for n in range(3)] == pytest.approx([1, 1, 1], abs=1e-5)
    asked = (await ask("/api/similarity", {"texts": texts, "question_first": True})).json()
    assert asked["matrix"][0] == [row[0] for row in asked["matrix"]]


async def test_the_status_tells_what_is_served(ask):
    status = (await ask("/api/status")).json()

    assert status["index"]["documents"] == 4
    assert status["index"]["fields"] == ["kind"]
    assert status["models"][0]["fingerprint"] == status["index"]["fingerprint"]
    assert status["index_model"] == status["models"][0]["name"]
    assert status["memory_bytes"] > 1 << 20


async def test_without_an_index_the_rest_works(ask_without_index):
    searched = await ask_without_index("/api/search", {"query": "red"})
    status = (await ask_without_index("/api/status")).json()
    compared = await ask_without_index("/api/similarity", {"texts": ["a", "b"]})

    assert (searched.status_code, compared.status_code) == (409, 200)
    assert status["index"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/search", {}),
        ("/api/search", {"query": ""}),
        ("/api/search", {"query": "x" * 8_001}),
        ("/api/search", {"query": "x", "top_k": 0}),
        ("/api/search", {"query": "x", "modes": []}),
        ("/api/search", {"query": "x", "modes": ["sideways"]}),
        ("/api/search", {"query": "x", "filters": [{"key": "a", "operator": "like"}]}),
        ("/api/search", {"query": "x", "surprise": 1}),
        ("/api/search", []),
        ("/api/marks", {"query": "x"}),
        ("/api/marks", {"query": "x", "node_ids": ["n"] * 151}),
        ("/api/why", {"query": "x"}),
        ("/api/similarity", {"texts": []}),
        ("/api/similarity", {"texts": ["x"] * 41}),
        ("/api/similarity", {"texts": [1]}),
    ],
)
async def test_what_makes_no_sense_is_refused_and_never_repeated(ask, path, body):
    answer = await ask(path, body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")
    assert "sideways" not in answer.text


async def test_unknown_models_and_rerankers_are_refused(ask):
    compared = await ask("/api/similarity", {"texts": ["x"], "model": "other"})
    searched = await ask("/api/search", {"query": "x", "rerank": "other"})

    assert (compared.status_code, searched.status_code) == (404, 404)


async def test_the_public_description_leaves_the_page_out(ask):
    paths = (await ask("/openapi.json")).json()["paths"]

    assert not [path for path in paths if path.startswith("/api")]


async def test_the_last_bench_is_given(ask, tmp_path):
    from nearfield.core.settings import Settings

    with Settings.override(cache_dir=tmp_path):
        assert (await ask("/api/bench")).json() is None
        (tmp_path / "bench.json").write_text(json.dumps({"models": []}))
        assert (await ask("/api/bench")).json() == {"models": []}


class Shortest:
    """Finds that the shortest text answers best."""

    model_name = fingerprint = "shortest"

    def rerank(self, query, texts):
        return [-float(len(text)) for text in texts]


async def test_results_can_be_reranked(index):
    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig
    from nearfield.server.service import Service

    config = ServerConfig(index=index)
    asked = asking(create_app, Service, config)
    asked.service.rerankers["shortest"] = Shortest()
    async with asked as ask:
        body = {"query": "red planet", "modes": ["vector", "hybrid"], "rerank": "shortest"}
        answer = (await ask("/api/search", body)).json()

    lengths = [one["length"] for one in answer["results"]["vector"]]
    assert lengths == sorted(lengths)
    assert answer["results"]["vector"][0]["score"] == -lengths[0]
    assert "rerank" in answer["times_ms"]
