"""Clients that mean harm, or that are broken: the right refusal, and nobody else is held up."""

import gzip
import json
import logging
import threading

import pytest

from nearfield.errors import ConfigError
from nearfield.remote.secret import Secret

pytestmark = pytest.mark.server

KEY = "a-key-of-some-length"
SMALL = {"max_body_bytes": 100_000, "header_timeout_s": 0.5, "body_timeout_s": 0.5}


@pytest.fixture(scope="module")
def locked(running, bundled):
    with running({"m": bundled}, api_key=Secret(KEY), limits=SMALL) as server:
        yield server


@pytest.fixture(scope="module")
def strict(running, bundled):
    with running({"m": bundled}, limits=SMALL) as server:
        yield server


def works(server):
    """Say whether an honest request is answered."""
    return server.embed("an honest text")[0] == 200


def received(sock):
    """Read until the server closes the connection."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


HEAD = (
    "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "{more}\r\n"
)


def head(more):
    return HEAD.format(more=more).encode()


# The key.


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"bearer {KEY}"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/v1/search", "/api/search"])
def test_nothing_is_answered_without_the_key(locked, headers, path):
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    status, body, answered = locked.ask("POST", path, {}, headers=raw)

    assert status == 401
    assert body["error"]["code"] == "invalid_api_key"
    assert answered["www-authenticate"] == "Bearer"
    assert KEY not in json.dumps(body)


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/openapi.json", "/api/status", "/x"])
def test_nothing_is_shown_without_the_key(locked, path):
    assert locked.ask("GET", path)[0] == 401


def test_health_needs_no_key(locked):
    assert locked.ask("GET", "/health")[0] == 200


def test_the_key_opens(locked):
    key = {"Authorization": f"Bearer {KEY}"}

    assert locked.ask("POST", "/v1/embeddings", {"model": "m", "input": "a"}, headers=key)[0] == 200
    assert locked.ask("GET", "/metrics", headers=key)[0] == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/", "/health", "/static/app.js"])
def test_the_key_is_looked_at_before_the_body_is_read(locked, path):
    """The answer comes although the body never does."""
    with locked.connect() as sock:
        sock.sendall(head("Content-Length: 1000\r\n").replace(b"/v1/embeddings", path.encode()))

        assert b" 401 " in sock.recv(65536)


def test_the_key_stands_in_no_log_and_no_metric(locked, caplog):
    with caplog.at_level(logging.DEBUG):
        key = {"Authorization": f"Bearer {KEY}"}
        locked.ask("POST", "/v1/embeddings", {"model": "m", "input": "a"}, headers=key)
        shown = locked.ask("GET", "/metrics", headers=key)[1].decode()

    assert KEY not in caplog.text + shown


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_an_open_address_needs_a_key(host):
    from nearfield.server.config import ServerConfig

    with pytest.raises(ConfigError, match="needs a key"):
        ServerConfig(host=host)
    assert ServerConfig(host=host, api_key=Secret(KEY)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machines_own_address_needs_none(host):
    from nearfield.server.config import ServerConfig

    assert ServerConfig(host=host).hosts >= {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize(
    "key", ["short", "has spaces in it", "with\ttabs-inside", "schlüssel-lang"]
)
def test_a_key_that_cannot_serve_is_refused(key):
    from nearfield.server.config import ServerConfig

    with pytest.raises(ConfigError, match="API key") as caught:
        ServerConfig(api_key=Secret(key))
    assert key not in str(caught.value)


# Where a request comes from.


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
def test_another_name_for_this_machine_is_not_answered(strict, host):
    status, body, _ = strict.ask("GET", "/health", headers={"Host": host})

    assert status == 403
    assert body["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_this_machines_own_names_are_answered(strict, host):
    assert strict.ask("GET", "/health", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: evil.example\r\nhost: localhost\r\n",
    ],
)
@pytest.mark.parametrize("which", ["strict", "locked"])
def test_a_request_without_one_host_is_no_http(request, which, lines):
    server = request.getfixturevalue(which)
    with server.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")

        assert received(sock).startswith(b"HTTP/1.1 400 ")
    assert server.ask("GET", "/health")[0] == 200


def test_before_http_1_1_there_was_no_host(locked):
    with locked.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")

        assert received(sock).startswith(b"HTTP/1.1 200 ")


def test_no_other_site_may_read(strict):
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    _, _, headers = strict.ask("OPTIONS", "/v1/embeddings", headers=origin)

    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_browser_would_send_to_any_site_is_not_taken(strict, kind):
    status, _, _ = strict.ask(
        "POST",
        "/v1/embeddings",
        raw=b'{"model": "m", "input": "a"}',
        headers={"Content-Type": kind},
    )

    assert status == 415


def test_a_websocket_is_not_opened(strict):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}

    assert strict.ask("GET", "/v1/embeddings", headers=headers)[0] in {400, 405, 426}
    assert works(strict)


@pytest.mark.parametrize("name", ["Upgrade", "upgrade"])
def test_an_offer_of_http_2_is_not_taken_and_costs_no_body(strict, name):
    """Java's client makes it with each request."""
    body = json.dumps({"model": "m", "input": "upgrade: h2c"}).encode()
    offer = f"Connection: Upgrade, HTTP2-Settings\r\n{name}: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    asked = head(f"{offer}Content-Length: {len(body)}\r\n") + body
    with strict.connect(30) as sock:
        sock.sendall(asked + asked.replace(b"Upgrade, HTTP2", b"close, HTTP2"))
        answers = received(sock)

    assert answers.count(b"HTTP/1.1 200 ") == 2


