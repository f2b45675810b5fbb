from __future__ import annotations

import pytest


@pytest.fixture
def server():
    """Give a running stand-in for OpenAI."""
    from nearfield.testing.openai_server import OpenAIServer

    with OpenAIServer() as running:
        yield running
