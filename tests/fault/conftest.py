"""A loopback service, models of it that wait without waiting, and both ways to call them."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture
def server():
    """Give a running stand-in for OpenAI and Azure."""
    from nearfield.testing.openai_server import OpenAIServer

    with OpenAIServer() as running:
        yield running


@pytest.fixture
def clock():
    """Give a clock that no test waits for."""
    from nearfield.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def make(server, clock):
    """Give a function that makes a model of the server, without a cache unless one is given."""
    from nearfield.embeddings.openai import OpenAIEmbedding

    made = []

    def make_model(**kwargs):
        arguments = {"api_key": server.api_key, "api_base": server.url, "cache": False, **kwargs}
        model = OpenAIEmbedding(**arguments)
        model._service.clock = clock
        made.append(model)
        return model

    yield make_model
    for model in made:
        model.close()


@pytest.fixture(params=["sync", "async"])
def embed(request):
    """Give a function that embeds texts: blocking, then on an event loop."""

    def run(model, texts):
        if request.param == "sync":
            return model.encode(texts)
        return asyncio.run(model.aencode(texts))

    return run
