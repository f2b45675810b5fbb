"""Chat models behind OpenAI's protocol, for answers written rather than extracted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nearfield.core.report import EmbeddingReport, reporting
from nearfield.core.retry import RetryPolicy
from nearfield.remote.connection import Connection
from nearfield.remote.openai import Service
from nearfield.remote.secret import Secret, SecretHeaders
from nearfield.remote.tracing import traced
from nearfield.wire.chat import ChatEvents, chat_request, read_chat_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from nearfield.remote.openai import Answer

OPENAI_BASE = "https://api.openai.com/v1"


class OpenAILikeLLM:
    """A chat model of OpenAI, or of any server that speaks its protocol.

    ``OPENAI_API_KEY`` is read only for OpenAI's own address: a key meant for it
    must not reach another server.

    Args:
        model: The model's name, as the service knows it.
        api_base: The address; OpenAI's own by default, or ``OPENAI_BASE_URL``.
        api_key: The key, or a function that gives it.
        temperature: How freely it chooses its words; the service's default when not given.
        max_tokens: The longest answer; the service's default when not given.
        system_prompt: What it is told before every prompt.
        additional_kwargs: Further fields of every request.
        max_retries: Requests sent again, at most.
        timeout: Seconds for a whole answer; for each line of a streamed one.
        default_headers: Further headers of every request.
        http_client: An ``httpx.Client`` of your own for blocking calls.
        async_http_client: An ``httpx.AsyncClient`` of your own for asynchronous calls.

    Raises:
        AuthenticationError: OpenAI is to be asked, and there is no key.
        ConfigError: An argument makes no sense.
        MissingDependencyError: The extra ``openai`` is not installed.
    """

    def __init__(
        self,
        model: str,
        api_base: str | None = None,
        api_key: str | Callable[[], str] | None = None,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        system_prompt: str | None = None,
        additional_kwargs: Mapping[str, Any] | None = None,
        max_retries: int = 10,
        timeout: float = 120.0,
        default_headers: Mapping[str, str] | None = None,
        http_client: object = None,
        async_http_client: object = None,
    ) -> None:
        self.model = model
        self.system_prompt = system_prompt
        self.totals = EmbeddingReport()
        self._fields = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            **(additional_kwargs or {}),
        }
        environment = os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE
        # The environment's key goes with the environment's address, or with OpenAI's own.
        own = api_base is None or api_base.rstrip("/") == OPENAI_BASE
        self.connection = Connection(
            type(self).__name__,
            api_base or environment,
            Secret(api_key, "OPENAI_API_KEY" if own else None),
            needs_key=own,
            timeout_s=timeout,
            headers=SecretHeaders(default_headers),
        )
        self._service = Service(
            self.connection,
            policy=RetryPolicy(max_retries=max_retries),
            http_client=http_client,
            async_http_client=async_http_client,
        )

    def complete(self, prompt: str) -> str:
        """Answer a prompt.

        Args:
            prompt: The whole request.

        Returns:
            The answer's text.

        Raises:
            ProviderError: The service refused, failed, or could not be reached.
        """
        with reporting(self.totals), traced("chat", self.model, self.connection) as bill:
            return self._read(self._service.post("chat", self._body(prompt)), bill)

    async def acomplete(self, prompt: str) -> str:
        """Answer a prompt as :meth:`complete` does, not blocking the event loop."""
        with reporting(self.totals), traced("chat", self.model, self.connection) as bill:
            return self._read(await self._service.apost("chat", self._body(prompt)), bill)

    def stream(self, prompt: str) -> Iterator[str]:
        """Answer a prompt piece by piece.

        Args:
            prompt: The whole request.

        Yields:
            Pieces of the answer, as they come.

        Raises:
            ProviderError: As for :meth:`complete`; also when the answer breaks off.
        """
        events = ChatEvents()
        with self.connection.discreet():
            for line in self._service.stream("chat", self._body(prompt, stream=True)):
                if words := events.read(line):
                    yield words
                if events.ended:
                    break
            events.check()

    async def astream(self, prompt: str) -> AsyncIterator[str]:
        """Answer a prompt piece by piece, as :meth:`stream` does, not blocking the event loop."""
        events = ChatEvents()
        with self.connection.discreet():
            async for line in self._service.astream("chat", self._body(prompt, stream=True)):
                if words := events.read(line):
                    yield words
                if events.ended:
                    break
            events.check()

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._service.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._service.aclose()

    def __repr__(self) -> str:
        """Name the class, the model and the service; never the key."""
        where = self.connection.where
        return f"{type(self).__name__}(model={self.model!r}, api_base={where!r})"

    def _body(self, prompt: str, *, stream: bool = False) -> dict[str, Any]:
        return chat_request(
            self.model,
            prompt,
            system_prompt=self.system_prompt,
            stream=stream,
            extra=self._fields,
        )

    def _read(self, answer: Answer, bill: Callable[[int], None]) -> str:
        with self.connection.discreet():
            reply = read_chat_reply(answer.content)
        bill(reply.tokens)
        self.totals.add(tokens=reply.tokens)
        return reply.text
