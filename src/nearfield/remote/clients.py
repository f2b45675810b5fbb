"""The SDK's clients: one per process and one per event loop, and closed with them."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.remote.deadline import watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from nearfield.remote.connection import Connection


@dataclass(slots=True)
class _OfLoop:
    """What belongs to one event loop: a client must not be used in another."""

    client: Any
    gate: asyncio.Semaphore
    lifetime: AsyncGenerator[None, None]


class Clients:
    """Clients of one service, each for at most ``at_once`` requests at a time.

    Args:
        connection: The service.
        at_once: Requests under way at the same time.
        reuse: Keep clients, and with them open connections, between requests.
        http_client: An HTTP client of the caller's own for blocking calls; never closed here.
        async_http_client: The same for asynchronous calls.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        at_once: int,
        reuse: bool = True,
        http_client: object = None,
        async_http_client: object = None,
    ) -> None:
        self._connection = connection
        self._at_once = at_once
        self._reuse = reuse
        self._http_client = http_client
        self._async_http_client = async_http_client
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._gate = threading.BoundedSemaphore(self._at_once)
        self._client: Any = None
        self._owner = os.getpid()
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be one of the blocking requests under way, waiting while there are too many."""
        if self._owner != os.getpid():
            self._forget()  # connections and locks do not survive a fork
        with self._gate:
            yield

    @asynccontextmanager
    async def aturn(self) -> AsyncIterator[None]:
        """Be one of the running loop's requests under way, likewise."""
        async with (await self._mine()).gate:
            yield

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """Lend a blocking client."""
        if self._reuse:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
                    weakref.finalize(self, _close, self._client, self._http_client)
                client = self._client
            self._connection.log_in(client)
            yield client
            return
        client = self._make()
        try:
            yield client
        finally:
            _close(client, self._http_client)

    @asynccontextmanager
    async def alend(self) -> AsyncIterator[Any]:
        """Lend an asynchronous client of the running loop."""
        if self._reuse:
            client = (await self._mine()).client
            self._connection.log_in(client)
            yield client
            return
        fresh = self._amake()
        try:
            yield fresh
        finally:
            if self._async_http_client is None:
                await fresh.close()

    async def _mine(self) -> _OfLoop:
        """Give what belongs to the running loop."""
        loop = asyncio.get_running_loop()
        mine = self._of_loop.get(loop)
        if mine is None:
            self._drop_dead()
            client = self._amake()
            lifetime = self._live(loop, client)
            mine = _OfLoop(client, asyncio.Semaphore(self._at_once), lifetime)
            self._of_loop[loop] = mine
            await anext(lifetime)
        return mine

    def _drop_dead(self) -> None:
        """Let go of what belongs to loops that were closed without ending what they had begun."""
        for loop in [loop for loop in self._of_loop if loop.is_closed()]:
            self._of_loop.pop(loop, None)

    def close(self) -> None:
        """Close the connections of blocking calls; the next call opens new ones."""
        with self._lock:
            if self._client is not None:
                _close(self._client, self._http_client)
                self._client = None

    async def aclose(self) -> None:
        """Close all connections of the running loop and of blocking calls."""
        mine = self._of_loop.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.lifetime.aclose()
        self.close()

    async def _live(
        self, loop: asyncio.AbstractEventLoop, client: Any
    ) -> AsyncGenerator[None, None]:
        """Close a client when its event loop ends.

        An event loop finishes all asynchronous generators it has begun before it
        closes: the one moment at which connections can still be closed properly.
        """
        try:
            yield
        finally:
            self._of_loop.pop(loop, None)
            if self._async_http_client is None:
                await client.close()

    def _make(self) -> Any:
        openai = require("openai", extra="openai", purpose=self._connection.name)
        http = self._http_client or openai.DefaultHttpxClient(
            timeout=self._connection.timeout_s,
            # A key must not follow a redirect to another host.
            follow_redirects=False,
            event_hooks={"request": [watch]},
        )
        make = getattr(openai, self._connection.client_classes[0])
        return self._own(make(**self._connection.client_arguments(), http_client=http))

    def _amake(self) -> Any:
        openai = require("openai", extra="openai", purpose=self._connection.name)
        http = self._async_http_client or openai.DefaultAsyncHttpxClient(
            timeout=self._connection.timeout_s, follow_redirects=False
        )
        make = getattr(openai, self._connection.client_classes[1])
        return self._own(make(**self._connection.client_arguments(), http_client=http))

    def _own(self, client: Any) -> Any:
        """Keep what the SDK read of OpenAI's environment from a server that is not OpenAI's.

        It takes organisation, project and any headers, keys among them, from variables of its own.
        """
        if self._connection.key.variable is None:
            client.organization, client.project = self._connection.organization, None
            client._custom_headers = self._connection.headers.reveal()  # noqa: SLF001 - no other way
        return client

    def __deepcopy__(self, memo: dict[int, object]) -> Clients:
        """Begin without clients, save those of the caller's own: requests go the same way."""
        return Clients(
            deepcopy(self._connection, memo),
            at_once=self._at_once,
            reuse=self._reuse,
            http_client=self._http_client,
            async_http_client=self._async_http_client,
        )

    def __getstate__(self) -> dict[str, object]:
        """Leave clients and open connections behind when pickled."""
        return {
            "_connection": self._connection,
            "_at_once": self._at_once,
            "_reuse": self._reuse,
            "_http_client": None,
            "_async_http_client": None,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        """Begin without clients in the other process."""
        self.__dict__.update(state)
        self._forget()


def _close(client: Any, own: object) -> None:
    if own is None:
        client.close()
