"""Spans of remote calls, for programs that use OpenTelemetry; nothing at all for others.

Names and attributes follow OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), which are still in
development. No text and no error message goes into a span.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nearfield.remote.connection import Connection

_API = "opentelemetry.trace"


@contextmanager
def traced(
    operation: Literal["embeddings", "chat"],
    model: str,
    connection: Connection,
    *,
    dimensions: int | None = None,
) -> Iterator[Callable[[int], None]]:
    """Record a call as a span, retries included, if this program has imported OpenTelemetry.

    Args:
        operation: What is asked for.
        model: Of which model.
        connection: The service.
        dimensions: Numbers per vector, if asked for.

    Yields:
        Takes the tokens the call was billed for.
    """
    trace = sys.modules.get(_API)
    if trace is None:  # whoever traces has imported it; importing it for others would cost them
        yield lambda _tokens: None
        return
    url = urlsplit(connection.base_url)
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": connection.provider,
        "gen_ai.request.model": model,
        "server.address": url.hostname or "",
        "server.port": url.port or (443 if url.scheme == "https" else 80),
    }
    if dimensions is not None:
        attributes["gen_ai.embeddings.dimension.count"] = dimensions
    with trace.get_tracer("nearfield").start_as_current_span(
        f"{operation} {model}",
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield lambda tokens: span.set_attribute("gen_ai.usage.input_tokens", tokens)
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
