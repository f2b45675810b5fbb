"""Chat models behind OpenAI's protocol."""

from __future__ import annotations

import asyncio
import json
import pickle
import queue
import threading

import pytest

from nearfield.core.llm import LLM, check_llm
from nearfield.errors import (
    AuthenticationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from nearfield.llms.openai_like import OpenAILikeLLM
from nearfield.testing import faults
from nearfield.testing.clock import FakeClock

pytestmark = pytest.mark.openai


@pytest.fixture
def make(server):
    def make_llm(**kwargs):
        llm = OpenAILikeLLM("chatty", server.url, server.api_key, **kwargs)
        llm._service.clock = FakeClock()
        return llm

    return make_llm


def test_it_is_what_the_query_engine_asks_for(make):
    llm = make()
    assert isinstance(llm, LLM)
    assert check_llm(llm) is llm


def test_a_prompt_is_answered(server, make):
    llm = make(temperature=0, max_tokens=9, system_prompt="be brief")
    assert llm.complete("hello") == "You wrote: hello"
    body = server.calls[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("chatty", 0, 9)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert llm.totals.tokens == 3


def test_the_coroutine_gives_the_same(make):
    assert asyncio.run(make().acomplete("hello")) == "You wrote: hello"


def test_an_answer_is_streamed_in_pieces(make):
    llm = make()
    assert list(llm.stream("a b c")) == ["You ", "wrote: ", "a ", "b ", "c"]

    async def collect():
        return [piece async for piece in llm.astream("a b c")]

    assert "".join(asyncio.run(collect())) == "You wrote: a b c"


def test_a_stream_left_early_closes_its_connection(server, make):
    llm = make()
    stream = llm.stream("a b c")
    assert next(stream) == "You "
    stream.close()
    assert llm.complete("again") == "You wrote: again"


def test_many_streams_may_be_open_at_once_and_keep_no_other_request_waiting(make):
    llm = make()

    def read():
        streams = [llm.stream(f"number {number}") for number in range(20)]
        begun = [next(stream) for stream in streams]
        whole = llm.complete("hello")
        return whole, [first + "".join(rest) for first, rest in zip(begun, streams, strict=True)]

    async def aread():
        streams = [llm.astream(f"number {number}") for number in range(20)]
        begun = [await anext(stream) for stream in streams]
        whole = await llm.acomplete("hello")
        return whole, [
            a + "".join([b async for b in s]) for a, s in zip(begun, streams, strict=True)
        ]

    expected = "You wrote: hello", [f"You wrote: number {number}" for number in range(20)]
    assert in_a_moment(read) == expected
    assert in_a_moment(lambda: asyncio.run(aread())) == expected


def in_a_moment(call):
    """Give what a call gives, or fail where it would wait for ever."""
    given = queue.SimpleQueue()
    threading.Thread(target=lambda: given.put(call()), daemon=True).start()
    return given.get(timeout=30)


@pytest.mark.parametrize("way", ["complete", "acomplete", "stream", "astream"])
def test_passing_faults_are_tried_again(server, make, way):
    server.script(faults.refused(503), faults.refused(429, retry_after="1"))
    llm = make()

    async def collect():
        return "".join([piece async for piece in llm.astream("hi")])

    run = {
        "complete": lambda: llm.complete("hi"),
        "acomplete": lambda: asyncio.run(llm.acomplete("hi")),
        "stream": lambda: "".join(llm.stream("hi")),
        "astream": lambda: asyncio.run(collect()),
    }[way]
    assert run() == "You wrote: hi"
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.web_page(), ProviderError),
        (faults.refused(401), AuthenticationError),
        (faults.hang(), ProviderTimeoutError),
        (faults.half_a_body(), ProviderUnavailableError),
    ],
)
def test_faults_are_told(server, make, fault, error):
    server.always(fault)
    llm = make(timeout=0.2, max_retries=0)
    with pytest.raises(error):
        llm.complete("hi")
    with pytest.raises(error):
        "".join(llm.stream("hi"))


def streamed(*events):
    """Answer a stream of these events, and end it."""
    lines = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)
    return faults.Fault(200, lines.encode(), {"content-type": "text/event-stream"})


def words(text, finish_reason=None):
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]}


def collected(llm, way):
    async def collect():
        return "".join([piece async for piece in llm.astream("hi")])

    return "".join(llm.stream("hi")) if way == "stream" else asyncio.run(collect())


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_an_answer_cut_short_is_not_taken_for_a_whole_one(server, make, way):
    server.script(streamed(words("Take all"), words(" but")))
    with pytest.raises(ProviderError, match="in the middle of its answer"):
        collected(make(), way)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_words_may_hold_any_of_unicodes_line_ends(server, make, way):
    text = "one\u2028two\x85three\u2029four \U0001f680"
    server.script(streamed(words(text), words("", "stop")))
    assert collected(make(), way) == text


@pytest.mark.parametrize("way", ["complete", "stream", "astream"])
def test_a_key_that_an_answer_repeats_is_not_shown(server, make, way):
    body = {"error": {"message": f"no credit for {server.api_key}"}}
    server.always(faults.Fault(200, json.dumps(body).encode()))
    llm = make()
    with pytest.raises(ProviderError) as caught:
        llm.complete("hi") if way == "complete" else collected(llm, way)
    assert server.api_key not in str(caught.value)


def test_the_key_shows_nowhere(make, server):
    llm = make()
    assert server.api_key not in repr(llm)
    assert server.api_key.encode() not in pickle.dumps(llm)


def test_a_key_for_openai_is_not_sent_elsewhere(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai-only")
    server.api_key = None
    OpenAILikeLLM("chatty", server.url).complete("hi")
    assert "for-openai-only" not in str(server.calls[0].headers)


def test_openai_itself_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        OpenAILikeLLM("gpt-4o-mini")
