"""Starting and failing to start."""

import asyncio
import socket
import threading

import pytest

from nearfield.embeddings.bundled import BundledEmbedding
from nearfield.errors import ConfigError, StoreError, UnknownProviderError

pytestmark = pytest.mark.server


def run(**config):
    from nearfield.server.config import ServerConfig
    from nearfield.server.run import run

    run(ServerConfig(port=0, **config))


def test_a_model_that_does_not_exist_ends_the_server_with_its_error():
    with pytest.raises(UnknownProviderError):
        run(models={"m": "no-such-provider:x"})


def test_an_index_that_does_not_exist_ends_it_too(tmp_path):
    with pytest.raises(StoreError, match="There is no index"):
        run(models={"m": "bundled"}, index=tmp_path / "none.index")


def test_a_default_model_that_is_not_served_ends_it():
    with pytest.raises(ConfigError, match="no model 'm' among nearfield/"):
        run(default_model="m")


def test_dimensions_that_a_model_has_not_got_end_it():
    """A client that asked for them would get fewer numbers than it asked for."""
    with pytest.raises(ConfigError, match="384"):
        run(models={"m": "bundled"}, dimensions={"m": (128, 1000)})


def test_the_password_of_an_index_stands_in_no_message(monkeypatch):
    from nearfield.server import service

    monkeypatch.setattr(service, "exists", lambda _: False)
    with pytest.raises(StoreError, match="no index") as told:
        run(index="postgresql://me:a-password@here/notes")

    assert "a-password" not in str(told.value)


def test_a_program_can_serve_for_the_length_of_a_block():
    import urllib.error
    import urllib.request

    from nearfield.server.config import ServerConfig
    from nearfield.server.run import serving

    with (
        serving(ServerConfig(models={"m": "bundled"}, port=0)) as address,
        urllib.request.urlopen(f"{address}/health", timeout=60) as answer,
    ):
        assert answer.status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/health", timeout=60)


def test_a_block_that_cannot_serve_raises_why():
    from nearfield.server.config import ServerConfig
    from nearfield.server.run import serving

    with (
        pytest.raises(UnknownProviderError),
        serving(ServerConfig(models={"m": "no-such-provider:x"}, port=0)),
    ):
        pass


def test_a_port_that_is_taken_is_told():
    from nearfield.server.config import ServerConfig
    from nearfield.server.run import listen

    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="--port"):
            listen(config)


def test_without_a_model_the_bundled_one_is_served(running):
    with running() as server:
        name = server.ask("GET", "/v1/models")[1]["data"][0]["id"]

        assert name == BundledEmbedding.model_name
        assert server.embed("text", name)[0] == 200


async def test_until_all_is_loaded_everything_is_told_to_wait(monkeypatch):
    """Health says so too, and then that it is ready."""
    import httpx

    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig
    from nearfield.server.service import Service

    begun, go = threading.Event(), threading.Event()
    load = Service.load

    def slow(service):
        begun.set()
        go.wait()
        load(service)

    monkeypatch.setattr(Service, "load", slow)
    ready = threading.Event()
    app = create_app(ServerConfig(models={"m": "bundled"}), on_ready=ready.set)
    body = {"model": "m", "input": "text"}
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        waiting = await client.get("/health")
        refused = await client.post("/v1/embeddings", json=body)
        go.set()
        await asyncio.to_thread(ready.wait, 60)
        answered = await client.post("/v1/embeddings", json=body)
        healthy = await client.get("/health")

    assert (waiting.status_code, waiting.json()) == (503, {"status": "not ready"})
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert answered.status_code == 200
    assert (healthy.status_code, healthy.json()) == (200, {"status": "ready"})


def test_the_page_is_served_so_that_nothing_from_elsewhere_runs(server):
    status, body, headers = server.ask("GET", "/")

    assert status == 200
    assert b"<html" in body
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    script = server.ask("GET", "/static/app.js")
    assert script[0] == 200
    assert "default-src 'self'" in script[2]["content-security-policy"]


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/x"])
def test_no_path_leads_out_of_the_pages_folder(server, path):
    assert server.ask("GET", path)[0] in {403, 404}


def test_what_is_not_finished_in_time_when_it_stops_is_told(running, gated):
    answers = []
    with running({"m": gated}, limits={"drain_s": 1.0}) as server:
        gated.gate.clear()
        asking = threading.Thread(target=lambda: answers.append(server.embed("held")))
        asking.start()
        gated.begun.acquire()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        asking.join()
        gated.gate.set()
        stopping.join()

    ((status, body, headers),) = answers
    assert status == 503
    assert body["error"]["code"] == "service_unavailable"
    assert headers["retry-after"] == "1"
