"""The map's part of the page's API."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.server

COUNT = 40


@pytest.fixture(scope="module")
def index():
    documents = [
        Document(f"Text {i} " + "word " * 500, {"kind": "ab"[i % 2]}, id=f"{'xy'[i % 2]}/d{i}")
        for i in range(COUNT)
    ]
    documents.append(Document("Half a pair.", {"half\ud800": "\ud800"}, id="x/half\ud800"))
    with VectorStoreIndex.from_documents(documents, embed_model=FakeEmbedding()) as made:
        yield made


@pytest.fixture(scope="module")
def client(index):
    from starlette.testclient import TestClient

    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig

    with TestClient(create_app(ServerConfig(index=index)), base_url="http://localhost") as made:
        while made.get("/health").status_code == 503:
            pass
        yield made


@pytest.fixture(scope="module")
def state(client):
    """The map, finished."""
    while (state := client.get("/api/map").json())["state"] != "layout":
        assert state["state"] != "failed"
    return state


def get(client, what, state, /, **more):
    return client.get(f"/api/map/{what}", params={"version": state["version"], **more})


def test_the_map_tells_all_that_is_known(state, index):
    assert (state["count"], state["total"], state["is_sample"]) == (index.count, index.count, False)
    assert state["recall"] == 1
    assert {field["name"] for field in state["fields"]} >= {"folder"}
    assert state["near_duplicates"]["exact"] is True
    assert set(state["seconds"]) == {"reading", "neighbours", "layout", "near-duplicates"}


def test_points_are_little_endian_floats_of_either_kind(client, state):
    best, pca = (get(client, "points", state, kind=kind) for kind in ("best", "pca"))

    for answer in (best, pca):
        assert answer.headers["content-type"] == "application/octet-stream"
        assert np.isfinite(np.frombuffer(answer.content, "<f4")).all()
        assert len(answer.content) == 8 * state["count"]
    assert best.content != pca.content


def test_a_field_has_a_category_for_every_point(client, state):
    field = get(client, "field", state, name="folder").json()

    codes = np.frombuffer(base64.b64decode(field["codes"]), np.uint8)
    assert sorted(field["labels"]) == ["x", "y"]
    assert np.bincount(codes).tolist() == field["counts"]
    assert get(client, "field", state, name="nothing").status_code == 404


def test_what_utf_8_cannot_say_is_told_as_far_as_it_can(client, state):
    assert "half\ufffd" in {field["name"] for field in state["fields"]}
    assert "\ufffd" in get(client, "field", state, name="half\ufffd").json()["labels"]
    last = str(state["count"] - 1)
    assert get(client, "cards", state, i=last).json()[0]["document"] == "x/half\ufffd"
    assert get(client, "node", state, i=last).json()["metadata"] == {"half\ufffd": "\ufffd"}


def test_cards_and_nodes_are_given_by_number(client, state, index):
    cards = get(client, "cards", state, i="3,0").json()
    node = get(client, "node", state, i="3").json()

    assert [card["i"] for card in cards] == [3, 0]
    assert all(len(card["text"]) <= 400 for card in cards)
    ((true, _),) = index.store.nodes([node["node_id"]])
    assert (node["text"], node["document"], node["metadata"]) == (
        true.text,
        true.document_id,
        true.metadata,
    )
    assert node["cut"] is False


@pytest.mark.parametrize("i", ["", "-1", "1e3", "10000000000", "٣", "1,2", "999999"])
def test_numbers_of_no_point_are_refused(client, state, i):
    assert get(client, "node", state, i=i).status_code == 404


def test_a_question_is_answered_with_points(client, state, index):
    body = {"query": "Text 7", "version": state["version"], "top_k": 5}

    found = client.post("/api/map/find", json=body).json()

    best = index.as_retriever(5).retrieve("Text 7")
    cards = get(client, "cards", state, i=",".join(str(i) for i, _ in found["hits"])).json()
    assert [card["node_id"] for card in cards] == [each.node.id for each in best]
    assert found["outside"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"query": "", "version": "v"},
        {"query": "x", "version": "v", "top_k": 10**6},
        {"query": "x" * 100_000, "version": "v"},
        {"query": "x", "version": "v", "more": 1},
        [],
    ],
)
def test_a_question_that_is_none_is_refused(client, state, body):
    assert client.post("/api/map/find", json=body).status_code == 400


def test_a_picture_asked_for_while_a_better_one_came_is_answered_by_that(client, state):
    """The points are the same, so a page that is a moment behind gets no error."""
    former = state["version"].replace("-layout", "-pca")
    assert former != state["version"]

    answers = [
        client.get("/api/map/points", params={"version": version, "kind": "best"})
        for version in (former, state["version"])
    ]

    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("name", ["points", "field", "cards", "node"])
def test_another_version_is_refused(client, state, name):
    for version in ("", "other", "-layout", "1-" + state["version"]):
        answer = client.get(f"/api/map/{name}", params={"version": version, "i": "0"})
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "map_changed"


def test_without_an_index_there_is_no_map():
    from starlette.testclient import TestClient

    from nearfield.server.app import create_app
    from nearfield.server.config import ServerConfig

    app = create_app(ServerConfig(models={"fake": FakeEmbedding()}))
    with TestClient(app, base_url="http://localhost") as client:
        while client.get("/health").status_code == 503:
            pass
        for name in ("", "/points", "/node"):
            assert client.get(f"/api/map{name}").status_code == 409


def test_the_map_is_no_part_of_the_public_api(client):
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "map" in path]
