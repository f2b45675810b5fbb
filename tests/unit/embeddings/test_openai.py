"""What OpenAIEmbedding sends, keeps and says."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import threading
import warnings

import numpy as np
import pytest

from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.settings import Settings
from nearfield.embeddings.openai import OpenAIEmbedding
from nearfield.errors import AuthenticationError, ConfigError
from nearfield.remote.default_cache import DefaultCache
from nearfield.testing.openai_server import word_vectors

pytestmark = pytest.mark.openai


@pytest.fixture
def make(server):
    """Give a function that makes models of the server, without a cache unless one is given."""

    def make_model(**kwargs):
        arguments = {"api_key": server.api_key, "api_base": server.url, "cache": False, **kwargs}
        return OpenAIEmbedding(**arguments)

    return make_model


def test_the_defaults_are_the_pages():
    model = OpenAIEmbedding(api_key="x")
    assert model.model_name == "text-embedding-ada-002"
    assert model.embed_batch_size == 10
    assert (model.dim, model.max_tokens) == (1536, 8192)
    assert "api.openai.com" in repr(model)


def test_texts_go_out_byte_for_byte_and_nothing_unasked_with_them(server, make):
    text = "two\nlines\t and  blanks \u00e9\u0301 \x00"
    make().get_text_embedding(text)
    assert server.calls[0].body == {
        "input": [text],
        "model": "text-embedding-ada-002",
        "encoding_format": "base64",
    }


def test_what_is_asked_for_goes_out(server, make):
    model = make(
        model="text-embedding-3-small",
        dimensions=8,
        user="somebody",
        additional_kwargs={"priority": 3},
        default_headers={"x-team": "search"},
    )
    assert len(model.get_text_embedding("a")) == model.dim == 8
    body = server.calls[0].body
    assert (body["dimensions"], body["user"], body["priority"]) == (8, "somebody", 3)
    assert server.calls[0].headers["x-team"] == "search"


def test_batches_are_of_ten_unless_said_otherwise(server, make):
    texts = [f"text {n}" for n in range(25)]
    make(num_workers=1).encode(texts)
    assert [len(inputs) for inputs in server.embedded] == [10, 10, 5]
    server.calls.clear()
    make(embed_batch_size=42).encode(texts)
    assert [len(inputs) for inputs in server.embedded] == [25]


def test_auto_packs_to_the_limits_of_the_service(server, make):
    model = make(embed_batch_size="auto", num_workers=1)
    model.encode([f"text {n}" for n in range(3000)])
    assert [len(inputs) for inputs in server.embedded] == [2048, 952]
    server.calls.clear()
    model.encode([f"{n} " + "word " * 60_000 for n in range(5)])
    assert [len(inputs) for inputs in server.embedded] == [2, 2, 1]


def test_equal_texts_are_sent_once(server, make):
    vectors = make().encode(["a", "b", "a"])
    assert server.embedded == [["a", "b"]]
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_at_most_num_workers_requests_are_under_way(server, make):
    server.latency_s = 0.01
    texts = [f"text {n}" for n in range(60)]
    model = make(embed_batch_size=1, num_workers=3)
    model.encode(texts)
    assert server.most_at_once == 3

    async def many_calls():
        await asyncio.gather(*(model.aget_text_embedding(text) for text in texts))

    asyncio.run(many_calls())
    assert server.most_at_once == 3
    with pytest.raises(ConfigError, match="num_workers"):
        make(num_workers=0)


def test_a_thousand_calls_with_half_cancelled_leave_nothing_behind(server, make):
    """No task, no socket, no wrong vector."""
    server.latency_s = 0.001

    async def storm():
        model = make(num_workers=32)
        tasks = [asyncio.create_task(model.aget_text_embedding(f"text {n}")) for n in range(1000)]
        await asyncio.to_thread(server.wait_for_calls, 20)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return results

    results = asyncio.run(storm())
    right = word_vectors([f"text {n}" for n in range(1000)], server.dim)
    kept = [n for n, result in enumerate(results) if isinstance(result, list)]
    assert len(kept) >= 500
    assert all(isinstance(results[n], asyncio.CancelledError) for n in set(range(1000)) - set(kept))
    np.testing.assert_array_equal([results[n] for n in kept], right[kept])
    server.wait_until_idle()


def test_connections_close_with_the_loop_with_close_and_with_the_model(server, make):
    model = make()
    asyncio.run(model.aencode(["a"]))
    server.wait_until_idle()
    model.encode(["b"])
    assert server.open_connections == 1
    model.close()
    server.wait_until_idle()
    model.encode(["c"])
    del model
    gc.collect()
    server.wait_until_idle()


def test_one_connection_serves_many_calls_unless_told_otherwise(server, make):
    with make() as model:
        for n in range(5):
            model.get_text_embedding(f"text {n}")
        assert server.connections_made == 1
    fresh = make(reuse_client=False)
    for n in range(5):
        fresh.get_text_embedding(f"text {n}")
    assert server.connections_made == 6


def test_the_same_model_serves_one_loop_after_another(make):
    model = make()
    for n in range(3):
        assert asyncio.run(model.aencode([f"text {n}"])).shape == (1, 16)


def test_loops_closed_without_their_end_leave_no_heap_of_connections(server, make):
    """As with new_event_loop(), run_until_complete() and close() for each call."""
    model = make()
    for n in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(model.aencode([f"text {n}"]))
        loop.close()
    del loop
    asyncio.run(model.aencode(["the last"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody could close those properly
        gc.collect()
    server.wait_until_idle()
    assert server.connections_made == 6


def test_a_client_of_the_callers_own_is_used_and_not_closed(server, make):
    import openai

    seen = []
    own = openai.DefaultHttpxClient(event_hooks={"request": [seen.append]})
    with make(http_client=own) as model:
        model.get_text_embedding("a")
    assert len(seen) == 1
    assert not own.is_closed
    own.close()


def test_a_deep_copy_sends_by_the_callers_own_client_too(make):
    """As scikit-learn makes of a model in a pipeline; the client may know a proxy's way."""
    import openai

    seen = []
    with openai.DefaultHttpxClient(event_hooks={"request": [seen.append]}) as own:
        copy.deepcopy(make(http_client=own)).get_text_embedding("a")
    assert len(seen) == 1


