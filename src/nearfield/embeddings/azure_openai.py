"""OpenAI's embedding models as Azure deployments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from nearfield.errors import ConfigError
from nearfield.remote.connection import AzureConnection
from nearfield.remote.embedding import RemoteEmbedding
from nearfield.remote.secret import Secret, SecretHeaders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nearfield.core.cache import EmbeddingCache

DEFAULT_MODEL = "text-embedding-ada-002"


class AzureOpenAIEmbedding(RemoteEmbedding):
    """An embedding model deployed in an Azure OpenAI resource.

    Four names must fit together: endpoint, deployment, key and version. One that
    is missing is said when the object is made, one that is wrong at the first call.

    Args:
        mode: Accepted for LlamaIndex's sake, not used.
        model: The model behind the deployment, for the fingerprint.
        embed_batch_size: Texts per request, 1 to 2,048, or ``"auto"``.
        dimensions: Numbers per vector, for models that can shorten theirs.
        additional_kwargs: Further fields of every request.
        api_key: The resource's key; ``AZURE_OPENAI_API_KEY`` by default.
        api_version: The interface's version; ``OPENAI_API_VERSION`` by default.
        azure_endpoint: The resource's address, such as
            ``"https://NAME.openai.azure.com"``; ``AZURE_OPENAI_ENDPOINT`` by default.
        azure_deployment: The deployment's name.
        deployment_name: The same as ``azure_deployment``.
        azure_ad_token_provider: Gives a Microsoft Entra token, instead of a key.
        max_retries: Requests sent again, at most.
        timeout: Seconds for a whole request.
        reuse_client: Keep connections open between calls.
        default_headers: Further headers of every request.
        http_client: An ``httpx.Client`` of your own for blocking calls.
        async_http_client: An ``httpx.AsyncClient`` of your own for asynchronous calls.
        num_workers: Requests under way at the same time, 8 by default.
        model_name: The same as ``model``; wins over it.
        user: Your name for your user, sent only when given.
        requests_per_minute: The deployment's limit; learnt from the answers when not given.
        tokens_per_minute: The same for tokens.
        cache: Where vectors are kept: by default one file shared by all remote
            models, ``False`` for nowhere, or a cache of your own.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ConfigError: Endpoint, deployment or version is missing.
        AuthenticationError: There is no key.
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
        api_version: str | None = None,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        deployment_name: str | None = None,
        azure_ad_token_provider: Callable[[], str] | None = None,
        max_retries: int = 10,
        timeout: float = 60.0,
        reuse_client: bool = True,
        default_headers: Mapping[str, str] | None = None,
        http_client: object = None,
        async_http_client: object = None,
        num_workers: int | None = None,
        model_name: str | None = None,
        user: str | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        cache: EmbeddingCache | bool | None = None,
        callback_manager: object = None,
    ) -> None:
        connection = AzureConnection(
            type(self).__name__,
            _named("azure_endpoint", azure_endpoint, "AZURE_OPENAI_ENDPOINT"),
            Secret(api_key, "AZURE_OPENAI_API_KEY"),
            timeout_s=timeout,
            headers=SecretHeaders(default_headers),
            deployment=_named("azure_deployment", azure_deployment or deployment_name, None),
            api_version=_named("api_version", api_version, "OPENAI_API_VERSION"),
            token_provider=azure_ad_token_provider,
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
            cache=cache,
            callback_manager=callback_manager,
        )
        self.azure_deployment = connection.deployment

    @property
    def fingerprint(self) -> str:
        """The remote model's facts, and the deployment."""
        return f"{super().fingerprint}@{self.azure_deployment}"


def _named(name: str, value: str | None, variable: str | None) -> str:
    """Give one of the four names, or say that it is missing."""
    found = value or (os.environ.get(variable) if variable else None)
    if found:
        return found
    examples = {
        "azure_endpoint": "'https://NAME.openai.azure.com'",
        "azure_deployment": "the name given to the deployment in Azure",
        "api_version": "'2024-10-21'",
    }
    setting = f" or set {variable}" if variable else ""
    message = (
        f"AzureOpenAIEmbedding needs {name}: pass {name}=... ({examples[name]}){setting}. "
        "The four names are azure_endpoint, azure_deployment, api_key and api_version."
    )
    raise ConfigError(message)
