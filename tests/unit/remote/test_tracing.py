"""Spans of remote calls: what happened and what it cost, never what was said."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nearfield.embeddings.openai import OpenAIEmbedding
from nearfield.errors import AuthenticationError
from nearfield.llms.openai_like import OpenAILikeLLM
from nearfield.testing.openai_server import OpenAIServer

pytestmark = [pytest.mark.otel, pytest.mark.openai]


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def spans(monkeypatch):
    """Give what is exported, by a provider that is there for one test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter.get_finished_spans


def test_a_request_is_a_span_with_its_model_place_and_price(server, spans):
    model = OpenAIEmbedding(
        "text_search",
        "text-embedding-3-small",
        dimensions=8,
        api_key=server.api_key,
        api_base=server.url,
        cache=False,
    )
    model.encode(["one text"])
    asyncio.run(model.aencode(["another one"]))
    for span in spans():
        assert span.name == "embeddings text-embedding-3-small"
        assert dict(span.attributes) == {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.embeddings.dimension.count": 8,
            "gen_ai.usage.input_tokens": 2,
            "server.address": "127.0.0.1",
            "server.port": server.port,
        }
    assert len(spans()) == 2


def test_a_failure_is_named_by_its_kind_alone(server, spans):
    model = OpenAIEmbedding(api_key="wrong-key", api_base=server.url, cache=False)
    with pytest.raises(AuthenticationError):
        model.encode(["a private text"])
    (span,) = spans()
    assert span.attributes["error.type"] == "AuthenticationError"
    assert not span.status.is_ok
    assert "private" not in span.to_json()
    assert "wrong-key" not in span.to_json()


def test_a_chat_is_a_span_too(server, spans):
    OpenAILikeLLM("chatty", server.url, server.api_key).complete("hello")
    (span,) = spans()
    assert span.name == "chat chatty"
    assert span.attributes["gen_ai.usage.input_tokens"] == 3
