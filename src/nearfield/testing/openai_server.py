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
import hashlib
import json
import re
import sys
import threading
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.testing.loopback import Answer, Call, LoopbackServer
from nearfield.wire.openai import (
    EmbeddingsRequest,
    ErrorReply,
    embeddings_reply,
    read_embeddings_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearfield.core.vectors import Vectors
    from nearfield.testing.faults import Fault

_AZURE_PATH = re.compile(r"/openai/deployments/([^/]+)(/.+)")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_TEXT_WEIGHT = 0.05


class OpenAIServer(LoopbackServer):
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

    Attributes:
        headers: Further headers of every right embeddings answer.
        billed: How often each text was embedded and its answer sent whole.
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
        super().__init__(port=port, latency_s=latency_s)
        self.dim = dim
        self.api_key = api_key
        self.deployment = deployment
        self.models = models
        self.max_body_bytes = max_body_bytes
        self.floats = floats
        self.answer = answer
        self.headers: dict[str, str] = {}
        self.billed: Counter[str] = Counter()
        self._poison: set[str] = set()

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def azure_endpoint(self) -> str:
        """The endpoint for Azure's clients."""
        return f"http://127.0.0.1:{self.port}"

    def poison(self, *texts: str) -> None:
        """Refuse, with status 400, all requests that hold one of these texts.

        Args:
            texts: The texts.
        """
        self._poison.update(texts)

    @property
    def embedded(self) -> list[list[Any]]:
        """The inputs of all embeddings requests, in the order they came."""
        return [call.inputs for call in self.calls if call.path.endswith("/embeddings")]

    def answer_to(self, call: Call, fault: Fault | None) -> Answer:
        """Give the answer to a request, as OpenAI or Azure would.

        Args:
            call: The request.
            fault: What will become of the answer on its way, if anything.

        Returns:
            The answer.
        """
        if call.size_bytes > self.max_body_bytes:
            return _refusal(413, ErrorReply("The request body is too large."))
        refusal, path = self._admit(call)
        if refusal is not None:
            return refusal
        if (call.method, path) == ("POST", "/embeddings"):
            return self._embed(call.body, fault)
        if (call.method, path) == ("POST", "/chat/completions"):
            return self._chat(call.body)
        return _refusal(404, ErrorReply(f"Invalid URL ({call.method} {call.path})"))

    def _admit(self, call: Call) -> tuple[Answer | None, str]:
        """Check the key and the four names of Azure; give the path within the API."""
        path, headers = call.path, call.headers
        azure = _AZURE_PATH.fullmatch(path)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        key = headers.get("api-key", bearer) if azure else bearer
        if self.api_key is not None and key != self.api_key:
            message = f"Incorrect API key provided: {key}."
            return _refusal(401, ErrorReply(message, code="invalid_api_key")), path
        if azure is None:
            return None, path.removeprefix("/v1")
        if not _API_VERSION.fullmatch(call.query.get("api-version", "")):
            return _refusal(404, ErrorReply("Resource not found", code="404")), path
        if azure[1] != self.deployment:
            message = "The API deployment for this resource does not exist."
            return _refusal(404, ErrorReply(message, code="DeploymentNotFound")), path
        return None, azure[2]

    def _embed(self, body: object, fault: Fault | None) -> Answer:
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
        return Answer(200, json.dumps(changed).encode(), headers=dict(self.headers))

    def _refuse(self, request: EmbeddingsRequest) -> Answer | None:
        if self.models is not None and request.model not in self.models:
            message = f"The model `{request.model}` does not exist or you do not have access to it."
            return _refusal(404, ErrorReply(message, code="model_not_found"))
        if request.dimensions is not None and request.model == "text-embedding-ada-002":
            message = "This model does not support specifying dimensions."
            return _refusal(400, ErrorReply(message, param="dimensions"))
        if any(isinstance(text, str) and text in self._poison for text in request.inputs):
            return _refusal(400, ErrorReply("'$.input' is invalid.", param="input"))
        return None

    def _chat(self, body: Any) -> Answer:
        words = self.answer(body["messages"][-1]["content"])
        if not body.get("stream"):
            message = {"role": "assistant", "content": words}
            usage = {"total_tokens": count_tokens(words)}
            reply = {"choices": [{"index": 0, "message": message}], "usage": usage}
            return Answer(200, json.dumps(reply).encode())
        events = [
            json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]})
            for word in re.findall(r"\S+\s*", words)
        ]
        stream = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        return Answer(200, stream.encode(), "text/event-stream")


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


def _refusal(status: int, error: ErrorReply) -> Answer:
    return Answer(status, json.dumps(error.as_json()).encode())


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
