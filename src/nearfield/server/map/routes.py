"""The map's part of the page's API: ``/api/map...``."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import JSONResponse, Response

from nearfield.core.aside import in_thread
from nearfield.server.map.atlas import Atlas
from nearfield.server.map.describe import card, describe, describe_field
from nearfield.server.page.bodies import Body, Question, body_of
from nearfield.server.page.records import all_sendable, sendable
from nearfield.server.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from nearfield.core.vectors import Vectors
    from nearfield.server.map.picture import Picture
    from nearfield.server.service import Service

MOST_CARDS = 200
MOST_HITS = 200
FULL_TEXT_CHARACTERS = 20_000
NO_INDEX = "No index is served, so there is no map. Start the server with one."
OTHER_MAP = "The map has changed. Ask for /api/map again."


class FindBody(Body):
    """A question whose answers are wanted on the map."""

    query: Question
    version: Annotated[str, Field(max_length=200)]
    top_k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 50


def make_router(service: Service) -> APIRouter:
    """Make the routes of the map.

    Args:
        service: What is loaded; looked into when a request comes.

    Returns:
        The routes, which the public API's description leaves out.
    """
    maps = _Map(service)
    router = APIRouter()
    for path, answer, method in (
        ("/api/map", maps.state, "GET"),
        ("/api/map/points", maps.points, "GET"),
        ("/api/map/field", maps.field, "GET"),
        ("/api/map/cards", maps.cards, "GET"),
        ("/api/map/node", maps.node, "GET"),
        ("/api/map/find", maps.find, "POST"),
    ):
        router.add_route(path, answer, methods=[method], include_in_schema=False)
    return router


class _Map:
    """The map of the index that is served, and its answers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._atlas: Atlas | None = None
        self._places: tuple[Picture, dict[str, int]] | None = None

    async def state(self, _: Request) -> JSONResponse:
        """How far the map is, and all that is known but for the points; it begins the drawing."""
        progress, picture = await in_thread(self._opened().look)
        answer: dict[str, Any] = asdict(progress)
        if picture is not None:
            answer |= describe(picture)
        return _json(answer)

    async def points(self, request: Request) -> Response:
        """The places of all points: ``n`` times x and y, little-endian float32."""
        picture = self._picture(request.query_params.get("version"))
        kind = request.query_params.get("kind", "best")
        places = picture.pca if kind == "pca" else picture.places
        return Response(
            places.astype("<f4").tobytes(),
            media_type="application/octet-stream",
            headers={"cache-control": "no-store"},
        )

    async def field(self, request: Request) -> JSONResponse:
        """The categories of a field, and that of every point as base64 of uint8."""
        picture = self._picture(request.query_params.get("version"))
        name = request.query_params.get("name", "")
        for field in picture.points.fields:
            if sendable(field.name) == name:
                codes = base64.b64encode(field.codes.tobytes()).decode("ascii")
                return _json({**describe_field(field), "codes": codes})
        raise Refusal(404, "The map has no such field.", param="name")

    async def cards(self, request: Request) -> JSONResponse:
        """The beginnings of some points' texts, by their numbers with commas between."""
        picture = self._picture(request.query_params.get("version"))
        numbers = request.query_params.get("i", "").split(",")[:MOST_CARDS]
        return _json([card(picture.points, _number(each, picture)) for each in numbers])

    async def node(self, request: Request) -> JSONResponse:
        """A point's node: its whole text up to a length, and its facts."""
        picture = self._picture(request.query_params.get("version"))
        number = _number(request.query_params.get("i", ""), picture)
        store = self._index().store
        node_id = picture.points.ids[number]
        found = await in_thread(lambda: next(iter(list(store.nodes([node_id]))), None))
        if found is None:
            raise Refusal(404, "The index has no such node any more.", param="i")
        node = found[0]
        return _json(
            {
                **card(picture.points, number),
                "text": node.text[:FULL_TEXT_CHARACTERS],
                "cut": len(node.text) > FULL_TEXT_CHARACTERS,
                "metadata": node.metadata,
            }
        )

    async def find(self, request: Request) -> JSONResponse:
        """The points nearest to a question, best first, with their scores."""
        body = await body_of(request, FindBody)
        index, picture = self._index(), self._picture(body.version)
        models = self._service.models.items()
        model = next((name for name, one in models if one is index.embed_model), None)
        vector = await self._service.embed([body.query], model=model, input_type="query")
        found = await in_thread(_nearest, self._service, vector, body.top_k)
        places = self._places_of(picture)
        hits = [[places[name], round(score, 6)] for name, score in found if name in places]
        return _json({"hits": hits, "outside": len(found) - len(hits)})

    def _index(self) -> Any:
        if self._service.index is None:
            raise Refusal(409, NO_INDEX)
        return self._service.index

    def _opened(self) -> Atlas:
        index = self._index()
        if self._atlas is None:
            self._atlas = Atlas(index.store, lambda: self._service.ready)
        return self._atlas

    def _picture(self, version: str | None) -> Picture:
        """Give the map that a client has seen, laid out better since perhaps.

        What follows a version's last hyphen says how its points are placed; the
        points are the same. A map of another version has other points.
        """
        self._index()
        if self._atlas is not None:
            progress, picture = self._atlas.seen()
            if picture is not None and version and _same_points(progress.version, version):
                return picture
        raise Refusal(409, OTHER_MAP, param="version", code="map_changed")

    def _places_of(self, picture: Picture) -> dict[str, int]:
        """Give the number of each point by its node's id."""
        if self._places is None or self._places[0] is not picture:
            self._places = picture, {name: i for i, name in enumerate(picture.points.ids)}
        return self._places[1]


def _same_points(one: str, other: str) -> bool:
    return one.rpartition("-")[0] == other.rpartition("-")[0]


def _nearest(service: Service, vector: Vectors, top_k: int) -> list[tuple[str, float]]:
    index = service.index
    if index is None:
        return []
    found = index.store.query(vector, top_k)[0].nodes
    return [(each.node.id, each.score) for each in found]


def _number(given: str, picture: Picture) -> int:
    if given.isascii() and given.isdigit() and len(given) < len("1000000000"):
        number = int(given)
        if number < len(picture.points.ids):
            return number
    raise Refusal(404, "The map has no such point.", param="i")


def _json(value: Any) -> JSONResponse:
    return JSONResponse(all_sendable(value), headers={"cache-control": "no-store"})
