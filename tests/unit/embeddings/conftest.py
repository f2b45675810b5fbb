"""A loopback service for the providers that need one."""

from __future__ import annotations

import pytest


@pytest.fixture
def server():
    """Give a running stand-in for OpenAI and Azure."""
    from nearfield.testing.openai_server import OpenAIServer

    with OpenAIServer() as running:
        yield running
