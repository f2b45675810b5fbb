"""What a request is answered when it gets no result: a status, and an error in OpenAI's shape."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from nearfield.errors import (
    BadRequestError,
    ConfigError,
    InputTooLongError,
    ModelMismatchError,
    NearfieldError,
    NotSupportedError,
    ProviderError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
    UnknownModelError,
)
from nearfield.wire.openai import ErrorReply

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping


class Refusal(NearfieldError):  # noqa: N818 - it is an answer, not a fault
    """A request that gets no result.

    Args:
        status: The HTTP status.
        message: What is wrong, and what to do about it.
        kind: OpenAI's name for the kind of error.
        param: The field at fault.
        code: A stable name of the cause.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.reply = ErrorReply(message, kind, param, code)
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, reply: ErrorReply, status: int = HTTPStatus.BAD_REQUEST) -> Refusal:
        """Make the refusal that says what a reply says."""
        return cls(status, reply.message, kind=reply.type, param=reply.param, code=reply.code)


def busy(message: str, retry_after_s: int) -> Refusal:
    """Give the refusal of a request for which there is no room now.

    Args:
        message: What is full.
        retry_after_s: When it is worth trying again.
    """
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{message} Try again in {retry_after_s} s.",
        kind="rate_limit_error",
        code="rate_limit_exceeded",
        headers={"retry-after": str(retry_after_s)},
    )


def unavailable(message: str, retry_after_s: int = 1) -> Refusal:
    """Give the refusal of a request that cannot be answered at this time.

    Args:
        message: Why not.
        retry_after_s: When it is worth trying again.
    """
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message,
        kind="server_error",
        code="service_unavailable",
        headers={"retry-after": str(retry_after_s)},
    )


def refusal_of(error: BaseException) -> Refusal:
    """Give the answer to a request that failed.

    A client learns what it can change; what happened inside is for the log.

    Args:
        error: What went wrong.
    """
    match error:
        case Refusal():
            return error
        case UnknownModelError():
            return Refusal(HTTPStatus.NOT_FOUND, str(error), param="model", code="model_not_found")
        case InputTooLongError():
            return Refusal(
                HTTPStatus.BAD_REQUEST, str(error), param="input", code="context_length_exceeded"
            )
        case BadRequestError():
            message = "The model's provider refused the texts."
            return Refusal(HTTPStatus.BAD_REQUEST, message, param="input")
        case ProviderError():
            message = "The model's provider did not answer as it should; the server's log says how."
            return Refusal(HTTPStatus.BAD_GATEWAY, message, kind="server_error")
        case ConfigError() | NotSupportedError():
            return Refusal(HTTPStatus.BAD_REQUEST, str(error))
        case StoreUnavailableError() | StoreLockedError() | ModelMismatchError():
            other = isinstance(error, ModelMismatchError)
            cure = "Restart the server: its model is another now." if other else "Ask again."
            return unavailable(f"The index cannot be read at this moment. {cure}")
        case StoreError():
            message = "The index cannot be read; the server's log says why."
        case _:
            message = "The request failed inside the server; its log says why."
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message, kind="server_error")


def log_failure(log: logging.Logger, error: BaseException) -> None:
    """Log what failed and where, but not the error's message, which may quote a text.

    Args:
        log: The log.
        error: What went wrong.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("A request failed with %s:\n%s", type(error).__name__, where)
