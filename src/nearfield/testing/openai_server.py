"""A loopback server that speaks OpenAI's and Azure's embeddings and chat, with faults on demand.

::

    with OpenAIServer() as server:
        server.script(refused(429, retry_after="2"), hang())
        model = OpenAIEmbedding(api_key=server.api_key, api_base=server.url)

It needs nothing but the standard library and numpy. Its vectors are sums of
one fixed random vector per word: texts that share words are near each other.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.testing.faults import Fault
from nearfield.wire.openai import (
    EmbeddingsRequest,
    ErrorReply,
    embeddings_reply,
    read_embeddings_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nearfield.core.vectors import Vectors

_AZURE_PATH = re.compile(r"/openai/deployments/([^/]+)(/.+)")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_TEXT_WEIGHT = 0.05
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request the server was sent.

    Attributes:
        path: Its path, without the query.
        query: The query, by name.
        headers: Its headers, names in lower case.
        body: Its JSON.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def inputs(self) -> list[Any]:
        """The texts of an embeddings request."""
        inputs = self.body["input"]
        return inputs if isinstance(inputs, list) else [inputs]


@dataclass(slots=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class OpenAIServer:
    """A stand-in for OpenAI and Azure OpenAI, in a thread of this process.

    Args:
        dim: Numbers per vector.
        api_key: The one key it takes; ``None`` takes any, or none.
        deployment: The one Azure deployment it knows.
        models: The models it knows; ``None`` for any.
        latency_s: Seconds from a request to its answer, at least.
        port: The port on 127.0.0.1; 0 for any free one.
        max_body_bytes: The longest body it takes; longer ones get a 413.
        floats: Answer with floats whatever encoding is asked for.
        answer: What the chat model says to a prompt.
    """

    def __init__(
        self,
        *,
        dim: int = 16,
        api_key: str | None = "loopback-key",
        deployment: str = "embedder",
        models: tuple[str, ...] | None = None,
        latency_s: float = 0.0,
        port: int = 0,
        max_body_bytes: int = 64 << 20,
        floats: bool = False,
        answer: Callable[[str], str] = "You wrote: {}".format,
    ) -> None:
        self.dim = dim
        self.api_key = api_key
        self.deployment = deployment
        self.models = models
        self.latency_s = latency_s
        self.max_body_bytes = max_body_bytes
        self.floats = floats
        self.answer = answer
        self.port = port
        self.headers: dict[str, str] = {}
        self.calls: list[Call] = []
        self.billed: Counter[str] = Counter()
        self.open_connections = 0
        self.connections_made = 0
        self.most_at_once = 0
        self._at_once = 0
        self._faults: deque[Fault | None] = deque()
        self._always: Fault | None = None
        self._poison: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._called = threading.Condition()

    # What a test says.

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def azure_endpoint(self) -> str:
        """The endpoint for Azure's clients."""
        return f"http://127.0.0.1:{self.port}"

    def script(self, *faults: Fault | None) -> None:
        """Let the next requests fail, one after the other; ``None`` is a right answer."""
        self._faults.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """Let all requests fail that :meth:`script` says nothing of."""
        self._always = fault

    def poison(self, *texts: str) -> None:
        """Refuse, with status 400, all requests that hold one of these texts."""
        self._poison.update(texts)

    @property
    def embedded(self) -> list[list[Any]]:
        """The inputs of all embeddings requests, in the order they came."""
        return [call.inputs for call in self.calls if call.path.endswith("/embeddings")]

    def wait_for_calls(self, count: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until ``count`` requests have come.

        Args:
            count: How many, since the server was made.
            timeout_s: How long at most.

        Raises:
            TimeoutError: Fewer came in that time.
        """
        with self._called:
            if not self._called.wait_for(lambda: len(self.calls) >= count, timeout_s):
                message = f"{len(self.calls)} of {count} requests came within {timeout_s:g} s."
                raise TimeoutError(message)

    def wait_until_idle(self, timeout_s: float = 10.0) -> None:
        """Wait until all clients have closed their connections.

        Args:
            timeout_s: How long at most.

        Raises:
            TimeoutError: Some did not in that time.
        """
        with self._called:
            if not self._called.wait_for(lambda: not self.open_connections, timeout_s):
                message = f"{self.open_connections} connections are open after {timeout_s:g} s."
                raise TimeoutError(message)

    # Its life.

    def start(self) -> Self:
        """Begin to listen; returns when it does."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="openai-server", daemon=True
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
        with self._called:
            self.open_connections += 1
            self.connections_made += 1
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops: nothing to answer
        finally:
            with self._called:
                self.open_connections -= 1
                self._called.notify_all()
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection can take another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {
            name.strip().lower(): text.strip()
            for name, _, text in (line.partition(":") for line in lines if line)
        }
        came = time.monotonic()
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self._faults.popleft() if self._faults else self._always
            answer = self._answer(method, target, headers, raw, fault)
            left_s = came + self.latency_s - time.monotonic()
            if left_s > 0:
                await asyncio.sleep(left_s)
            return await _send(writer, reader, answer, fault or Fault())
        finally:
            self._at_once -= 1

    # What it says.

    def _answer(
        self, method: str, target: str, headers: dict[str, str], raw: bytes, fault: Fault | None
    ) -> _Answer:
        url = urlsplit(target)
        path = unquote(url.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(raw) if raw else None
        with self._called:
            self.calls.append(Call(path, query, headers, body))
            self._called.notify_all()
        if fault is not None and fault.body is not None:
            kind = fault.headers.get("content-type", "application/json")
            return _Answer(fault.status, fault.body, kind)
        if len(raw) > self.max_body_bytes:
            return _refusal(413, ErrorReply("The request body is too large."))
        refusal, path = self._admit(path, query, headers)
        if refusal is not None:
            return refusal
        if (method, path) == ("POST", "/embeddings"):
            return self._embed(body, fault)
        if (method, path) == ("POST", "/chat/completions"):
            return self._chat(body)
        return _refusal(404, ErrorReply(f"Invalid URL ({method} {target})"))

    def _admit(
        self, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> tuple[_Answer | None, str]:
        """Check the key and the four names of Azure; give the path within the API."""
        azure = _AZURE_PATH.fullmatch(path)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        key = headers.get("api-key", bearer) if azure else bearer
        if self.api_key is not None and key != self.api_key:
            message = f"Incorrect API key provided: {key}."
            return _refusal(401, ErrorReply(message, code="invalid_api_key")), path
        if azure is None:
            return None, path.removeprefix("/v1")
        if not _API_VERSION.fullmatch(query.get("api-version", "")):
            return _refusal(404, ErrorReply("Resource not found", code="404")), path
        if azure[1] != self.deployment:
            message = "The API deployment for this resource does not exist."
            return _refusal(404, ErrorReply(message, code="DeploymentNotFound")), path
        return None, azure[2]

    def _embed(self, body: object, fault: Fault | None) -> _Answer:
        request = read_embeddings_request(body)
        if isinstance(request, ErrorReply):
            return _refusal(400, request)
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        texts = [text if isinstance(text, str) else str(text) for text in request.inputs]
        vectors = word_vectors(texts, self.dim)
        if request.dimensions is not None:
            vectors = normalize(vectors[:, : request.dimensions])
        reply = embeddings_reply(
            vectors,
            model=request.model,
            tokens=sum(map(count_tokens, texts)),
            encoding_format="float" if self.floats else request.encoding_format,
        )
        if fault is None or fault.ending == "whole":
            self.billed.update(texts)
        changed = fault.change(reply) if fault is not None and fault.change else reply
        return _Answer(200, json.dumps(changed).encode(), headers=dict(self.headers))

    def _refuse(self, request: EmbeddingsRequest) -> _Answer | None:
        if self.models is not None and request.model not in self.models:
            message = f"The model `{request.model}` does not exist or you do not have access to it."
            return _refusal(404, ErrorReply(message, code="model_not_found"))
        if request.dimensions is not None and request.model == "text-embedding-ada-002":
            message = "This model does not support specifying dimensions."
            return _refusal(400, ErrorReply(message, param="dimensions"))
        if any(isinstance(text, str) and text in self._poison for text in request.inputs):
            return _refusal(400, ErrorReply("'$.input' is invalid.", param="input"))
        return None

    def _chat(self, body: Any) -> _Answer:
        words = self.answer(body["messages"][-1]["content"])
        if not body.get("stream"):
            message = {"role": "assistant", "content": words}
            usage = {"total_tokens": count_tokens(words)}
            reply = {"choices": [{"index": 0, "message": message}], "usage": usage}
            return _Answer(200, json.dumps(reply).encode())
        events = [
            json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]})
            for word in re.findall(r"\S+\s*", words)
        ]
        stream = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        return _Answer(200, stream.encode(), "text/event-stream")


