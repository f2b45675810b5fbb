"""The JSON of the OpenAI chat API, as far as a query engine needs it: pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield.errors import ProviderError
from nearfield.wire.openai import read_error

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVENT = "data:"
_END = "[DONE]"
_NO_WORDS = (":", "event:", "id:", "retry:")
_NO_STREAM = "The service's answer is not a stream of chat events (check api_base and the model)"


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


class ChatEvents:
    """A streamed answer, read line by line.

    Attributes:
        ended: The service has said that nothing more comes.
    """

    def __init__(self) -> None:
        self.ended = False
        self._whole = False
        self._other: str | None = None

    def read(self, line: str) -> str:
        """Read one line of the event stream.

        Args:
            line: The line, without its end.

        Returns:
            The words it brings, ``""`` for none.

        Raises:
            ProviderError: The line reports an error, or is not the JSON of a chat event.
        """
        if not line.startswith(_EVENT):
            if line.strip() and not line.startswith(_NO_WORDS):
                self._other = self._other or line
            return ""
        data = line[len(_EVENT) :].strip()
        if data == _END:
            self.ended = self._whole = True
            return ""
        try:
            event = json.loads(data)
            if event.get("error"):
                message = f"The service stopped answering: {read_error(event).message}."
                raise ProviderError(message, status=200)
            choices = event.get("choices")
            choice = choices[0] if choices else {}
            words = (choice.get("delta") or {}).get("content")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ProviderError(_NO_STREAM + ".", status=200) from error
        self._whole = self._whole or bool(choice.get("finish_reason"))
        return words if isinstance(words, str) else ""

    def check(self) -> None:
        """Say that the lines are over.

        Raises:
            ProviderError: The answer was not.
        """
        if self._whole:
            return
        if self._other is not None:
            message = f"{_NO_STREAM}: {read_error(self._other).message}"
            raise ProviderError(message, status=200)
        message = "The service stopped in the middle of its answer. Ask again."
        raise ProviderError(message, status=200)
