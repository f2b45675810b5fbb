"""HTTP from clients that are slow, silent or endless: each has so long, and so much."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from nearfield._extras import require

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from nearfield.server.config import Limits
else:
    HttpToolsProtocol = require(
        "uvicorn.protocols.http.httptools_impl", extra="server", purpose="The server"
    ).HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 16
# A body that was answered before its end is read on and thrown away, so that its sender
# comes to read the answer; but not for ever.
MAX_IGNORED_BYTES = 1 << 28
SLACK_S = 2.0  # for the answer to a slow body, which the application gives

# The parser drops the body of a request that offers to go on in another protocol, as
# Java's client does with each (HTTP/2). Nothing else is spoken here, so the offer is not read.
_OFFER = re.compile(rb"\nupgrade(?=[ \t]*:)", re.IGNORECASE)
_UNREAD = b"\nignored"  # as long as it was; valid JSON holds no such line

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class PatientProtocol(HttpToolsProtocol):  # type: ignore[misc] # optional: Any
    """Uvicorn's protocol, with an end to its patience.

    Args:
        limits: How long and how much.
        given: As uvicorn gives it.
    """

    def __init__(self, *, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._awaits: str | None = "head"
        self._since = self.loop.time()
        self._head_bytes = 0
        self._ignored_bytes = 0
        self._unread_since: float | None = None

    def check(self, now: float) -> None:
        """Close the connection when its client has used up its time.

        Args:
            now: The loop's time.
        """
        limits = self._limits
        patience = limits.header_timeout_s
        if self._awaits == "body":
            patience = limits.body_timeout_s + SLACK_S
        late = self._awaits is not None and now - self._since > patience
        unread = self._unread_since is not None and now - self._unread_since > (
            limits.body_timeout_s
        )
        if (late or unread) and self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless they are too many."""
        if self._awaits != "body":
            data = _OFFER.sub(_UNREAD, data)
        if self._awaits == "head":
            self._head_bytes += len(data)
        elif self.cycle is not None and self.cycle.response_complete:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > MAX_IGNORED_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        if self._awaits == "head" and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Hear that a request begins."""
        super().on_message_begin()
        self._await("head")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after the body was not looked at by anyone, and is dropped."""
        if self._awaits == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hear that a request's head is there."""
        self._await("body")
        self._head_bytes = self._ignored_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Hear that a request is there."""
        self._awaits = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Hear that the client does not read its answer."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Hear that it does again."""
        self._unread_since = None
        super().resume_writing()

    def _await(self, what: str) -> None:
        self._awaits = what
        self._since = self.loop.time()


def check_all(connections: set[Any], now: float | None = None) -> None:
    """Close the connections whose clients have used up their time.

    Args:
        connections: Of :class:`PatientProtocol`.
        now: The loop's time.
    """
    moment = asyncio.get_running_loop().time() if now is None else now
    for connection in list(connections):
        connection.check(moment)
