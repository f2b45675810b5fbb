"""The protocol's patience, with a clock and a socket of the test's own."""

import asyncio

import pytest

from nearfield.server.config import Limits

pytestmark = pytest.mark.server

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


class Transport(asyncio.Transport):
    """A socket that only remembers."""

    def __init__(self):
        super().__init__()
        self.aborted = self.closed = False
        self.written = b""

    def abort(self):
        self.aborted = True

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed or self.aborted

    def write(self, data):
        self.written += data

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def silent(scope, receive, send):
    """Wait for the end of the body, and answer nothing."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.Event().wait()


@pytest.fixture
async def protocol():
    from uvicorn import Config
    from uvicorn.server import ServerState

    from nearfield.server.protocol import PatientProtocol

    limits = Limits(header_timeout_s=10, body_timeout_s=30)
    state = ServerState()
    one = PatientProtocol(limits=limits, config=Config(silent), server_state=state, app_state={})
    one.connection_made(Transport())
    one.start = one.loop.time()
    yield one
    one.resume_writing()
    tasks = list(state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD])
async def test_a_head_must_come_in_its_time(protocol, sent):
    protocol.data_received(sent)

    protocol.check(protocol.start + 9)
    assert not protocol.transport.aborted
    protocol.check(protocol.start + 11)
    assert protocol.transport.aborted


async def test_a_body_has_longer_and_the_application_answers_first(protocol):
    protocol.data_received(HEAD + b"Content-Length: 9\r\n\r\nabc")

    protocol.check(protocol.start + 31)
    assert not protocol.transport.aborted
    protocol.check(protocol.start + 33)
    assert protocol.transport.aborted


async def test_a_whole_request_may_wait_for_its_answer(protocol):
    protocol.data_received(HEAD + b"Content-Length: 3\r\n\r\nabc")
    protocol.check(protocol.start + 10_000)

    assert not protocol.transport.aborted


async def test_an_answer_must_be_read_in_its_time(protocol):
    protocol.data_received(HEAD + b"Content-Length: 3\r\n\r\nabc")
    protocol.pause_writing()
    protocol.check(protocol.start + 29)
    assert not protocol.transport.aborted
    protocol.resume_writing()
    protocol.check(protocol.start + 1000)
    assert not protocol.transport.aborted
    protocol.pause_writing()
    protocol.check(protocol.loop.time() + 31)
    assert protocol.transport.aborted


async def test_a_head_has_an_end(protocol):
    protocol.data_received(HEAD)
    for _ in range(80):
        if not protocol.transport.closed:
            protocol.data_received(b"x: " + b"a" * 1000 + b"\r\n")

    assert protocol.transport.written.startswith(b"HTTP/1.1 431 ")
    assert protocol.transport.closed


async def test_headers_after_the_body_are_dropped(protocol):
    """They were not there when the key was looked for, and have no end."""
    protocol.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    protocol.data_received(b"Authorization: Bearer late\r\n" * 100)

    assert [name for name, _ in protocol.scope["headers"]] == [b"host", b"transfer-encoding"]
