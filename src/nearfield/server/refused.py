"""Every failure of a FastAPI route as an error in OpenAI's shape."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nearfield.errors import NearfieldError
from nearfield.server.refusal import Refusal, log_failure, refusal_of

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_log = logging.getLogger(__name__)


def answer_errors(app: FastAPI) -> None:
    """Let an application answer all errors in OpenAI's shape.

    Args:
        app: The application.
    """
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(NearfieldError, _ours)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    first = cast("RequestValidationError", error).errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    message = f"'{place}': {first['msg']}." if place else f"The body: {first['msg']}."
    return _answer(Refusal(HTTPStatus.BAD_REQUEST, message, param=place or None))


async def _http(_: Request, error: Exception) -> JSONResponse:
    http = cast("HTTPException", error)
    return _answer(Refusal(http.status_code, str(http.detail), headers=http.headers))


async def _ours(_: Request, error: Exception) -> JSONResponse:
    refusal = refusal_of(error)
    if refusal is not error and refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_failure(_log, error)
    return _answer(refusal)


def _answer(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.reply.as_json(), refusal.status, refusal.headers)
