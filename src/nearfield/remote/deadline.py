"""A limit on the whole of a blocking request, however slowly its answer drips in.

An HTTP client's read timeout starts anew with every byte. Here each read of the
connection is given what is left until a deadline, so that the sum is bounded too.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_deadline: ContextVar[float | None] = ContextVar("nearfield_deadline", default=None)

_SHORTEST_S = 0.001
_NEW_STREAM = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let all reads of watched connections in this block end within ``seconds``, taken together.

    Args:
        seconds: How long the block's requests may take.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def check_deadline() -> None:
    """Stop a block that is late; for answers read over connections nobody watches.

    Raises:
        TimeoutError: The deadline of the block has passed.
    """
    until = _deadline.get()
    if until is not None and time.monotonic() > until:
        raise TimeoutError


def watch(request: Any) -> None:
    """Bind the connection that a request opens to the deadline of whoever reads from it.

    To be given to an HTTP client as its ``request`` event hook.

    Args:
        request: The client's request; its transport must report what it does to
            the ``trace`` extension, as httpcore does.
    """
    request.extensions["trace"] = _trace


def _trace(event: str, info: dict[str, Any]) -> None:
    if not event.endswith(_NEW_STREAM):
        return
    stream = info["return_value"]
    read = stream.read

    def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
        until = _deadline.get()
        if until is not None:
            left = max(until - time.monotonic(), _SHORTEST_S)
            timeout = left if timeout is None else min(timeout, left)
        data: bytes = read(max_bytes, timeout)
        return data

    stream.read = read_in_time
