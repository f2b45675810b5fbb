"""Many clients at once: every vector belongs to its text, and nothing piles up."""

import asyncio
import gc
import json
import os
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.server

CLIENTS = 64


class Client:
    """A client on one kept connection, as lean as can be: it shares the server's processor."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def embed(self, texts):
        body = json.dumps({"model": "m", "input": texts, "encoding_format": "float"}).encode()
        self._writer.write(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self):
        self._writer.close()


async def clients(server, number=CLIENTS):
    return [
        Client(*await asyncio.open_connection(server.host, server.port, limit=1 << 24))
        for _ in range(number)
    ]


def tagged(number):
    """Give a request of its own: one text or several, short or long."""
    random_ = random.Random(number)
    count = random_.choice([1, 1, 1, 1, 1, 3])
    length = random_.choice([1, 1, 1, 2, 4, 20])
    return [f"request {number} text {row} " + f"word{number} " * length for row in range(count)]


async def swarm(server, requests):
    """Send all requests from 64 clients; give the answers by number."""
    answers = {}
    waiting = iter(range(requests))

    async def work(client):
        for number in waiting:
            answers[number] = await client.embed(tagged(number))
        client.close()

    await asyncio.gather(*(work(client) for client in await clients(server)))
    return answers


def check(answers, bundled):
    numbers = sorted(answers)
    texts = [text for number in numbers for text in tagged(number)]
    wanted = iter(bundled.encode(texts))
    for number in numbers:
        status, body = answers[number]
        assert status == 200
        entries = json.loads(body)["data"]
        for index, entry in enumerate(entries):
            assert entry["index"] == index
            assert np.array_equal(np.array(entry["embedding"], np.float32), next(wanted))
        assert len(entries) == len(tagged(number))


async def test_every_vector_of_64_clients_belongs_to_its_text(server, bundled):
    """A thousand requests of their own; bit for bit what the library gives."""
    check(await swarm(server, 1_000), bundled)


@pytest.mark.soak
async def test_every_vector_of_ten_thousand_requests_belongs_to_its_text(server, bundled):
    check(await swarm(server, 10_000), bundled)


async def test_several_models_are_served_at_once(running, bundled, gated):
    with running({"a": bundled, "b": gated}) as server:
        gated.gate.clear()
        held = threading.Thread(target=server.embed, args=("held", "b"))
        held.start()
        gated.begun.acquire()
        status, body, _ = await asyncio.to_thread(server.embed, "free", "a")
        gated.gate.set()
        held.join()

    assert status == 200
    assert len(body["data"][0]["embedding"]) == bundled.dim


def state():
    """Give this process's resident bytes and open descriptors."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir()))


async def churn(server, until):
    """Bounded load of all kinds: answered, refused, given up, cut off."""
    sent = 0

    async def work(seed):
        nonlocal sent
        random_ = random.Random(seed)
        client = None
        while time.monotonic() < until:
            sent += 1
            client = client or (await clients(server, 1))[0]
            kind = random_.randrange(20)
            if kind == 0:  # it leaves without its answer
                asking = asyncio.ensure_future(client.embed(["left alone"] * 20))
                await asyncio.sleep(random_.random() / 100)
                asking.cancel()
                client.close()
                client = None
            elif kind == 1:  # it stops in the middle
                client._writer.write(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nConte")
                client.close()
                client = None
            elif kind == 2:
                assert (await client.embed([""]))[0] == 400
            else:
                assert (await client.embed(tagged(random_.randrange(10_000))))[0] in {200, 429}
        if client:
            client.close()

    await asyncio.gather(*(work(seed) for seed in range(16)))
    return sent


@pytest.mark.soak
async def test_ten_minutes_of_load_leave_memory_and_descriptors_flat(running, bundled):
    """``NEARFIELD_SOAK_S`` makes it shorter or longer."""
    seconds = float(os.environ.get("NEARFIELD_SOAK_S", "600"))
    with running({"m": bundled}, limits={"queue_requests": 256}) as server:
        await churn(server, time.monotonic() + seconds / 10)
        before = state()
        sent = await churn(server, time.monotonic() + seconds * 0.9)
        while server.connections or server.service.stats()["queue_requests"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        after = state()
        assert server.embed("still there")[0] == 200

    more = after[0] - before[0], after[1] - before[1]
    print(f"{sent:,} requests; {more[0] / 1e6:+.1f} MB of {before[0] / 1e6:.0f}, {more[1]:+} open")  # noqa: T201 - shown by -s
    assert sent > seconds
    assert more[0] < 32 << 20
    assert more[1] <= 8
