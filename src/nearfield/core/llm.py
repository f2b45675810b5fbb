"""What the query engine needs of a chat model."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

from nearfield.core.aside import in_thread
from nearfield.errors import ConfigError


@runtime_checkable
class LLM(Protocol):
    """A chat model: one prompt in, one text out.

    An ``acomplete`` coroutine is used when there is one; without it, ``complete``
    is run in a thread.
    """

    def complete(self, prompt: str) -> Any:
        """Answer a prompt.

        Args:
            prompt: The whole request.

        Returns:
            A text, or an object whose ``str`` is the text.
        """


def check_llm(llm: object) -> LLM:
    """Give a chat model back, if it is one.

    Args:
        llm: Anything with a ``complete(prompt)`` method; LlamaIndex's models have it.

    Returns:
        ``llm`` itself.

    Raises:
        ConfigError: It has no such method.
    """
    if isinstance(llm, LLM) and not isinstance(llm, type):
        return llm
    message = (
        f"{type(llm).__name__!r} object cannot answer: an llm needs a method complete(prompt) "
        "that gives text, as nearfield.llms.openai_like.OpenAILikeLLM(model=...) has."
    )
    raise ConfigError(message)


async def acomplete(llm: LLM, prompt: str) -> str:
    """Answer a prompt without blocking the event loop.

    Args:
        llm: The model.
        prompt: The whole request.

    Returns:
        The text.
    """
    own = getattr(llm, "acomplete", None)
    if inspect.iscoroutinefunction(own):
        return str(await own(prompt))
    return str(await in_thread(llm.complete, prompt))
