"""The small part of ASGI that the server's own handlers need: a body in, an answer out."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from nearfield.server.config import Limits

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

orjson = require("orjson", extra="server", purpose="The server")

WATCH_AFTER_S = 0.1
"""A client that is answered sooner is not watched for leaving."""

_JSON = (b"content-type", b"application/json")


class Gone(Exception):  # noqa: N818 - no error: somebody left
    """The client has closed the connection; there is nobody to answer."""


async def read_body(receive: Receive, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Read a request's body, within the limits of size and time.

    Args:
        receive: ASGI's.
        limits: The limits.
        take: Told how many bytes came, with each part; it may refuse them.

    Raises:
        Refusal: The body is too large (413), or too slow (408), or ``take`` refused it.
        Gone: The client left before its end.
    """
    message = await _received(receive)
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        take(len(body))
        return _sized(body, limits)
    parts = [message.get("body", b"")]
    size = len(parts[0])
    take(size)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            while message.get("more_body"):
                message = await _received(receive)
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                take(len(parts[-1]))
                if size > limits.max_body_bytes:
                    raise too_large(limits)
    except TimeoutError:
        message_text = f"The body did not come within {limits.body_timeout_s:g} s."
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT, message_text, headers={"connection": "close"}
        ) from None
    return b"".join(parts)


def read_json(body: bytes) -> Any:
    """Read JSON.

    Args:
        body: A request's body.

    Raises:
        Refusal: It is none; status 400.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None


def again(body: bytes, receive: Receive) -> Receive:
    """Give a ``receive`` that hands out a body that was read already, then what follows.

    Args:
        body: The body.
        receive: ASGI's.
    """
    handed_out = False

    async def replay() -> Message:
        nonlocal handed_out
        if handed_out:
            return await receive()
        handed_out = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def too_large(limits: Limits) -> Refusal:
    """Give the refusal of a body over the limit."""
    message = f"The body is over {limits.max_body_bytes:,} bytes. Send fewer texts at once."
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


async def send_json(
    send: Send, body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    """Send an answer.

    Args:
        send: ASGI's.
        body: The JSON.
        status: The status.
        headers: Further headers.
    """
    raw = [_JSON, (b"content-length", str(len(body)).encode())]
    if headers:
        raw += [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Send an error in OpenAI's shape."""
    body = orjson.dumps(refusal.reply.as_json())
    await send_json(send, body, refusal.status, refusal.headers)


async def while_there(answer: Awaitable[None], receive: Receive) -> None:
    """Await an answer as long as the client is there; it is cancelled when the client goes.

    Args:
        answer: What is awaited.
        receive: ASGI's, after the whole body.

    Raises:
        Gone: The client closed the connection.
    """
    task = asyncio.current_task()
    watch: asyncio.Task[None] | None = None
    left = False

    def leave(_: asyncio.Task[None]) -> None:
        nonlocal left
        if task is not None and not finished:
            left = True
            task.cancel()

    def begin() -> None:
        nonlocal watch
        watch = loop.create_task(_until_gone(receive))
        watch.add_done_callback(leave)

    finished = False
    loop = asyncio.get_running_loop()
    timer = loop.call_later(WATCH_AFTER_S, begin)
    try:
        await answer
    except asyncio.CancelledError:
        if left and task is not None and not task.uncancel():
            raise Gone from None
        raise
    finally:
        finished = True
        timer.cancel()
        if watch is not None:
            watch.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _received(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message


def _sized(body: bytes, limits: Limits) -> bytes:
    if len(body) > limits.max_body_bytes:
        raise too_large(limits)
    return body
