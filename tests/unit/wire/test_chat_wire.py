"""The JSON of the chat API, read and written."""

from __future__ import annotations

import json

import pytest

from nearfield.errors import ProviderError
from nearfield.wire.chat import ChatReply, chat_request, read_chat_event, read_chat_reply


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
        ('data:{"choices": [{"delta": {}}]}', ""),
        ('data: {"choices": []}', ""),
        (": keep-alive", ""),
        ("", ""),
        ("data: [DONE]", None),
    ],
)
def test_a_streamed_answer_is_read_line_by_line(line, words):
    assert read_chat_event(line) == words


@pytest.mark.parametrize("line", ["data: {", "data: 3", 'data: {"error": {"message": "x"}}'])
def test_a_line_at_fault_is_told(line):
    with pytest.raises(ProviderError):
        read_chat_event(line)