def test_a_blocking_call_works_in_a_running_loop(make):
    async def notebook():
        return make().encode(["a"])

    assert asyncio.run(notebook()).shape == (1, 16)


def test_a_forked_child_opens_connections_of_its_own(server, make):
    model = make()
    before = model.get_text_embedding("a")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"1" if model.get_text_embedding("a") == before else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    assert server.connections_made == 2


# The key.


def test_no_key_is_told_at_once_with_the_variable_and_the_way_out(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match=r"OPENAI_API_KEY.*'local'"):
        OpenAIEmbedding()


def test_the_environment_gives_key_and_address(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert len(OpenAIEmbedding(cache=False).get_text_embedding("a")) == 16


def test_the_key_may_be_made_when_needed(server, make):
    assert make(api_key=lambda: server.api_key).encode(["a"]).shape == (1, 16)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_function_gives_the_key_anew_for_each_request(server, make, way):
    """Keys that expire are handed out so; connections outlive them."""
    keys = [f"key-of-hour-{hour}" for hour in range(4)]
    made = iter(keys)
    server.api_key = None
    model = make(api_key=lambda: next(made, keys[-1]))

    async def both():
        return [await model.aencode([text]) for text in ("a", "b")]

    [model.encode([text]) for text in ("a", "b")] if way == "sync" else asyncio.run(both())
    sent = [call.headers["authorization"].removeprefix("Bearer ") for call in server.calls]
    assert len(set(sent)) == 2
    assert server.connections_made == 1


@pytest.mark.parametrize("key", ["a-secret\nkey", "a-secret\u2026"])
def test_a_key_that_cannot_be_sent_is_told_at_once_and_not_shown(make, key):
    with pytest.raises(AuthenticationError, match=r"OPENAI_API_KEY.*Copy it anew") as caught:
        make(api_key=key)
    assert "secret" not in str(caught.value)


def test_the_key_shows_nowhere(server, make):
    model = make()
    model.encode(["a"])
    assert server.api_key not in repr(model)
    assert server.api_key not in repr(vars(model))
    assert server.api_key not in model.fingerprint
    assert server.api_key.encode() not in pickle.dumps(model)


def test_a_password_in_the_address_shows_nowhere(server, make):
    model = make(api_base=server.url.replace("://", "://user:passw0rd@"))
    assert "passw0rd" not in repr(model) + model.fingerprint


def test_a_pickled_model_works_where_the_key_is_in_the_environment(server, make, monkeypatch):
    data = pickle.dumps(make(requests_per_minute=600))
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    woken = pickle.loads(data)
    assert woken.encode(["a"]).shape == (1, 16)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        pickle.loads(data).encode(["a"])


def test_a_copied_model_works(make):
    assert copy.copy(make()).encode(["a"]).shape == (1, 16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_base": "nonsense"},
        {"api_base": "ftp://x"},
        {"api_base": "http://x/v1\n"},
        {"timeout": 0},
        {"timeout": None},
        {"max_retries": -1},
        {"max_retries": None},
        {"dimensions": 0},
    ],
)
def test_an_argument_that_makes_no_sense_is_told_at_once(make, wrong):
    with pytest.raises(ConfigError):
        make(**wrong)


