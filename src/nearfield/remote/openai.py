"""The transport: one request out, one answer in, retried, paced and bounded; blocking and not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nearfield._extras import require
from nearfield.core.pacing import Pace
from nearfield.core.report import count
from nearfield.core.retry import RetryPolicy
from nearfield.errors import ProviderError
from nearfield.remote.clients import Clients
from nearfield.remote.clock import REAL_CLOCK, Clock
from nearfield.remote.deadline import check_deadline, deadline
from nearfield.remote.failures import translate
from nearfield.remote.patience import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from nearfield.remote.connection import Connection

Endpoint = Literal["embeddings", "chat"]

MAX_ANSWER_BYTES = 256 << 20
"""The longest answer read: four times what 2,048 vectors of 3,072 numbers take as base64."""

_log = logging.getLogger("nearfield.remote")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back with status 200.

    Attributes:
        content: The body.
        request_id: The service's name for the request, if it gave one.
    """

    content: bytes
    request_id: str | None


class Service:
    """A service that speaks OpenAI's protocol, shared by all calls of one model.

    Args:
        connection: Where it is and how to log in.
        at_once: Requests under way at the same time, at most; a stream is one until it begins.
        policy: When failed requests are sent again.
        pace: Limits per minute.
        reuse_client: Keep connections open between requests.
        http_client: An HTTP client of the caller's own for blocking calls.
        async_http_client: The same for asynchronous calls.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        at_once: int = 8,
        policy: RetryPolicy | None = None,
        pace: Pace | None = None,
        reuse_client: bool = True,
        http_client: object = None,
        async_http_client: object = None,
    ) -> None:
        for library in ("openai", "tenacity"):
            require(library, extra="openai", purpose=connection.name)
        self.connection = connection
        self.policy = policy or RetryPolicy()
        self.pace = pace or Pace()
        self.clock: Clock = REAL_CLOCK
        self._reached = False
        self._clients = Clients(
            connection,
            at_once=at_once,
            reuse=reuse_client,
            http_client=http_client,
            async_http_client=async_http_client,
        )

    def post(self, endpoint: Endpoint, body: Mapping[str, Any], *, tokens: float = 0.0) -> Answer:
        """Send a request, again if need be, and give its answer.

        Args:
            endpoint: Where to.
            body: The JSON.
            tokens: About how many tokens it holds, for pacing.

        Returns:
            The answer with status 200.

        Raises:
            ProviderError: The service refused, failed, or could not be reached; its
                subclass says which.
        """
        patience = self._patience()
        retrying = require("tenacity", extra="openai").Retrying
        run = retrying(**patience.arguments(), sleep=self.clock.sleep)
        try:
            answer: Answer = run(self._post_once, endpoint, body, tokens)
        except ProviderError as error:
            raise patience.outcome(error) from None
        return answer

    async def apost(
        self, endpoint: Endpoint, body: Mapping[str, Any], *, tokens: float = 0.0
    ) -> Answer:
        """Do what :meth:`post` does, not blocking the event loop."""
        patience = self._patience()
        retrying = require("tenacity", extra="openai").AsyncRetrying
        run = retrying(**patience.arguments(), sleep=self.clock.asleep)
        try:
            answer: Answer = await run(self._apost_once, endpoint, body, tokens)
        except ProviderError as error:
            raise patience.outcome(error) from None
        return answer

    def stream(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Iterator[str]:
        """Send a request and give its answer line by line, as the lines come.

        It is sent again only as long as nothing has come. The timeout holds for
        each line, not for the whole.

        Args:
            endpoint: Where to.
            body: The JSON.

        Yields:
            The lines.

        Raises:
            ProviderError: As for :meth:`post`.
        """
        patience = self._patience()
        retrying = require("tenacity", extra="openai").Retrying
        run = retrying(**patience.arguments(), sleep=self.clock.sleep)
        try:
            opened, lines = run(self._open, endpoint, body)
        except ProviderError as error:
            raise patience.outcome(error) from None
        with opened:
            yield from lines

    async def astream(self, endpoint: Endpoint, body: Mapping[str, Any]) -> AsyncIterator[str]:
        """Do what :meth:`stream` does, not blocking the event loop."""
        patience = self._patience()
        retrying = require("tenacity", extra="openai").AsyncRetrying
        run = retrying(**patience.arguments(), sleep=self.clock.asleep)
        try:
            opened, lines = await run(self._aopen, endpoint, body)
        except ProviderError as error:
            raise patience.outcome(error) from None
        async with opened:
            async for line in lines:
                yield line

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._clients.aclose()

    def _post_once(self, endpoint: Endpoint, body: Mapping[str, Any], tokens: float) -> Answer:
        with (
            self._clients.turn(),
            self._clients.lend() as client,
            self._sending(tokens),
            self._translated(),
        ):
            request = _request(client, endpoint, body)
            with deadline(self.connection.timeout_s), request as response:
                self._heard(response, tokens)
                chunks = _Chunks()
                for chunk in response.iter_bytes():
                    chunks.add(chunk)
                    check_deadline()
            return Answer(chunks.join(), response.headers.get("x-request-id"))

    async def _apost_once(
        self, endpoint: Endpoint, body: Mapping[str, Any], tokens: float
    ) -> Answer:
        async with (
            self._clients.aturn(),
            self._clients.alend() as client,
            self._asending(tokens),
        ):
            with self._translated():
                request = _request(client, endpoint, body)
                async with asyncio.timeout(self.connection.timeout_s), request as response:
                    self._heard(response, tokens)
                    chunks = _Chunks()
                    async for chunk in response.iter_bytes():
                        chunks.add(chunk)
                return Answer(chunks.join(), response.headers.get("x-request-id"))

    def _open(self, endpoint: Endpoint, body: Mapping[str, Any]) -> tuple[ExitStack, Iterator[str]]:
        # Once it has begun it is its reader's, who may hold many open, and takes no turn.
        with self._clients.turn(), ExitStack() as stack:
            client = stack.enter_context(self._clients.lend())
            stack.enter_context(self._sending(0.0))
            stack.enter_context(self._translated())
            response = stack.enter_context(_request(client, endpoint, body))
            self._heard(response, 0.0)
            return stack.pop_all(), _lines(response.iter_bytes())

    async def _aopen(
        self, endpoint: Endpoint, body: Mapping[str, Any]
    ) -> tuple[AsyncExitStack, AsyncIterator[str]]:
        async with self._clients.aturn(), AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._clients.alend())
            await stack.enter_async_context(self._asending(0.0))
            stack.enter_context(self._translated())
            response = await stack.enter_async_context(_request(client, endpoint, body))
            self._heard(response, 0.0)
            return stack.pop_all(), _alines(response.iter_bytes())

    # What both ways share.

    def _patience(self) -> Patience:
        return Patience(self.policy, self.clock, self.pace, reached=self._reached)

    @contextmanager
    def _sending(self, tokens: float) -> Iterator[None]:
        """Wait for the pace before a try, and settle with it afterwards."""
        wait_s = self.pace.reserve(tokens, self.clock.now())
        try:
            if wait_s:
                with self._unless_ended(tokens):
                    self.clock.sleep(wait_s)
                count(waited_s=wait_s)
            yield
        finally:
            self.pace.settle(tokens)

    @asynccontextmanager
    async def _asending(self, tokens: float) -> AsyncIterator[None]:
        wait_s = self.pace.reserve(tokens, self.clock.now())
        try:
            if wait_s:
                with self._unless_ended(tokens):
                    await self.clock.asleep(wait_s)
                count(waited_s=wait_s)
            yield
        finally:
            self.pace.settle(tokens)

    @contextmanager
    def _unless_ended(self, tokens: float) -> Iterator[None]:
        """Give back what was reserved for a request that is cancelled while it waits."""
        try:
            yield
        except BaseException:
            self.pace.give_back(tokens, self.clock.now())
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise nearfield's errors instead of the SDK's."""
        began = self.clock.now()
        try:
            yield
        except ProviderError:
            raise
        except Exception as error:
            ours = translate(error, self.connection, self.clock.date())
            if ours is None:
                raise
            if ours.status is not None:
                self._reached = True
            _log.debug(
                "%s: %s after %.3f s (status %s, request %s)",
                self.connection.where,
                type(ours).__name__,
                self.clock.now() - began,
                ours.status,
                ours.request_id,
            )
            # The SDK's error may repeat the key or the texts; its message is in ours.
            raise ours from None

    def _heard(self, response: Any, tokens: float) -> None:
        self._reached = True
        self.pace.learn(response.headers, tokens, self.clock.now())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pace's state and lock behind when pickled."""
        limits = (self.pace.requests_per_minute, self.pace.tokens_per_minute)
        return {**self.__dict__, "pace": limits, "clock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with a pace of its own in the other process."""
        self.__dict__.update({**state, "pace": Pace(*state["pace"]), "clock": REAL_CLOCK})


class _Chunks:
    """An answer as it comes in, up to the longest we read."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_ANSWER_BYTES:
            message = f"The answer is longer than {MAX_ANSWER_BYTES >> 20} MiB. Check api_base."
            raise ProviderError(message, status=200)
        self._parts.append(chunk)

    def join(self) -> bytes:
        return b"".join(self._parts)


class _Lines:
    """Bytes as they come in, cut into lines.

    The HTTP client's own lines end at any of Unicode's separators, which may stand in words.
    """

    def __init__(self) -> None:
        self._rest = b""

    def add(self, chunk: bytes) -> list[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in whole]

    def end(self) -> list[str]:
        return self.add(b"\n") if self._rest else []


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    cut = _Lines()
    for chunk in chunks:
        yield from cut.add(chunk)
    yield from cut.end()


async def _alines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    cut = _Lines()
    async for chunk in chunks:
        for line in cut.add(chunk):
            yield line
    for line in cut.end():
        yield line


def _request(client: Any, endpoint: Endpoint, body: Mapping[str, Any]) -> Any:
    """Prepare a request whose answer is read as raw bytes; it is sent when entered."""
    count(requests=1)
    if endpoint == "embeddings":
        resource, own = client.embeddings, ("input", "model", "encoding_format")
    else:
        resource, own = client.chat.completions, ("messages", "model", "stream")
    known = {name: body[name] for name in own if name in body}
    rest = {name: value for name, value in body.items() if name not in own}
    return resource.with_streaming_response.create(**known, extra_body=rest or None)
