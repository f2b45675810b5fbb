"""A scripted HTTP server on this machine: it answers as its subclass says, unless told to fail.

It needs nothing but the standard library: one thread, one event loop, requests
and answers written by hand, so that an answer can break off in any place.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from nearfield.testing.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request the server was sent.

    Attributes:
        method: Its method.
        path: Its path, without the query.
        query: The query, by name.
        headers: Its headers, names in lower case.
        body: Its JSON; ``None`` without a body.
        size_bytes: The length of its body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    size_bytes: int

    @property
    def inputs(self) -> list[Any]:
        """The texts of an embeddings request."""
        inputs = self.body["input"]
        return inputs if isinstance(inputs, list) else [inputs]


@dataclass(slots=True)
class Answer:
    """What the server says.

    Attributes:
        status: The HTTP status.
        body: The body.
        content_type: What the body is.
        headers: Further headers.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class LoopbackServer(ABC):
    """A server in a thread of this process; a subclass says what it answers.

    Args:
        port: The port on 127.0.0.1; 0 for any free one.
        latency_s: Seconds from a request to its answer, at least.

    Attributes:
        calls: All requests, in the order they came.
        open_connections: Connections open now.
        connections_made: Connections opened so far.
        most_at_once: The most requests that were under way at the same time.
    """

    def __init__(self, *, port: int = 0, latency_s: float = 0.0) -> None:
        self.port = port
        self.latency_s = latency_s
        self.calls: list[Call] = []
        self.open_connections = 0
        self.connections_made = 0
        self.most_at_once = 0
        self._at_once = 0
        self._faults: deque[Fault | None] = deque()
        self._always: Fault | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._changed = threading.Condition()

    @abstractmethod
    def answer_to(self, call: Call, fault: Fault | None) -> Answer:
        """Give the answer to a request.

        Args:
            call: The request.
            fault: What will become of the answer on its way, if anything.

        Returns:
            The answer.
        """

    # What a test says.

    def script(self, *faults: Fault | None) -> None:
        """Let the next requests fail, one after the other.

        Args:
            faults: One for each request to come; ``None`` is a right answer.
        """
        self._faults.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """Let all requests fail that :meth:`script` says nothing of.

        Args:
            fault: How; ``None`` to let them pass again.
        """
        self._always = fault

    def wait_for_calls(self, count: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until ``count`` requests have come.

        Args:
            count: How many, since the server was made.
            timeout_s: How long at most.

        Raises:
            TimeoutError: Fewer came in that time.
        """
        if not self._wait(lambda: len(self.calls) >= count, timeout_s):
            message = f"{len(self.calls)} of {count} requests came within {timeout_s:g} s."
            raise TimeoutError(message)

    def wait_until_idle(self, timeout_s: float = 10.0) -> None:
        """Wait until all clients have closed their connections.

        Args:
            timeout_s: How long at most.

        Raises:
            TimeoutError: Some did not in that time.
        """
        if not self._wait(lambda: not self.open_connections, timeout_s):
            message = f"{self.open_connections} connections are open after {timeout_s:g} s."
            raise TimeoutError(message)

    def _wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(holds, timeout_s)

    # Its life.

    def start(self) -> Self:
        """Begin to listen; returns when it does."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="loopback-server", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Close all connections and stop."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(1)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops: nothing to answer
        finally:
            self._count(-1)
            writer.close()

    def _count(self, change: int) -> None:
        with self._changed:
            self.open_connections += change
            self.connections_made += max(change, 0)
            self._changed.notify_all()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection can take another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        came = time.monotonic()
        first, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): text.strip()
            for name, _, text in (line.partition(":") for line in lines if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self._faults.popleft() if self._faults else self._always
            call = _call(first, headers, raw)
            with self._changed:
                self.calls.append(call)
                self._changed.notify_all()
            answer = _scripted(fault) or self.answer_to(call, fault)
            left_s = came + self.latency_s - time.monotonic()
            if left_s > 0:
                await asyncio.sleep(left_s)
            return await _send(writer, reader, answer, fault or Fault())
        finally:
            self._at_once -= 1


def _call(first_line: str, headers: dict[str, str], raw: bytes) -> Call:
    method, target, _ = first_line.split(" ", 2)
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    body = json.loads(raw) if raw else None
    return Call(method, unquote(url.path), query, headers, body, len(raw))


def _scripted(fault: Fault | None) -> Answer | None:
    """Give the answer a fault brings with it, if it does."""
    if fault is None or fault.body is None:
        return None
    return Answer(fault.status, fault.body, fault.headers.get("content-type", "application/json"))


async def _send(
    writer: asyncio.StreamWriter, reader: asyncio.StreamReader, answer: Answer, fault: Fault
) -> bool:
    """Send an answer the way the fault says; say whether the connection lives on."""
    if fault.ending == "reset":
        # SO_LINGER of 0: closing sends a reset instead of a proper end.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False
    if fault.ending == "hang":
        await reader.read(1)  # until the client gives up
        return False
    headers = {
        "content-type": answer.content_type,
        "content-length": str(len(answer.body)),
        "x-request-id": "req-loopback",
        **answer.headers,
        **fault.headers,
    }
    head = f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Answer')}\r\n"
    head += "".join(f"{name}: {text}\r\n" for name, text in headers.items()) + "\r\n"
    data = head.encode("latin-1") + answer.body
    if fault.ending in {"drip", "slow_body"}:
        at_once = len(head) if fault.ending == "slow_body" else 0
        writer.write(data[:at_once])
        for place in range(at_once, len(data)):
            writer.write(data[place : place + 1])
            await writer.drain()
            await asyncio.sleep(fault.pause_s)
    if fault.ending == "half":
        data = data[: len(data) - len(answer.body) // 2 - 1]
    if fault.ending in {"whole", "half"}:
        writer.write(data)
        await writer.drain()
    return fault.ending == "whole"
