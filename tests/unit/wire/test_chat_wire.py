"""The JSON of the chat API, read and written."""

from __future__ import annotations

import json

import pytest

from nearfield.errors import ProviderError
from nearfield.wire.chat import ChatEvents, ChatReply, chat_request, read_chat_reply


def test_a_request_holds_the_question_and_what_was_asked_for():
    body = chat_request("m", "why?", system_prompt="be brief", extra={"temperature": 0, "x": None})
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "why?"},
        ],
        "temperature": 0,
    }
    assert chat_request("m", "why?", stream=True)["stream"] is True


def test_an_answer_is_read_with_its_price():
    body = {"choices": [{"message": {"content": "so"}}], "usage": {"total_tokens": 4}}
    assert read_chat_reply(json.dumps(body).encode()) == ChatReply("so", 4)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": null}',
    ],
)
def test_anything_else_is_not_an_answer(content):
    with pytest.raises(ProviderError):
        read_chat_reply(content)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('data: {"choices": [{"delta": {"content": "a"}}]}', "a"),
        ('data: {"choices": [{"delta": {"content": "a"}}], "error": null}', "a"),
        ('data:{"choices": [{"delta": {}}]}', ""),
        ('data:{"choices": [{"delta": null}]}', ""),
        ('data: {"choices": []}', ""),
        (": keep-alive", ""),
        ("", ""),
        ("data: [DONE]", ""),
    ],
)
def test_a_streamed_answer_is_read_line_by_line(line, words):
    events = ChatEvents()
    assert events.read(line) == words
    assert events.ended == ("DONE" in line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("data: {", "not a stream"),
        ("data: 3", "not a stream"),
        ('data: {"error": {"message": "overloaded"}}', "stopped answering: overloaded"),
    ],
)
def test_a_line_at_fault_is_told(line, says):
    with pytest.raises(ProviderError, match=says):
        ChatEvents().read(line)


WORDS = 'data: {"choices": [{"delta": {"content": "half"}}]}'
LAST = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("end", ["data: [DONE]", LAST])
def test_an_answer_is_whole_when_the_service_says_so_in_either_way(end):
    events = ChatEvents()
    for line in (WORDS, end, ""):
        events.read(line)
    events.check()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "in the middle"),
        ([WORDS, ""], "in the middle"),
        ([": wait", "event: ping", ""], "in the middle"),
        (["<html>", "<body>"], "not a stream .*<html>"),
        (['{"error": {"message": "overloaded"}}'], "not a stream .*overloaded"),
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_told(lines, says):
    events = ChatEvents()
    for line in lines:
        assert events.read(line) in {"", "half"}
    with pytest.raises(ProviderError, match=says):
        events.check()