@pytest.mark.parametrize("size", [0, 2049, "many"])
def test_a_batch_size_out_of_range_is_told_at_once(make, size):
    with pytest.raises(ConfigError, match="embed_batch_size"):
        make(embed_batch_size=size)


# The cache.


def test_what_was_paid_for_once_is_not_paid_for_again(server, make, tmp_path):
    with Settings.override(cache_dir=tmp_path):
        for _ in range(3):
            make(cache=None).encode(["a", "b"])
    assert server.embedded == [["a", "b"]]


def test_the_cache_crosses_neither_models_nor_kinds_nor_dimensions(server, make, tmp_path):
    with Settings.override(cache_dir=tmp_path):
        make(cache=None).encode(["a"])
        make(cache=None).encode(["a"], input_type="query")
        make(cache=None, model="text-embedding-3-small").encode(["a"])
        make(cache=None, model="text-embedding-3-small", dimensions=8).encode(["a"])
        make(cache=None, text_instruction="passage: ").encode(["a"])
    assert len(server.calls) == 5


@pytest.mark.parametrize("hook", ["_encode", "_aencode", "_get_text_embedding"])
def test_a_subclass_that_computes_otherwise_shares_the_cache_only_if_its_fingerprint_says_so(hook):
    """Else what it computed before it was changed would come back."""
    silent = type("Mine", (OpenAIEmbedding,), {hook: getattr(OpenAIEmbedding, hook)})
    told = type("Mine", (silent,), {"fingerprint": "mine"})
    plain = type("Mine", (OpenAIEmbedding,), {"anything": 1})
    assert silent(api_key="x").cache is None
    assert isinstance(silent(api_key="x", cache=True).cache, DefaultCache)
    assert isinstance(told(api_key="x").cache, DefaultCache)
    assert isinstance(plain(api_key="x").cache, DefaultCache)


def test_a_cache_that_cannot_be_written_stops_nobody(server, make, tmp_path, caplog):
    (tmp_path / "cache").write_text("not a folder")
    with Settings.override(cache_dir=tmp_path / "cache"):
        model = make(cache=None)
        assert model.encode(["a"]).shape == (1, 16)
    assert isinstance(model.cache, DefaultCache)
    assert "not cached" in caplog.text


def test_how_vectors_travel_and_who_asks_is_not_in_the_fingerprint(make):
    plain = make().fingerprint
    assert make(user="somebody").fingerprint == plain
    assert make(embed_batch_size=3, timeout=5, max_retries=1).fingerprint == plain
    assert make(additional_kwargs={"task": "search"}).fingerprint != plain


# Names that stand for it.


def test_it_is_made_by_name(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert resolve_embed_model("openai").model_name == "text-embedding-ada-002"
    assert resolve_embed_model("openai:text-embedding-3-large").dim == 3072


def test_a_key_in_the_environment_makes_no_remote_model_the_default(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    for name in (None, "default", "local"):
        resolve_embed_model(name).get_text_embedding("a")
    assert server.calls == []


def test_totals_add_up_over_calls_and_threads(make):
    model = make(num_workers=1)
    threads = [
        threading.Thread(target=model.encode, args=([f"{n} a", f"{n} b"],)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = model.totals
    assert (totals.texts, totals.requests, totals.tokens) == (16, 8, 32)


def test_a_pickle_holds_no_header(server):
    """A gateway's key often travels in a header of its own."""
    model = OpenAIEmbedding(
        api_key="sk-test", api_base=server.url, default_headers={"x-gateway-key": "hush-hush"}
    )

    assert b"hush-hush" not in pickle.dumps(model)
    assert "hush-hush" not in repr(vars(model))
    assert copy.deepcopy(model).connection.headers.reveal() == {"x-gateway-key": "hush-hush"}