# What a body holds.


def test_a_bomb_of_gzip_is_not_unpacked(strict):
    bomb = gzip.compress(b'{"model": "m", "input": "' + b"a" * 50_000_000 + b'"}')
    status, _, _ = strict.ask(
        "POST", "/v1/embeddings", raw=bomb, headers={"Content-Encoding": "gzip"}
    )

    assert status == 415
    assert works(strict)


def test_a_million_nested_arrays_are_refused(running, bundled):
    nested = b'{"model": "m", "input": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    with running({"m": bundled}) as server:
        for path in ("/v1/embeddings", "/v1/rerank", "/v1/search"):
            status, body, _ = server.ask("POST", path, raw=nested)
            assert status == 400
            assert "error" in body
        assert works(server)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b'{"model": "m", "input": NaN}', b"nul", b'"' + b"\\ud800" * 9 + b'"'],
)
def test_what_is_no_json_is_refused(strict, raw):
    assert strict.ask("POST", "/v1/embeddings", raw=raw)[0] == 400


def test_a_body_of_100_mb_is_refused_by_its_length(strict):
    """The sender comes to read the answer, for what it still sends is thrown away."""
    status, body, _ = strict.ask("POST", "/v1/embeddings", raw=b"a" * 100_000_000)

    assert status == 413
    assert "100,000 bytes" in body["error"]["message"]
    assert works(strict)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/v1/search"])
def test_a_body_of_unknown_length_is_refused_when_it_is_too_long(strict, path):
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with strict.connect() as sock:
        sock.sendall(
            head("Transfer-Encoding: chunked\r\n").replace(b"/v1/embeddings", path.encode())
            + chunk * 4
        )

        assert b" 413 " in sock.recv(65536)
    assert works(strict)


def test_endless_headers_are_cut_off(strict):
    with strict.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        try:
            for number in range(2000):
                sock.sendall(b"x-%d: " % number + b"a" * 1000 + b"\r\n")
        except OSError:
            pass
        answer = received(sock)

    assert b" 431 " in answer or answer == b""
    assert works(strict)


def test_headers_after_a_body_are_neither_kept_nor_believed(locked):
    """The key must stand where it is looked for."""
    body = b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n'
    with locked.connect() as sock:
        sock.sendall(head("Transfer-Encoding: chunked\r\n") + body)
        sock.sendall(f"Authorization: Bearer {KEY}\r\n".encode() + b"x: y\r\n" * 1000 + b"\r\n")

        assert b" 401 " in sock.recv(65536)


