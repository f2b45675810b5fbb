"""The JSON of the OpenAI chat API, as far as a query engine needs it: pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVENT = "data:"
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a chat model answered.

    Attributes:
        text: Its words.
        tokens: Tokens billed, prompt and answer; 0 when the service does not say.
    """

    text: str
    tokens: int = 0


def chat_request(
    model: str,
    prompt: str,
    *,
    system_prompt: str | None = None,
    stream: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a request of one question.

    Args:
        model: The model's name.
        prompt: The question.
        system_prompt: What the model is told beforehand.
        stream: Whether the words are to come one by one.
        extra: Further fields, such as ``temperature``; ``None`` values are left out.

    Returns:
        The body, ready for JSON.
    """
    messages = [{"role": "user", "content": prompt}]
    if system_prompt is not None:
        messages.insert(0, {"role": "system", "content": system_prompt})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if stream:
        body["stream"] = True
    body.update({name: value for name, value in (extra or {}).items() if value is not None})
    return body


def read_chat_reply(content: bytes) -> ChatReply:
    """Read a whole answer.

    Args:
        content: The body.

    Returns:
        The words and what they cost.

    Raises:
        ProviderError: The body is not the JSON of a chat reply.
    """
    try:
        body = json.loads(content)
        text = body["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        message = "The service's answer is not a chat completion. Check api_base and the model."
        raise ProviderError(message, status=200) from error
    if not isinstance(text, str):
        message = "The chat model answered with no text. Try again, or another model."
        raise ProviderError(message, status=200)
    usage = body.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else 0
    return ChatReply(text, tokens if isinstance(tokens, int) else 0)


def read_chat_event(line: str) -> str | None:
    """Read one line of a streamed answer.

    Args:
        line: A line of the event stream, without its end.

    Returns:
        The words it brings, ``""`` for none, or ``None`` when the answer is complete.

    Raises:
        ProviderError: The line reports an error, or is not the JSON of a chat event.
    """
    if not line.startswith(_EVENT):
        return ""
    data = line[len(_EVENT) :].strip()
    if data == _END:
        return None
    try:
        event = json.loads(data)
        if "error" in event:
            message = f"The service stopped answering: {event['error']}."
            raise ProviderError(message, status=200)
        choices = event.get("choices")
        words = choices[0]["delta"].get("content") if choices else ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        message = "The service's answer is not a stream of chat events. Check api_base."
        raise ProviderError(message, status=200) from error
    return words if isinstance(words, str) else ""
