"""A real server on loopback, in a thread, and what the tests ask it with."""

import contextlib
import http.client
import json
import socket
import threading

import pytest

from nearfield.core.embeddings import BaseEmbedding
from nearfield.embeddings.bundled import BundledEmbedding


class Gated(BaseEmbedding):
    """A model that computes when it is let, and fails on texts that are told to."""

    def __init__(self):
        super().__init__("gated", embed_batch_size=64)
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.seen = []

    def _encode(self, texts, input_type):
        self.begun.release()
        self.gate.wait()
        self.seen += texts
        if "poison" in texts:
            message = f"this model does not like {texts}"
            raise RuntimeError(message)
        return [[float(len(text)), float(sum(map(ord, text)) % 9973)] for text in texts]


class Running:
    """A server that runs in a thread of this process."""

    def __init__(self, config):
        from nearfield.server.run import address, listen, make_server

        self._listener = listen(config)
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = address(self._listener, config.host)
        ready = threading.Event()
        self._server = make_server(config, on_ready=ready.set)
        self.service = self._server.config.app.state.service
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        assert ready.wait(60)

    @property
    def connections(self):
        return self._server.server_state.connections

    def stop(self):
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._listener.close()

    def connect(self, timeout=60):
        """Open a socket to it."""
        return socket.create_connection((self.host, self.port), timeout)

    def ask(self, method, path, body=None, *, headers=None, raw=None):
        """Send one request; give the status, the body read as JSON, and the headers."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        sent = {"Content-Type": "application/json"} if method == "POST" else {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        with contextlib.closing(connection):
            connection.request(method, path, data, sent | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return (
            answer.status,
            json.loads(content) if is_json and content else content,
            answer.headers,
        )

    def embed(self, given, model="m", **more):
        """Ask for vectors; give the status, the body and the headers."""
        return self.ask("POST", "/v1/embeddings", {"model": model, "input": given, **more})


@pytest.fixture(scope="session")
def running():
    """Make servers that are stopped at the end of a block."""
    from nearfield.server.config import Limits, ServerConfig

    @contextlib.contextmanager
    def run(models=None, *, limits=None, **config):
        made = ServerConfig(models=models or {}, port=0, limits=Limits(**(limits or {})), **config)
        server = Running(made)
        try:
            yield server
        finally:
            server.stop()

    return run


@pytest.fixture(scope="session")
def bundled():
    return BundledEmbedding(on_truncation="ignore")


@pytest.fixture(scope="module")
def server(running, bundled):
    """One server of the bundled model, by several names, for all tests of a file."""
    names = ("m", "text-embedding-ada-002", "text-embedding-3-small")
    with running(dict.fromkeys(names, bundled), dimensions={"m": (128,)}) as one:
        yield one


@pytest.fixture
def gated():
    model = Gated()
    yield model
    model.gate.set()
