"""OpenAI's embedding models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from nearfield.remote.connection import Connection
from nearfield.remote.embedding import RemoteEmbedding
from nearfield.remote.secret import Secret, SecretHeaders
from nearfield.wire.openai import MAX_TEXT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nearfield.core.cache import EmbeddingCache

DEFAULT_MODEL = "text-embedding-ada-002"
DEFAULT_BASE = "https://api.openai.com/v1"

_DIMS = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}


class OpenAIEmbedding(RemoteEmbedding):
    """An embedding model of OpenAI, or of a service that stands in for it.

    Nothing is sent before the first text is embedded. The text is sent as it
    is, byte for byte.

    Args:
        mode: Accepted for LlamaIndex's sake, not used.
        model: The model's name; any is accepted.
        embed_batch_size: Texts per request, 1 to 2,048, or ``"auto"``: as many as
            the service takes, 2,048 texts or 300,000 tokens.
        dimensions: Numbers per vector, for models that can shorten theirs.
        additional_kwargs: Further fields of every request, such as ``{"user": "..."}``.
        api_key: The key, or a function that gives it; ``OPENAI_API_KEY`` by default.
        api_base: The address; ``OPENAI_BASE_URL`` or OpenAI's own by default.
        api_version: Accepted for LlamaIndex's sake, not used: Azure has a class of its own.
        max_retries: Requests sent again, at most.
        timeout: Seconds for a whole request.
        reuse_client: Keep connections open between calls.
        default_headers: Further headers of every request.
        http_client: An ``httpx.Client`` of your own for blocking calls.
        async_http_client: An ``httpx.AsyncClient`` of your own for asynchronous calls.
        num_workers: Requests under way at the same time, 8 by default.
        model_name: The same as ``model``; wins over it.
        user: Your name for your user, sent only when given.
        organization: OpenAI's organisation id; ``OPENAI_ORG_ID`` by default.
        requests_per_minute: The account's limit; learnt from the answers when not given.
        tokens_per_minute: The same for tokens.
        query_instruction: Put before every question.
        text_instruction: Put before every text to be found.
        cache: Where vectors are kept: by default one file shared by all remote
            models, ``False`` for nowhere, or a cache of your own.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        AuthenticationError: There is no key.
        ConfigError: An argument makes no sense.
        MissingDependencyError: The extra ``openai`` is not installed.
    """

    sends_empty_texts = False

    def __init__(
        self,
        mode: str = "text_search",  # noqa: ARG002 - LlamaIndex's keyword
        model: str = DEFAULT_MODEL,
        embed_batch_size: int | Literal["auto"] = 10,
        *,
        dimensions: int | None = None,
        additional_kwargs: Mapping[str, Any] | None = None,
        api_key: str | Callable[[], str] | None = None,
        api_base: str | None = None,
        api_version: str | None = None,  # noqa: ARG002 - LlamaIndex's keyword
        max_retries: int = 10,
        timeout: float = 60.0,
        reuse_client: bool = True,
        default_headers: Mapping[str, str] | None = None,
        http_client: object = None,
        async_http_client: object = None,
        num_workers: int | None = None,
        model_name: str | None = None,
        user: str | None = None,
        organization: str | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        cache: EmbeddingCache | bool | None = None,
        callback_manager: object = None,
    ) -> None:
        environment = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        connection = Connection(
            type(self).__name__,
            api_base or environment or DEFAULT_BASE,
            Secret(api_key, "OPENAI_API_KEY"),
            timeout_s=timeout,
            headers=SecretHeaders(default_headers),
            organization=organization,
        )
        super().__init__(
            connection,
            model_name or model,
            embed_batch_size=embed_batch_size,
            dimensions=dimensions,
            additional_kwargs={**({"user": user} if user else {}), **(additional_kwargs or {})},
            max_retries=max_retries,
            reuse_client=reuse_client,
            http_client=http_client,
            async_http_client=async_http_client,
            num_workers=num_workers,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            query_instruction=query_instruction,
            text_instruction=text_instruction,
            cache=cache,
            callback_manager=callback_manager,
        )

    @property
    def dim(self) -> int | None:
        """Numbers per vector: those asked for, or the model's own where known."""
        if self.dimensions is None and self._dim is None and self._is_openai:
            return _DIMS.get(self.model_name)
        return super().dim

    @property
    def max_tokens(self) -> int | None:
        """Tokens a model of OpenAI reads of one text; ``None`` for other models."""
        return MAX_TEXT_TOKENS if self.model_name in _DIMS else None

    @property
    def _is_openai(self) -> bool:
        """Whether OpenAI itself answers, so that a model's name says what it is."""
        return urlsplit(self.connection.base_url).hostname == urlsplit(DEFAULT_BASE).hostname
