"""What can go wrong between a client and a service, as values to script a server with."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nearfield.wire.openai import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Ending = Literal["whole", "half", "drip", "slow_body", "hang", "reset"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer gone wrong.

    Attributes:
        status: The HTTP status.
        body: The body instead of the right one.
        headers: Further headers.
        ending: How the answer is sent: whole; ``"half"`` of the body, then the
            connection closes; ``"drip"``: one byte at a time; ``"slow_body"``: the
            headers at once, then the body so; ``"hang"``: not at
            all, the connection stays open; ``"reset"``: not at all, it is reset.
        change: Changes the JSON of the right answer.
        pause_s: Seconds between two bytes of a drip.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = "whole"
    change: Callable[[dict[str, Any]], object] | None = None
    pause_s: float = 1.0


def refused(
    status: int, message: str = "refused", *, code: str | None = None, **headers: str
) -> Fault:
    """Answer with an error in OpenAI's shape.

    Args:
        status: The HTTP status.
        message: What the service says.
        code: Its name of the cause.
        headers: Further headers, ``_`` for ``-``: ``retry_after="2"``.

    Returns:
        The fault.
    """
    body = json.dumps(ErrorReply(message, code=code).as_json()).encode()
    return Fault(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


def web_page() -> Fault:
    """Answer 200 with HTML, as a proxy's login page does."""
    return Fault(200, b"<html><body>Please log in</body></html>", {"content-type": "text/html"})


def half_a_body() -> Fault:
    """Close the connection in the middle of the answer."""
    return Fault(ending="half")


def drip(pause_s: float = 1.0) -> Fault:
    """Send the answer one byte at a time, from its first header on."""
    return Fault(ending="drip", pause_s=pause_s)


def hang() -> Fault:
    """Never answer."""
    return Fault(ending="hang")


def reset() -> Fault:
    """Reset the connection instead of answering."""
    return Fault(ending="reset")


def out_of_order() -> Fault:
    """Give the right vectors in reverse order, each with its right index."""
    return _on_data(lambda data: data[::-1])


def too_few() -> Fault:
    """Leave out the last vector."""
    return _on_data(lambda data: data[:-1])


def too_many() -> Fault:
    """Give one vector more than was asked for."""
    return _on_data(lambda data: [*data, {**data[-1], "index": len(data)}])


def twice_the_same_index() -> Fault:
    """Number all vectors 0."""
    return _on_data(lambda data: [{**item, "index": 0} for item in data])


def null_vector() -> Fault:
    """Give ``null`` for the first vector."""
    return _on_data(lambda data: [{**data[0], "embedding": None}, *data[1:]])


def not_a_number() -> Fault:
    """Give a vector of NaN for the first text."""
    return _on_data(lambda data: [{**data[0], "embedding": [math.nan] * 4}, *data[1:]])


def other_length() -> Fault:
    """Give a vector of 3 numbers for the last text."""
    return _on_data(lambda data: [*data[:-1], {**data[-1], "embedding": [1.0, 2.0, 3.0]}])


def _on_data(change: Callable[[list[dict[str, Any]]], list[Any]]) -> Fault:
    return Fault(change=lambda body: {**body, "data": change(body["data"])})