@pytest.mark.parametrize(
    "lines",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"GET http://[::bad/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(strict, lines):
    with strict.connect() as sock:
        sock.sendall(lines)

        assert received(sock).split(b" ", 2)[1:2] in ([b"400"], [])
    assert works(strict)


# Those who are slow, and those who leave.


def test_a_client_that_says_nothing_is_not_kept(strict):
    with strict.connect(30) as sock:
        assert received(sock) == b""


def test_half_a_head_is_not_waited_for(strict):
    with strict.connect(30) as sock:
        sock.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: loc")

        assert received(sock) == b""
    assert works(strict)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_half_a_body_is_not_waited_for(strict, path):
    with strict.connect(30) as sock:
        sock.sendall(
            head("Content-Length: 100\r\n").replace(b"/v1/embeddings", path.encode()) + b'{"model'
        )

        assert b" 408 " in received(sock)
    assert works(strict)


def test_a_client_that_reads_no_answer_is_not_kept(running, bundled):
    """Nine megabytes do not fit into the sockets' buffers."""
    body = json.dumps({"model": "m", "input": ["a"] * 2048}).encode()
    limits = {"body_timeout_s": 0.5}
    with running({"m": bundled}, limits=limits) as server, server.connect(30) as sock:
        sock.sendall(head(f"Content-Length: {len(body)}\r\n") + body)
        seen = threading.Event()
        while not (seen.is_set() or any(c._unread_since for c in server.connections)):
            if not server.connections and server.service.stats()["requests"]:
                seen.set()
        while server.connections:
            pass
        assert works(server)


def test_a_thousand_clients_on_a_queue_of_a_hundred(running, gated):
    """Those who find no room are told when to come again, and it works again afterwards."""
    body = json.dumps({"model": "m", "input": "text"}).encode()
    request = head(f"Content-Length: {len(body)}\r\nConnection: close\r\n") + body
    with running({"m": gated}, limits={"queue_requests": 100}) as server:
        gated.gate.clear()
        socks = [server.connect() for _ in range(1000)]
        for sock in socks:
            sock.sendall(request)
        while server.service.stats()["queue_requests"] < 100:
            pass
        while server.service.stats()["requests"] < 900:
            pass
        gated.gate.set()
        answers = [received(sock) for sock in socks]
        for sock in socks:
            sock.close()
        assert works(server)

    statuses = [answer.split(b" ", 2)[1] for answer in answers]
    assert (statuses.count(b"200"), statuses.count(b"429")) == (100, 900)
    refused = [answer for answer in answers if b" 429 " in answer[:20]]
    assert all(b"\r\nretry-after: " in answer for answer in refused)


def test_bodies_of_all_together_have_a_limit(running, gated):
    """What a body takes is given back with its answer, also when that is a refusal."""
    with running({"m": gated}, limits={"queue_bytes": 1500}) as server:
        gated.gate.clear()
        held = threading.Thread(target=server.embed, args=("a" * 1000,))
        held.start()
        gated.begun.acquire()
        status, body, headers = server.embed("b" * 1000)
        gated.gate.set()
        held.join()
        free = [server.embed("c" * 1000)[0] for _ in range(3)]

    assert status == 429
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert int(headers["retry-after"]) >= 1
    assert free == [200, 200, 200]


def test_failures_are_logged_without_the_texts(running, gated, caplog):
    with running({"m": gated}) as server:
        server.embed("poison")

    assert "RuntimeError" in caplog.text
    assert "poison" not in caplog.text


def test_what_waited_too_long_is_told_so_and_is_no_failure_in_the_log(running, gated, caplog):
    with running({"m": gated}, limits={"request_timeout_s": 0.2}) as server:
        gated.gate.clear()
        status, _, headers = server.embed("a text")
        gated.gate.set()

    assert status == 503
    assert int(headers["retry-after"]) >= 1
    assert "failed" not in caplog.text
