"""Where a service is, how to log in, and what each of its refusals means there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nearfield.errors import AuthenticationError, ConfigError, EmbeddingError
from nearfield.remote.secret import Secret, SecretHeaders, can_be_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL_WAY_OUT = "For a model that needs no key, use Settings.embed_model = 'local'."
_NO_KEY = "no-key-needed"


@dataclass(frozen=True, slots=True)
class Connection:
    """A service that speaks OpenAI's protocol.

    Attributes:
        name: The class that uses it, for messages.
        base_url: Its address; for Azure, the resource's endpoint.
        key: The key.
        needs_key: Whether it must have one.
        timeout_s: Seconds for a whole request, its answer included.
        headers: Further headers of every request; a pickle leaves them behind, as it does the key.
        organization: OpenAI's organisation id.
    """

    name: str
    base_url: str = field(repr=False)  # may hold a password
    key: Secret = field(default_factory=Secret)
    needs_key: bool = True
    timeout_s: float = 60.0
    headers: SecretHeaders = field(default_factory=SecretHeaders)
    organization: str | None = None

    def __post_init__(self) -> None:
        """Refuse an address that cannot be one, and a missing key, at once."""
        url = urlsplit(self.base_url)
        blank = self.base_url != self.base_url.strip()
        if url.scheme not in ("http", "https") or not url.hostname or blank:
            shown = self.base_url.rpartition("@")[2]  # what stands before may be a password
            message = f"{self.name}: {shown!r} is no address. Write it like 'https://host/v1'."
            raise ConfigError(message)
        if not isinstance(self.timeout_s, (int, float)) or not self.timeout_s > 0:
            message = f"{self.name}: timeout must be more than 0 seconds, not {self.timeout_s!r}."
            raise ConfigError(message)
        self.login()

    @property
    def where(self) -> str:
        """Host, port and path of the address, without any password in it."""
        url = urlsplit(self.base_url)
        return (url.netloc.rpartition("@")[2] + url.path).rstrip("/") or self.base_url

    def login(self) -> str:
        """Give the key.

        Returns:
            The key, or a word that stands for none where none is needed.

        Raises:
            AuthenticationError: There is no key, and there must be one, or it cannot be sent.
        """
        key = self.key.reveal()
        if key is None and self.needs_key:
            message = (
                f"{self.name} needs an API key: set the environment variable "
                f"{self.key.variable}, or pass api_key=... {LOCAL_WAY_OUT}"
            )
            raise AuthenticationError(message)
        if key is not None and not can_be_sent(key):
            message = (
                f"{self.name}: the key ({self.key.variable or 'api_key'}) holds a line end or a "
                "letter beyond ASCII, which no key has. Copy it anew."
            )
            raise AuthenticationError(message)
        return key or _NO_KEY

    def log_in(self, client: Any) -> None:
        """Have a client of the SDK use the key as it is now; functions give new ones.

        Args:
            client: The client.

        Raises:
            AuthenticationError: As for :meth:`login`.
        """
        client.api_key = self.login()

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """Blot the key out of what is raised about an answer, which may repeat it."""
        try:
            yield
        except EmbeddingError as error:
            error.args = (self.key.hide(str(error)),)
            raise

    def client_arguments(self) -> dict[str, Any]:
        """Give what the SDK's client classes are made with."""
        return {
            "api_key": self.login(),
            "base_url": self.base_url,
            "organization": self.organization,
            "default_headers": self.headers.reveal() or None,
            "timeout": self.timeout_s,
            "max_retries": 0,
        }

    @property
    def client_classes(self) -> tuple[str, str]:
        """The names of the SDK's blocking and asynchronous client class."""
        return "OpenAI", "AsyncOpenAI"

    @property
    def provider(self) -> str:
        """The provider's name, as OpenTelemetry lists them."""
        return "openai"

    def advice(self, status: int | None, code: str | None) -> str:
        """Say what to do about a refusal.

        Args:
            status: The HTTP status, or ``None`` when no answer came.
            code: The service's name of the cause.

        Returns:
            One sentence.
        """
        key = f"{self.key.variable} or api_key" if self.key.variable else "api_key"
        match status:
            case None:
                return f"Check the network and api_base ({self.where})."
            case 401:
                return f"Check the key ({key}) and that it belongs to {self.where}. {LOCAL_WAY_OUT}"
            case 403:
                return f"The key ({key}) is not allowed to use this model or region."
            case 404 if code == "model_not_found":
                return "Check the model's name and that your account may use it."
            case 404:
                return f"Check the model's name and api_base ({self.where})."
        return ""


@dataclass(frozen=True, slots=True)
class AzureConnection(Connection):
    """An Azure OpenAI resource: four names must fit together.

    Attributes:
        deployment: The deployment's name, chosen by whoever made it; not the model's.
        api_version: The version of Azure's interface, such as ``"2024-10-21"``.
        token_provider: Gives a Microsoft Entra token, instead of a key.
    """

    deployment: str = ""
    api_version: str = ""
    token_provider: Callable[[], str] | None = field(default=None, repr=False)

    def login(self) -> str:
        """Give the key, or nothing where tokens are used."""
        if self.token_provider is not None:
            return _NO_KEY
        return Connection.login(self)

    def log_in(self, client: Any) -> None:
        """Have a client of the SDK use the key as it is now; tokens it asks for itself."""
        if self.token_provider is None:
            Connection.log_in(self, client)

    def client_arguments(self) -> dict[str, Any]:
        """Give what the SDK's client classes are made with."""
        arguments = Connection.client_arguments(self)
        del arguments["base_url"]
        if self.token_provider is not None:
            del arguments["api_key"]
            arguments["azure_ad_token_provider"] = self.token_provider
        return {
            **arguments,
            "azure_endpoint": self.base_url,
            "azure_deployment": self.deployment,
            "api_version": self.api_version,
        }

    @property
    def client_classes(self) -> tuple[str, str]:
        """The names of the SDK's blocking and asynchronous client class."""
        return "AzureOpenAI", "AsyncAzureOpenAI"

    @property
    def provider(self) -> str:
        """The provider's name, as OpenTelemetry lists them."""
        return "azure.ai.openai"

    def advice(self, status: int | None, code: str | None) -> str:
        """Say which of the four names is wrong, as far as Azure's answer tells."""
        match status:
            case None:
                return f"Check azure_endpoint ({self.where}) and the network."
            case 401 | 403:
                return (
                    f"Check that api_key (AZURE_OPENAI_API_KEY) belongs to the resource "
                    f"azure_endpoint names ({self.where})."
                )
            case 404 if code == "DeploymentNotFound":
                return (
                    f"azure_deployment {self.deployment!r} does not exist at {self.where}: use the "
                    "deployment's own name, not the model's, and wait some minutes after making it."
                )
            case 404:
                return (
                    f"api_version {self.api_version!r} or azure_endpoint ({self.where}) is wrong: "
                    "the endpoint ends after the host, without '/openai'."
                )
        return ""
