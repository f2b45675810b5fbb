"""Any server that speaks OpenAI's embeddings protocol: vLLM, TEI, Ollama, nearfield's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nearfield.remote.connection import Connection
from nearfield.remote.embedding import RemoteEmbedding
from nearfield.remote.secret import Secret, SecretHeaders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nearfield.core.cache import EmbeddingCache

DEFAULT_BASE = "http://127.0.0.1:8000/v1"


class OpenAILikeEmbedding(RemoteEmbedding):
    """An embedding model behind an OpenAI-like address.

    No key is read from the environment: one meant for OpenAI must not reach
    another server.

    Args:
        model_name: The model's name, as the server knows it.
        embed_batch_size: Texts per request, 1 to 2,048, or ``"auto"``.
        dimensions: Numbers per vector, sent only when given.
        additional_kwargs: Further fields of every request.
        api_key: The key, if the server wants one.
        api_base: The address, such as ``"http://127.0.0.1:8000/v1"``.
        max_retries: Requests sent again, at most.
        timeout: Seconds for a whole request.
        reuse_client: Keep connections open between calls.
        default_headers: Further headers of every request.
        http_client: An ``httpx.Client`` of your own for blocking calls.
        async_http_client: An ``httpx.AsyncClient`` of your own for asynchronous calls.
        num_workers: Requests under way at the same time, 8 by default.
        model: The same as ``model_name``.
        requests_per_minute: The server's limit; learnt from the answers when not given.
        tokens_per_minute: The same for tokens.
        query_instruction: Put before every question, for models trained with one.
        text_instruction: Put before every text to be found.
        encoding_format: How vectors come back; ``"float"`` for servers that fail on base64.
        cache: Where vectors are kept: by default one file shared by all remote
            models, ``False`` for nowhere, or a cache of your own. Without a name for the
            model nowhere, for nothing would tell its vectors from those of the next one there.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: An argument makes no sense.
        MissingDependencyError: The extra ``openai`` is not installed.
    """

    def __init__(
        self,
        model_name: str | None = None,
        embed_batch_size: int | Literal["auto"] = 10,
        *,
        dimensions: int | None = None,
        additional_kwargs: Mapping[str, Any] | None = None,
        api_key: str | Callable[[], str] | None = None,
        api_base: str = DEFAULT_BASE,
        max_retries: int = 10,
        timeout: float = 60.0,
        reuse_client: bool = True,
        default_headers: Mapping[str, str] | None = None,
        http_client: object = None,
        async_http_client: object = None,
        num_workers: int | None = None,
        model: str | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        encoding_format: Literal["base64", "float"] = "base64",
        cache: EmbeddingCache | bool | None = None,
        callback_manager: object = None,
    ) -> None:
        connection = Connection(
            type(self).__name__,
            api_base,
            Secret(api_key),
            needs_key=False,
            timeout_s=timeout,
            headers=SecretHeaders(default_headers),
        )
        name = model_name or model
        if name is None and cache is None:
            cache = False
        super().__init__(
            connection,
            name or "default",
            embed_batch_size=embed_batch_size,
            dimensions=dimensions,
            additional_kwargs=additional_kwargs,
            max_retries=max_retries,
            reuse_client=reuse_client,
            http_client=http_client,
            async_http_client=async_http_client,
            num_workers=num_workers,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            query_instruction=query_instruction,
            text_instruction=text_instruction,
            encoding_format=encoding_format,
            cache=cache,
            callback_manager=callback_manager,
        )
