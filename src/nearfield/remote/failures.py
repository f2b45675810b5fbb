"""From what the SDK and the network raise to nearfield's own errors, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.retry import FINAL_CODES, is_transient, retry_after
from nearfield.errors import (
    AuthenticationError,
    BadRequestError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitError,
)
from nearfield.wire.openai import read_error

if TYPE_CHECKING:
    from nearfield.remote.connection import Connection

_NETWORK_LIBRARIES = ("httpx", "httpcore", "h11", "h2", "anyio", "ssl", "socket", "aiohttp")
_LONGEST_MESSAGE = 400


def translate(error: Exception, connection: Connection, date: float) -> ProviderError | None:
    """Give nearfield's error for one of the SDK's or of the network's.

    Args:
        error: What was raised.
        connection: The service.
        date: Seconds since 1970, to read dates in headers by.

    Returns:
        The error to raise instead, without the key; ``None`` for an error that
        is not the service's.
    """
    openai = require("openai", extra="openai")
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, connection, date)
    if isinstance(error, TimeoutError | openai.APITimeoutError) or _is_timeout(error):
        message = (
            f"{connection.where} did not answer within {connection.timeout_s:g} s. "
            "Raise timeout, or send smaller batches."
        )
        return ProviderTimeoutError(message)
    if isinstance(error, openai.APIConnectionError | OSError) or _is_network(error):
        return _from_connection(error, connection)
    if isinstance(error, openai.APIError):
        return ProviderError(connection.key.hide(f"{connection.where}: {error}"))
    return None


def _from_status(error: Any, connection: Connection, date: float) -> ProviderError:
    status: int = error.status_code
    reply = read_error(error.body if error.body is not None else error.response.text)
    kind = _kind(status, {reply.code, reply.type})
    asked = retry_after(error.response.headers, date)
    said = connection.key.hide(reply.message.rstrip(". "))[:_LONGEST_MESSAGE]
    parts = [f"{connection.where} answered {status}: {said}.", _reason(kind, asked)]
    parts.append(connection.advice(status, reply.code))
    return kind(
        " ".join(part for part in parts if part),
        status=status,
        code=reply.code,
        param=reply.param,
        request_id=error.response.headers.get("x-request-id"),
        retry_after_s=asked,
    )


def _kind(status: int, codes: set[str | None]) -> type[ProviderError]:
    if codes & FINAL_CODES:
        return QuotaExceededError
    if status in {401, 403}:
        return AuthenticationError
    if not is_transient(status):
        return BadRequestError
    special: dict[int, type[ProviderError]] = {408: ProviderTimeoutError, 429: RateLimitError}
    return special.get(status, ProviderUnavailableError)


def _reason(kind: type[ProviderError], asked: float | None) -> str:
    if kind is QuotaExceededError:
        return "The account has no credit left; add some, waiting does not help."
    if kind is RateLimitError and asked is not None:
        return f"It asks to wait {asked:g} s."
    if kind is RateLimitError:
        return "Pass requests_per_minute or tokens_per_minute to stay below the limit."
    return ""


def _from_connection(error: Exception, connection: Connection) -> ProviderError:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    why = connection.key.hide(str(cause) or type(cause).__name__)
    message = f"No answer from {connection.where}: {why}. {connection.advice(None, None)}"
    return ProviderUnavailableError(message)


def _is_timeout(error: Exception) -> bool:
    return _is_network(error) and "Timeout" in type(error).__name__


def _is_network(error: Exception) -> bool:
    """Say whether an error comes from the HTTP library, whichever the SDK is built on."""
    library = type(error).__module__.partition(".")[0]
    return library.startswith(_NETWORK_LIBRARIES)
