"""What the OpenAI-shaped embedding providers have in common."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, Self

from nearfield.core.batching import Budget, preview
from nearfield.core.embeddings.base import BaseEmbedding
from nearfield.core.embeddings.checks import checked_cache
from nearfield.core.embeddings.compat import ASYNC_TWIN, SYNC_HOOKS, overrides
from nearfield.core.embeddings.driver import keep_part
from nearfield.core.pacing import Pace
from nearfield.core.report import count
from nearfield.core.retry import RetryPolicy
from nearfield.errors import ConfigError, InvalidVectorsError
from nearfield.remote.default_cache import DefaultCache
from nearfield.remote.flow import embedding_flow
from nearfield.remote.openai import Service
from nearfield.remote.tracing import traced
from nearfield.wire.openai import (
    MAX_INPUTS,
    MAX_REQUEST_TOKENS,
    EncodingFormat,
    embeddings_request,
    read_embeddings_reply,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.embeddings.base import InputType
    from nearfield.core.vectors import Vectors
    from nearfield.remote.connection import Connection
    from nearfield.remote.openai import Answer

    Flow = Generator[list[int], Vectors, Vectors]

DEFAULT_WORKERS = 8
_WORKERS_BETWEEN_REQUESTS = 2
_BYTES_PER_TOKEN = 3


class RemoteEmbedding(BaseEmbedding):
    """An embedding model behind OpenAI's protocol.

    Args:
        connection: The service.
        model_name: The model's name.
        embed_batch_size: Texts per request, 1 to 2,048, or ``"auto"``: as many as
            the service takes, 2,048 texts or 300,000 tokens.
        dimensions: Numbers per vector, sent only when given.
        additional_kwargs: Further fields of every request.
        max_retries: Requests sent again, at most.
        reuse_client: Keep connections open between calls.
        http_client: An ``httpx.Client`` of your own for blocking calls.
        async_http_client: An ``httpx.AsyncClient`` of your own for asynchronous calls.
        num_workers: Requests under way at the same time, 8 by default.
        requests_per_minute: The account's limit; learnt from the answers when not given.
        tokens_per_minute: The same for tokens.
        query_instruction: Put before every question.
        text_instruction: Put before every text to be found.
        encoding_format: How vectors come back; it does not change them.
        cache: Where vectors are kept: by default one file shared by all remote
            models, ``False`` for nowhere, or a cache of your own. A subclass that computes
            otherwise has none by default, unless it says so in its fingerprint.
        callback_manager: Accepted for LlamaIndex's sake, not used.
    """

    is_remote = True

    num_workers: int | None = DEFAULT_WORKERS
    sends_empty_texts = True

    def __init__(
        self,
        connection: Connection,
        model_name: str,
        *,
        embed_batch_size: int | Literal["auto"] = 10,
        dimensions: int | None = None,
        additional_kwargs: Mapping[str, Any] | None = None,
        max_retries: int = 10,
        reuse_client: bool = True,
        http_client: object = None,
        async_http_client: object = None,
        num_workers: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        encoding_format: EncodingFormat = "base64",
        cache: EmbeddingCache | bool | None = None,
        callback_manager: object = None,
    ) -> None:
        super().__init__(
            model_name,
            MAX_INPUTS if embed_batch_size == "auto" else embed_batch_size,
            num_workers=_at_least_one("num_workers", num_workers),
            callback_manager=callback_manager,
        )
        self.dimensions = _at_least_one("dimensions", dimensions)
        self.additional_kwargs = dict(additional_kwargs or {})
        self._instructions = {"query": query_instruction or "", "document": text_instruction or ""}
        self._encoding_format: EncodingFormat = encoding_format
        self.connection = connection
        self._service = Service(
            connection,
            at_once=self._at_once,
            policy=RetryPolicy(max_retries=max_retries),
            pace=Pace(requests_per_minute, tokens_per_minute),
            reuse_client=reuse_client,
            http_client=http_client,
            async_http_client=async_http_client,
        )
        if cache is None:
            cache = self._says_what_it_computes()
        self.cache = DefaultCache() if cache is True else checked_cache(cache)

    @property
    def dim(self) -> int | None:
        """Numbers per vector: those asked for, or the model's own once known."""
        return self.dimensions or self._dim

    @property
    def fingerprint(self) -> str:
        """Provider, address, model, dimensions and all else that changes the vectors."""
        facts = {
            "provider": type(self).__name__,
            "where": self.connection.where,
            "model": self.model_name,
            "dimensions": self.dimensions,
        }
        fields = {k: v for k, v in self.additional_kwargs.items() if k != "user"}
        if fields or any(self._instructions.values()):
            shaping = {"instructions": self._instructions, "fields": fields}
            text = json.dumps(shaping, sort_keys=True, default=repr)
            facts["shaping"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return "remote:" + json.dumps(facts, sort_keys=True)

    def __repr__(self) -> str:
        """Name the class, the model and the service; never the key."""
        dimensions = f", dimensions={self.dimensions}" if self.dimensions else ""
        return (
            f"{type(self).__name__}(model={self.model_name!r}{dimensions}, "
            f"api_base={self.connection.where!r})"
        )

    @classmethod
    def _says_what_it_computes(cls) -> bool:
        """Say whether the fingerprint covers all hooks; it does not know those of a subclass."""
        hooks = ("_encode", "_aencode", *SYNC_HOOKS, *ASYNC_TWIN.values())
        return not any(overrides(cls, hook, "fingerprint") for hook in hooks)

    def close(self) -> None:
        """Close the connections of blocking calls; the next call opens new ones."""
        self._service.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._service.aclose()

    def __enter__(self) -> Self:
        """Give the model itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    async def __aenter__(self) -> Self:
        """Give the model itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self.aclose()

    def _plan_workers(self) -> int:
        # The service lets num_workers requests through at a time. The few more prepare
        # the next and read the last, so that all those are always on their way.
        return self._at_once + min(self._at_once - 1, _WORKERS_BETWEEN_REQUESTS)

    @property
    def _at_once(self) -> int:
        return self.num_workers or 1

    def _plan_budget(self) -> Budget | None:
        return Budget(MAX_REQUEST_TOKENS, estimate_tokens)

    def _encode(self, texts: Sequence[str], input_type: InputType) -> Vectors:
        flow = self._flow(texts, input_type)
        try:
            part = next(flow)
            while True:
                try:
                    vectors = self._fetch([texts[n] for n in part], input_type)
                except Exception as error:  # noqa: BLE001 - the flow decides what to do about it
                    part = flow.throw(error)
                else:
                    part = flow.send(vectors)
        except StopIteration as end:
            result: Vectors = end.value
            return result

    async def _aencode(self, texts: Sequence[str], input_type: InputType) -> Vectors:
        flow = self._flow(texts, input_type)
        try:
            part = next(flow)
            while True:
                try:
                    vectors = await self._afetch([texts[n] for n in part], input_type)
                except Exception as error:  # noqa: BLE001 - as above
                    part = flow.throw(error)
                else:
                    part = flow.send(vectors)
        except StopIteration as end:
            result: Vectors = end.value
            return result

    def _fetch(self, texts: list[str], input_type: InputType) -> Vectors:
        body, tokens = self._request(texts, input_type)
        with self._traced() as bill:
            answer = self._service.post("embeddings", body, tokens=tokens)
            return self._read(answer, texts, tokens, bill)

    async def _afetch(self, texts: list[str], input_type: InputType) -> Vectors:
        body, tokens = self._request(texts, input_type)
        with self._traced() as bill:
            answer = await self._service.apost("embeddings", body, tokens=tokens)
            return self._read(answer, texts, tokens, bill)

    def _traced(self) -> AbstractContextManager[Callable[[int], None]]:
        return traced("embeddings", self.model_name, self.connection, dimensions=self.dimensions)

    def _flow(self, texts: Sequence[str], input_type: InputType) -> Flow:
        def keep(part: list[int], vectors: Vectors) -> None:
            keep_part([texts[n] for n in part], vectors)

        def hopeless(text: str) -> str | None:
            sent = self._instructions[input_type] + text
            return None if sent or self.sends_empty_texts else "The service takes no empty text."

        return embedding_flow(texts, hopeless=hopeless, keep=keep)

    def _request(self, texts: list[str], input_type: InputType) -> tuple[dict[str, Any], float]:
        """Give the body of a request and about how many tokens it holds."""
        instruction = self._instructions[input_type]
        sent = [instruction + text for text in texts] if instruction else texts
        body = embeddings_request(
            self.model_name,
            sent,
            encoding_format=self._encoding_format,
            dimensions=self.dimensions,
            extra=self.additional_kwargs,
        )
        return body, float(sum(map(estimate_tokens, sent)))

    def _read(
        self, answer: Answer, texts: list[str], reserved: float, bill: Callable[[int], None]
    ) -> Vectors:
        def name(number: int) -> str:
            return f"the text {preview(texts[number])}"

        with self.connection.discreet():
            reply = read_embeddings_reply(
                answer.content, count=len(texts), dim=self.dimensions, name=name
            )
        count(tokens=reply.tokens)
        bill(reply.tokens)
        if reply.tokens:
            self._service.pace.correct(reserved, reply.tokens, self._service.clock.now())
        known = self._dim
        if known is not None and reply.vectors.shape[1] != known:
            message = (
                f"{self.connection.where} returned vectors of {reply.vectors.shape[1]} numbers "
                f"after vectors of {known}. Did the model behind it change?"
            )
            raise InvalidVectorsError(message)
        return reply.vectors


def estimate_tokens(text: str) -> int:
    """Estimate a text's tokens without the model's tokenizer.

    A token per three bytes of UTF-8: above the truth for prose in most
    languages. A request that turns out too large all the same is refused by
    the service and then sent in halves.

    Args:
        text: Any text.

    Returns:
        At least 1.
    """
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 1


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        message = f"{name} must be a whole number of at least 1, not {value!r}."
        raise ConfigError(message)
    return value
