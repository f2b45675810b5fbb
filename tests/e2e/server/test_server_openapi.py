"""The OpenAPI document tells the truth, and no body, however made, breaks the server."""

import json
import os
import random
import string
from pathlib import Path

import pytest

from nearfield.core import Document, VectorStoreIndex

pytestmark = pytest.mark.server

PUBLIC = {
    "/health",
    "/metrics",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/{name}",
    "/v1/rerank",
    "/v1/search",
}


class LengthRanker:
    """A reranker that prefers long texts."""

    model_name = fingerprint = "length"

    def rerank(self, query, texts):
        import numpy as np

        return np.array([len(text) for text in texts], np.float32)

    async def arerank(self, query, texts):
        return self.rerank(query, texts)


@pytest.fixture(scope="module")
def whole(running, bundled, tmp_path_factory):
    """A server of everything there is to serve."""
    path = tmp_path_factory.mktemp("index") / "some.index"
    documents = [Document(f"Text number {n}.", id_=str(n), metadata={"n": n}) for n in range(5)]
    VectorStoreIndex.from_documents(documents, path=path, embed_model=bundled).close()
    with running({"m": bundled}, index=path, rerankers={"r": LengthRanker()}) as server:
        yield server


@pytest.fixture(scope="module")
def document(whole):
    return whole.ask("GET", "/openapi.json")[1]


def test_the_document_names_the_public_routes_and_no_other(document):
    assert set(document["paths"]) == PUBLIC


def test_every_operation_says_how_it_refuses(document):
    error = {"$ref": "#/components/schemas/Error"}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            for status in ("401", "429", "503"):
                assert status in operation["responses"]
            assert operation["responses"]["429"]["content"]["application/json"]["schema"] == error


def test_every_reference_of_the_document_leads_somewhere(document):
    written = json.dumps(document)
    for part in written.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in document["components"]["schemas"]


def explore(whole, document, examples):
    """Send what the document allows, and what it forbids, to every operation."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import load_all_checks, not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    load_all_checks()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=whole.url)
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    modes = list(schemathesis.GenerationMode)
    sent = 0
    for made in schema.get_all_operations():
        operation = made.ok()

        def send(case):
            nonlocal sent
            sent += 1
            case.call_and_validate(checks=checks, timeout=30)

        strategy = operation.as_strategy(generation_mode=modes[0])
        for mode in modes[1:]:
            strategy |= operation.as_strategy(generation_mode=mode)
        hypothesis.settings(
            max_examples=examples if operation.method.upper() == "POST" else 10,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(hypothesis.given(case=strategy)(send))()
    return sent


def test_what_the_document_allows_and_forbids_is_answered_as_it_says(whole, document):
    assert explore(whole, document, examples=60) > 150
    assert whole.embed("still there")[0] == 200


def mutilated(random_, body):
    """Give a request's bytes, right or broken in some way."""
    raw = json.dumps(body).encode()
    match random_.randrange(6):
        case 0:
            return raw
        case 1:
            return raw[: random_.randrange(len(raw) + 1)]
        case 2:
            place = random_.randrange(len(raw))
            return raw[:place] + bytes([random_.randrange(256)]) + raw[place + 1 :]
        case 3:
            return bytes(random_.randrange(256) for _ in range(random_.randrange(200)))
        case 4:
            return raw.replace(b'"', b"", random_.randrange(4))
        case _:
            return raw + raw[: random_.randrange(20)]


def anything(random_, depth=0):
    """Give a JSON value of any kind."""
    match random_.randrange(9 if depth < 3 else 6):
        case 0:
            return None
        case 1:
            return random_.choice([True, False])
        case 2:
            return random_.choice([0, -1, 1, 384, 128, 2**31, 2**63, 10**30])
        case 3:
            return random_.choice([0.5, -1e308, 1e-320])
        case 4 | 5:
            letters = random_.choice([string.printable, "a\u0000é漢🙂\u202e", " \t\n"])
            return "".join(random_.choices(letters, k=random_.randrange(20)))
        case 6:
            return [anything(random_, depth + 1) for _ in range(random_.randrange(5))]
        case _:
            keys = ("model", "input", "text", "query", "$where", "")
            return {random_.choice(keys): anything(random_, depth + 1) for _ in range(2)}


def bombard(whole, bodies):
    """Send random bodies; give the statuses that were answered."""
    import http.client

    random_ = random.Random(7)
    seen = set()
    connection = http.client.HTTPConnection(whole.host, whole.port, timeout=60)
    fields = ("model", "input", "encoding_format", "dimensions", "user", "query", "documents",
              "top_n", "top_k", "mode", "filters", "input_type", "return_documents")  # fmt: skip
    for _ in range(bodies):
        path = random_.choice(["/v1/embeddings"] * 2 + ["/v1/rerank", "/v1/search"])
        body = {"model": "m", "input": "a", "query": "q", "documents": ["d"]}
        if path == "/v1/rerank":
            body["model"] = "r"
        for _ in range(random_.randrange(3)):
            body[random_.choice(fields)] = anything(random_)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, mutilated(random_, body), headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 500, (path, content)
        assert isinstance(json.loads(content), dict)
        seen.add(answer.status)
    connection.close()
    return seen


def test_random_bodies_are_answered_and_never_break_it(whole):
    assert bombard(whole, 600) >= {200, 400, 404}


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
def test_ten_thousand_random_bodies_leave_memory_flat(whole):
    bombard(whole, 2_000)
    before = resident_bytes()
    bombard(whole, 10_000)
    more = resident_bytes() - before

    print(f"{more / 1e6:+.1f} MB of {before / 1e6:.0f}")  # noqa: T201 - shown by -s
    assert more < 32 << 20


@pytest.mark.soak
def test_ten_thousand_requests_of_the_document_are_answered_as_it_says(whole, document):
    assert explore(whole, document, examples=3_500) > 10_000
