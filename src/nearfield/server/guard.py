"""Who is let in: looked at before a byte of a body is read, by a plain ASGI middleware."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from nearfield.server.http import (
    Gone,
    again,
    read_body,
    send_refusal,
    too_large,
    while_there,
)
from nearfield.server.refusal import Refusal, busy, log_failure, refusal_of, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nearfield.server.http import ASGIApp, Message, Receive, Scope, Send
    from nearfield.server.service import Service

# What is given without a key and a loaded model; a body is not read for it.
_OPEN_PATHS = frozenset({"/", "/health", "/favicon.ico"})
_OPEN_FOLDER = "/static/"
GONE = 499
"""The status, as nginx has it, of a request whose client did not wait for the answer."""

_log = logging.getLogger(__name__)

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Guard:
    """Refuses what is not to be served, in the order in which it costs least.

    Args:
        app: What is guarded.
        service: Its configuration, and whether it is ready.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._limits = service.config.limits
        self._hosts = service.config.hosts
        self._held = 0  # bytes of bodies, as they come in
        key = service.config.api_key.reveal()
        self._key = None if key is None else f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here; count it either way."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # what GET gives; its body is held back by the server below
            scope = {**scope, "method": "GET"}
        started = time.perf_counter()
        status = GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._let_in(scope, receive, watched)
        except Refusal as refusal:
            await send_refusal(watched, refusal)
        except Gone:
            pass
        except asyncio.CancelledError:  # from outside: the time to finish what was begun is over
            if status == GONE:
                await send_refusal(watched, unavailable("The server is being stopped."))
        except Exception as error:
            if status != GONE:
                raise  # too late for another answer; the connection is closed
            log_failure(_log, error)
            await send_refusal(watched, refusal_of(error))
        route = getattr(scope.get("route"), "path", "none")
        self._service.metrics.request(route, status, time.perf_counter() - started)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._check(scope)
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._held + size > self._limits.queue_bytes:
                message = "The server has as many bodies as it can hold."
                raise busy(message, self._service.retry_after_s())
            self._held += size
            taken += size

        try:
            # Whole and within the limits, before any route sees a part of it.
            body = await read_body(receive, self._limits, take)
            await while_there(self._app(scope, again(body, receive), send), receive)
        finally:
            self._held -= taken

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        # RFC 9112, section 3.2: what stands before this server may have looked at another one.
        if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
            message = "A request has exactly one Host header; send one."
            raise Refusal(HTTPStatus.BAD_REQUEST, message)
        if self._hosts is not None:
            self._check_host(headers.get(b"host"))
        path: str = scope["path"]
        has_body = scope["method"] in _WITH_BODY
        if not has_body and (path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)):
            return
        key = headers.get(b"authorization")
        if self._key is not None and not hmac.compare_digest(self._key, key or b""):
            raise _no_key(missing=key is None)
        if not self._service.ready:
            raise unavailable("The server is loading its models, or being stopped.")
        if has_body:
            self._check_body(headers)

    def _check_host(self, host: bytes | None) -> None:
        """Refuse names that are not ours: a page elsewhere may have made its own lead here."""
        name = (host or b"").decode("latin-1").lower()
        bare, colon, port = name.rpartition(":")
        if colon and port.isdigit():
            name = bare
        if self._hosts is None or name in self._hosts:
            return
        message = "This server does not answer to that Host. Add it with --allow-host NAME."
        raise Refusal(HTTPStatus.FORBIDDEN, message, code="host_not_allowed")

    def _check_body(self, headers: Mapping[bytes, bytes]) -> None:
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            message = "Compressed bodies are not taken. Send the JSON as it is."
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
        # Browsers send JSON to other sites only after asking, which is never answered.
        if (
            headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            != b"application/json"
        ):
            message = "Send JSON, with the header Content-Type: application/json."
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
        # Longer numbers are refused by the parser of HTTP.
        if int(headers.get(b"content-length", 0)) > self._limits.max_body_bytes:
            raise too_large(self._limits)


def _no_key(*, missing: bool) -> Refusal:
    message = (
        "No API key was sent. Send it as Authorization: Bearer KEY."
        if missing
        else "The API key is not this server's."
    )
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        message,
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer"},
    )
