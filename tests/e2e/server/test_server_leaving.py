"""Clients that leave before their answer: nothing more is computed for them."""

import asyncio
import json
import threading

import numpy as np
import pytest

from nearfield import Document
from nearfield.core import VectorStoreIndex

pytestmark = pytest.mark.server


def post(path, body):
    """Give the bytes of a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def test_the_work_of_clients_that_have_gone_is_dropped(running, gated):
    """None of their texts is computed but those that were begun."""
    with running({"m": gated}) as server:
        gated.gate.clear()
        holder = threading.Thread(target=server.embed, args=("first",))
        holder.start()
        gated.begun.acquire()
        body = json.dumps({"model": "m", "input": ["gone"] * 50}).encode()
        socks = [server.connect() for _ in range(20)]
        for sock in socks:
            sock.sendall(post("/v1/embeddings", body))
        while server.service.stats()["queue_requests"] < 21:
            pass
        for sock in socks:
            sock.close()
        while server.service.stats()["queue_requests"] > 1:
            pass
        gated.gate.set()
        holder.join()
        assert server.embed("an honest text")[0] == 200
        metrics = server.ask("GET", "/metrics")[1].decode()

    assert 'nearfield_dropped_texts_total{model="m"} 1000.0' in metrics
    assert gated.seen == ["first", "an honest text"]


class Patient:
    """A reranker that scores piece by piece, as it is let, and remembers what it was asked."""

    model_name = fingerprint = "patient"

    def __init__(self):
        self.let = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.seen = []

    def rerank(self, query, texts):
        self.seen += [query] * len(texts)
        self.begun.release()
        self.let.acquire()
        return np.zeros(len(texts), np.float32)

    async def arerank(self, query, texts):
        return await asyncio.to_thread(self.rerank, query, texts)


def test_what_is_ranked_for_clients_that_have_gone_is_dropped(running, bundled):
    """One that waits for its turn is never begun; one that has begun ends with its piece."""
    patient = Patient()

    def send(query):
        raw = json.dumps({"query": query, "documents": ["text"] * 1000}).encode()
        sock = server.connect()
        sock.sendall(post("/v1/rerank", raw))
        return sock

    with running({"m": bundled}, rerankers={"patient": patient}) as server:
        busy = send("begun")
        patient.begun.acquire()
        waiting = send("waiting")
        while server.service.stats()["queue_requests"] < 2:
            pass
        waiting.close()
        while server.service.stats()["queue_requests"] > 1:
            pass
        busy.close()
        while server.connections:
            pass
        while server.service.stats()["queue_requests"]:
            patient.let.release()
        for _ in range(20):
            patient.let.release()
        status, answer, _ = server.ask("POST", "/v1/rerank", {"query": "there", "documents": ["a"]})
        metrics = server.ask("GET", "/metrics")[1].decode()

    assert status == 200
    assert len(answer["results"]) == 1
    assert patient.seen.count("begun") < 1000
    assert patient.seen.count("waiting") == 0
    assert 'nearfield_request_seconds_count{route="/v1/rerank",status="499"} 2.0' in metrics


def test_a_search_of_a_client_that_has_gone_is_dropped(running, gated, tmp_path):
    index = VectorStoreIndex.from_documents([Document("a page")], embed_model=gated)
    with running({"m": gated}, index=index) as server:
        gated.gate.clear()
        while gated.begun.acquire(blocking=False):
            pass
        holder = threading.Thread(target=server.embed, args=("first",))
        holder.start()
        gated.begun.acquire()
        for path in ("/v1/search", "/api/search"):
            raw = json.dumps({"query": f"asked of {path}"}).encode()
            with server.connect() as sock:
                sock.sendall(post(path, raw))
                while server.service.stats()["queue_requests"] < 2:
                    pass
            while server.service.stats()["queue_requests"] > 1:
                pass
        gated.gate.set()
        holder.join()
        assert server.embed("an honest text")[0] == 200

    assert not [text for text in gated.seen if text.startswith("asked of")]