def word_vectors(texts: list[str], dim: int) -> Vectors:
    """Give the vectors the server gives.

    Args:
        texts: Any number of texts.
        dim: Numbers per vector.

    Returns:
        ``(n, dim)`` float32 of length 1: the sum of a fixed vector per word, and a
        little of the text's own.
    """
    rows = [
        sum((_random_vector(word, dim) for word in text.lower().split()), np.zeros(dim, np.float32))
        + _TEXT_WEIGHT * _random_vector("\x00" + text, dim)
        for text in texts
    ]
    return normalize(np.array(rows, np.float32).reshape(len(texts), dim))


def count_tokens(text: str) -> int:
    """Give the tokens the server bills for a text: its words, at least 1."""
    return max(len(text.split()), 1)


@lru_cache(maxsize=50_000)
def _random_vector(word: str, dim: int) -> Vectors:
    seed = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(seed, "little"))
    return rng.standard_normal(dim, np.float32)


def _refusal(status: int, error: ErrorReply) -> _Answer:
    return _Answer(status, json.dumps(error.as_json()).encode())


async def _send(
    writer: asyncio.StreamWriter, reader: asyncio.StreamReader, answer: _Answer, fault: Fault
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
    if fault.ending == "drip":
        for place in range(len(data)):
            writer.write(data[place : place + 1])
            await writer.drain()
            await asyncio.sleep(fault.pause_s)
    if fault.ending == "half":
        data = data[: len(data) - len(answer.body) // 2 - 1]
    if fault.ending != "drip":
        writer.write(data)
        await writer.drain()
    return fault.ending == "whole"


def main() -> None:
    """Run the server in a process of its own until it is killed; print its address first."""
    parser = argparse.ArgumentParser(prog="python -m nearfield.testing.openai_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--key", default="loopback-key")
    options = parser.parse_args()
    server = OpenAIServer(
        dim=options.dim, port=options.port, latency_s=options.latency, api_key=options.key
    ).start()
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
