"""``/v1/embeddings`` and its neighbours, by plain HTTP."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.core.vectors import normalize

pytestmark = pytest.mark.server


def vectors(body):
    return np.array([entry["embedding"] for entry in body["data"]], np.float32)


@pytest.mark.parametrize("given", ["one text", ["one text"], ["two", "texts", "and a third"]])
def test_texts_come_back_as_the_librarys_vectors_bit_for_bit(server, bundled, given):
    status, body, _ = server.embed(given)

    texts = [given] if isinstance(given, str) else given
    assert status == 200
    assert np.array_equal(vectors(body), bundled.encode(texts))
    assert [entry["index"] for entry in body["data"]] == list(range(len(texts)))
    assert body["object"] == "list"
    assert body["model"] == "m"
    assert {entry["object"] for entry in body["data"]} == {"embedding"}


def test_base64_is_little_endian_float32(server, bundled):
    _, body, _ = server.embed(["some text"], encoding_format="base64")

    sent = base64.b64decode(body["data"][0]["embedding"])
    assert np.array_equal(np.frombuffer(sent, "<f4"), bundled.encode(["some text"])[0])


def test_usage_counts_the_models_own_tokens(server, bundled):
    _, body, _ = server.embed(["a few plain words", "more"])

    read = bundled.measure.encode(["a few plain words", "more"])
    tokens = sum(map(len, read.ids))
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_what_was_cut_is_said_in_a_header(server):
    _, body, headers = server.embed("word " * 1000)

    cut = int(headers["x-nearfield-truncated-tokens"])
    assert cut == 1000 - 254
    assert body["usage"]["prompt_tokens"] == 256
    assert "x-nearfield-truncated-tokens" not in server.embed("word")[2]


def test_dimensions_are_given_where_the_model_allows_them(server, bundled):
    status, body, _ = server.embed("short vector", dimensions=128)

    assert status == 200
    assert np.array_equal(vectors(body), normalize(bundled.encode(["short vector"])[:, :128]))
    assert server.embed("whole vector", dimensions=384)[0] == 200


def test_dimensions_the_model_was_not_trained_for_are_refused(server):
    status, body, _ = server.embed("text", dimensions=100)

    assert status == 400
    assert body["error"]["param"] == "dimensions"
    assert server.embed("text", "text-embedding-ada-002", dimensions=128)[0] == 400


def test_an_input_type_may_be_named(server, bundled):
    _, body, _ = server.embed("what is it", input_type="query")

    assert np.array_equal(vectors(body), bundled.encode(["what is it"], input_type="query"))
    assert server.embed("what", input_type="other")[0] == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "input"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": ["a", ""]}, "input"),
        ({"model": "m", "input": [1.5]}, "input"),
        ({"model": "m", "input": [[]]}, "input"),
        ({"model": "m", "input": [-1]}, "input"),
        ({"model": "m", "input": ["a"] * 2049}, "input"),
        ({"model": "m", "input": "a" * 1_000_001}, "input"),
        ({"model": "m", "input": {"text": "a"}}, "input"),
        ({"input": "a"}, "model"),
        ({"model": 3, "input": "a"}, "model"),
        ({"model": "m", "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ({"model": "m", "input": "a", "user": 3}, "user"),
        ([], None),
        (None, None),
    ],
)
def test_a_wrong_request_is_told_which_field_is_at_fault(server, body, param):
    status, answer, _ = server.ask("POST", "/v1/embeddings", raw=json.dumps(body).encode())

    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == param
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_an_unknown_model_is_not_found(server):
    status, body, _ = server.embed("text", "no-such-model")

    assert status == 404
    assert body["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("name", ["local:/etc", "bundled", "openai:gpt", "../../etc/passwd"])
def test_no_request_can_name_a_path_or_a_model_that_is_not_configured(server, name):
    assert server.embed("text", name)[0] == 404


def test_half_a_character_pair_is_a_text_like_any_other(server):
    status, body, _ = server.ask(
        "POST", "/v1/embeddings", raw=b'{"model": "m", "input": "half \\ud83d"}'
    )

    assert status in {200, 400}
    assert "data" in body or "error" in body


def test_the_models_are_listed_by_name(server):
    _, body, _ = server.ask("GET", "/v1/models")

    assert [model["id"] for model in body["data"]][:2] == ["m", "text-embedding-ada-002"]
    assert server.ask("GET", "/v1/models/m")[1]["id"] == "m"
    assert server.ask("GET", "/v1/models/none")[0] == 404


def test_health_and_metrics_speak_of_numbers_only(server):
    text = "a very particular text that must not leak"
    server.embed(text)

    assert server.ask("GET", "/health")[:2] == (200, {"status": "ready"})
    metrics = server.ask("GET", "/metrics")[1].decode()
    assert "particular" not in metrics
    for name in (
        'request_seconds_count{route="/v1/embeddings",status="200"}',
        'queue_seconds_count{model="m"}',
        'tokenize_seconds_count{model="m"}',
        'inference_seconds_count{model="m"}',
        'batch_texts_sum{model="m"}',
        "queue_requests",
        'truncated_tokens_total{model="m"}',
    ):
        assert f"nearfield_{name} " in metrics


def test_a_path_that_was_asked_for_is_no_label(server):
    server.ask("GET", "/no/such/secret-path")

    assert "secret-path" not in server.ask("GET", "/metrics")[1].decode()


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/metrics", "/static/app.js"])
def test_head_gives_what_get_gives_without_its_body(server, path):
    status, body, headers = server.ask("HEAD", path)
    wanted, _, others = server.ask("GET", path)

    assert (status, headers["content-type"]) == (wanted, others["content-type"]) != (405, None)
    assert not body


def test_other_methods_are_refused_in_the_same_shape(server):
    status, body, headers = server.ask("GET", "/v1/embeddings")

    assert (status, headers["allow"]) == (405, "POST")
    assert "error" in body
    assert server.ask("GET", "/nothing")[0] == 404
    assert server.ask("DELETE", "/v1/models")[0] == 405


def test_a_text_that_fails_hurts_only_its_own_request(running, gated):
    with running({"m": gated}) as server:
        gated.gate.clear()
        answers = {}

        def ask(text):
            answers[text] = server.embed(text)

        texts = ["first", *(f"good {n}" for n in range(10)), "poison"]
        threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
        threads[0].start()
        gated.begun.acquire()
        for thread in threads[1:]:
            thread.start()
        while server.service.stats()["queue_texts"] < len(texts):
            pass
        gated.gate.set()
        for thread in threads:
            thread.join()

    assert answers["poison"][0] == 500
    assert "poison" not in answers["poison"][1]["error"]["message"]
    assert {answers[text][0] for text in texts[:-1]} == {200}


def test_search_finds_passages_of_the_served_index(running, tmp_path, bundled):
    path = tmp_path / "notes.index"
    documents = [
        Document("Cats sleep most of the day.", id_="cats", metadata={"kind": "pet"}),
        Document("The stock market fell sharply.", id_="market", metadata={"kind": "news"}),
    ]
    with VectorStoreIndex.from_documents(documents, path=path, embed_model=bundled) as index:
        alone = index.as_retriever(2).retrieve("animals at home")
    with running(index=path) as server:
        status, body, _ = server.ask("POST", "/v1/search", {"query": "animals at home", "top_k": 2})
        filtered = server.ask(
            "POST", "/v1/search", {"query": "animals", "filters": {"kind": "news"}}
        )
        words = server.ask("POST", "/v1/search", {"query": "market", "mode": "text"})
        wrong = server.ask("POST", "/v1/search", {"query": "", "top_k": 0})
        model = server.service.index_model
        embedded = server.embed("text", model)[0]

    assert status == 200
    assert [(hit["document_id"], hit["score"]) for hit in body["data"]] == [
        (found.node.document_id, found.score) for found in alone
    ]
    assert body["data"][0]["text"] == "Cats sleep most of the day."
    assert [hit["document_id"] for hit in filtered[1]["data"]] == ["market"]
    assert [hit["document_id"] for hit in words[1]["data"]] == ["market"]
    assert wrong[0] == 400
    assert embedded == 200


def test_metadata_that_utf_8_cannot_say_is_answered(running, tmp_path, bundled):
    path = tmp_path / "notes.index"
    metadata = {"key\ud800": ["a\udfff", {"b": "\ud800"}], "year": 2020}
    document = Document("Cats sleep most of the day.", id_="cats\ud800", metadata=metadata)
    VectorStoreIndex.from_documents([document], path=path, embed_model=bundled).close()
    with running(index=path) as server:
        status, body, _ = server.ask("POST", "/v1/search", {"query": "animals"})

    assert status == 200
    (hit,) = body["data"]
    assert hit["document_id"] == "cats\ufffd"
    assert hit["metadata"] == {"key\ufffd": ["a\ufffd", {"b": "\ufffd"}], "year": 2020}


def test_search_without_an_index_says_how_to_serve_one(server):
    status, body, _ = server.ask("POST", "/v1/search", {"query": "text"})

    assert status == 409
    assert "--index" in body["error"]["message"]


class WordCount:
    """A reranker: a text's score is how many of the question's words it has."""

    model_name = fingerprint = "words"

    def rerank(self, query, texts):
        words = set(query.split())
        return np.array([len(words & set(text.split())) for text in texts], np.float32)

    async def arerank(self, query, texts):
        return self.rerank(query, texts)


@pytest.fixture(scope="module")
def ranking(running, bundled):
    with running({"m": bundled}, rerankers={"words": WordCount()}) as server:
        yield server


def test_rerank_answers_in_coheres_shape(ranking):
    documents = ["nothing", "red apple", {"text": "a red apple tree"}]
    status, body, _ = ranking.ask(
        "POST", "/v1/rerank", {"model": "words", "query": "red tree", "documents": documents}
    )

    assert status == 200
    assert [(hit["index"], hit["relevance_score"]) for hit in body["results"]] == [
        (2, 2.0),
        (1, 1.0),
        (0, 0.0),
    ]
    assert body["id"]
    assert [model["id"] for model in ranking.ask("GET", "/v1/models")[1]["data"]] == ["m", "words"]


def test_rerank_gives_the_best_and_their_texts_when_asked(ranking):
    _, body, _ = ranking.ask(
        "POST",
        "/v1/rerank",
        {"query": "b", "documents": ["a", "b"], "top_n": 1, "return_documents": True},
    )

    assert [(hit["index"], hit["document"]) for hit in body["results"]] == [(1, {"text": "b"})]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": "a", "documents": []}, 400),
        ({"query": "", "documents": ["a"]}, 400),
        ({"documents": ["a"]}, 400),
        ({"query": "a", "documents": ["a"], "top_n": 0}, 400),
        ({"query": "a", "documents": ["a"], "model": "local:/etc"}, 404),
        ({"query": "a", "documents": ["a"] * 1001}, 400),
    ],
)
def test_a_wrong_rerank_request_is_refused(ranking, body, expected):
    status, answer, _ = ranking.ask("POST", "/v1/rerank", body)

    assert status == expected
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_sigterm_finishes_what_is_under_way_and_ends_well(tmp_path):
    """Requests begun before the signal are all answered; then the process ends with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfield", "serve", "--model", "m=bundled", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        port = int(re.search(r":(\d+) ", process.stdout.readline())[1])
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"model": "m", "input": [f"{'text ' * 100}{n}" for n in range(150)]})
        connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        watcher = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        counted = b""
        while b"nearfield_queue_requests 1.0" not in counted:
            watcher.request("GET", "/metrics")
            counted = watcher.getresponse().read()
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["data"]) == 150
        connection.close()
        watcher.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        _, said = process.communicate()
    assert said == ""
