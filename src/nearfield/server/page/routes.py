"""The page's own API: ``/api/...``, JSON, for the page and nobody else."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from nearfield.core.aside import in_thread
from nearfield.core.schema import QueryBundle
from nearfield.core.search_options import RERANK_CANDIDATES
from nearfield.core.vectors import similarity
from nearfield.server.page.bench import last_bench
from nearfield.server.page.bodies import MarksBody, SearchBody, SimilarityBody, WhyBody, body_of
from nearfield.server.page.conditions import filters_of
from nearfield.server.page.explain import explain
from nearfield.server.page.marking import Marker
from nearfield.server.page.searching import (
    Clock,
    as_results,
    embed_question,
    marks,
    reranked,
    search_by,
)
from nearfield.server.page.status import Fields, status
from nearfield.server.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.rerank import Reranker
    from nearfield.core.vectors import Vector
    from nearfield.server.service import Service

KEPT_QUESTIONS = 32
"""A search's marks and explanations are asked for after it; others may search meanwhile."""
NO_INDEX = "No index is served. Start the server with one: nearfield serve --index FILE."
NO_WORDS = "This index's store cannot search by words. Choose meaning alone."


def make_router(service: Service) -> APIRouter:
    """Make the routes of the page.

    Args:
        service: What is loaded; looked into when a request comes.

    Returns:
        The routes, which the public API's description leaves out.
    """
    page = _Page(service)
    router = APIRouter()
    router.add_route("/api/status", page.status, methods=["GET"], include_in_schema=False)
    router.add_route("/api/search", page.search, methods=["POST"], include_in_schema=False)
    router.add_route("/api/marks", page.marks, methods=["POST"], include_in_schema=False)
    router.add_route("/api/why", page.why, methods=["POST"], include_in_schema=False)
    router.add_route("/api/similarity", page.similarity, methods=["POST"], include_in_schema=False)
    router.add_route("/api/bench", page.bench, methods=["GET"], include_in_schema=False)
    return router


class _Page:
    """What the page remembers between requests, and its answers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._fields = Fields()
        self._marker: Marker | None = None
        self._asked: OrderedDict[str, Vector] = OrderedDict()

    async def status(self, _: Request) -> JSONResponse:
        """What is served."""
        return _json(await in_thread(status, self._service, self._fields))

    async def search(self, request: Request) -> JSONResponse:
        """Results of a question, by each way asked for."""
        body = await body_of(request, SearchBody)
        index, _ = self._loaded()
        if not index.store.capabilities.text_search and set(body.modes) != {"vector"}:
            raise Refusal(400, NO_WORDS, param="modes")
        reranker = self._reranker(body.rerank)
        depth = body.top_k if reranker is None else max(body.top_k, RERANK_CANDIDATES)
        filters, aside = filters_of(body.conditions, body.join), self._service.aside
        clock = Clock()
        vector = await embed_question(index, body.query, self._embed, clock)
        bundle = QueryBundle(body.query, vector)
        with clock.timing("search"):
            found = await aside(search_by, index, bundle, body.modes, depth, filters)
        if reranker is not None:
            with clock.timing("rerank"):
                found = await aside(reranked, found, body.query, reranker, body.top_k)
        return _json({"results": as_results(found), "times_ms": clock.ms})

    async def marks(self, request: Request) -> JSONResponse:
        """The best sentences of results, which were shown meanwhile."""
        body = await body_of(request, MarksBody)
        index, marker = self._loaded()
        vector = await self._vector_of(body.query)
        clock = Clock()
        with clock.timing("mark"):
            found = await self._service.aside(marks, index, body.node_ids, vector, marker)
        return _json({"marks": found, "times_ms": clock.ms})

    async def why(self, request: Request) -> JSONResponse:
        """Why a node is a result."""
        body = await body_of(request, WhyBody)
        index, marker = self._loaded()
        vector = await self._vector_of(body.query)
        explained = partial(
            explain,
            index,
            QueryBundle(body.query, vector),
            vector,
            body.node_id,
            filters=filters_of(body.conditions, body.join),
            marker=marker,
        )
        facts = await self._service.aside(explained)
        if facts is None:
            message = "The index has no such node any more. Search again."
            raise Refusal(404, message, param="node_id")
        return _json(facts)

    async def similarity(self, request: Request) -> JSONResponse:
        """Each text compared with each."""
        body = await body_of(request, SimilarityBody)
        name = body.model or self._service.default_model
        begun = perf_counter()
        vectors = await self._service.embed(body.texts, model=name)
        rows = vectors
        if body.question_first:
            rows = vectors.copy()
            rows[0] = (await self._service.embed(body.texts[:1], model=name, input_type="query"))[0]
        embedded = perf_counter()
        model = self._service.models[name]
        matrix = similarity(rows, vectors, model.similarity_mode)
        if body.question_first:  # the question beside the texts, whichever way it is read
            matrix[:, 0] = matrix[0]
            matrix[0, 0] = similarity(rows[:1], rows[:1], model.similarity_mode)[0, 0]
        times = {"embed": embedded - begun, "compare": perf_counter() - embedded}
        return _json(
            {
                "matrix": [[round(float(score), 6) for score in row] for row in matrix],
                "model": name,
                "metric": model.similarity_mode.value,
                "times_ms": {part: seconds * 1000 for part, seconds in times.items()},
            }
        )

    async def bench(self, _: Request) -> JSONResponse:
        """The last results of ``nearfield bench``, or null."""
        return _json(await in_thread(last_bench))

    def _loaded(self) -> tuple[VectorStoreIndex, Marker]:
        index = self._service.index
        if index is None:
            raise Refusal(409, NO_INDEX)
        if self._marker is None:
            self._marker = Marker(index.embed_model)
        return index, self._marker

    def _reranker(self, name: str | None) -> Reranker | None:
        if name is None:
            return None
        if name not in self._service.rerankers:
            raise Refusal(404, "The reranker does not exist.", param="rerank")
        return self._service.rerankers[name]

    async def _embed(self, question: str) -> Vector:
        """Embed a question by the index's model, in line with other requests."""
        service = self._service
        vectors = await service.embed([question], model=service.index_model, input_type="query")
        vector: Vector = vectors[0].copy()
        self._asked[question] = vector
        self._asked.move_to_end(question)
        if len(self._asked) > KEPT_QUESTIONS:
            self._asked.popitem(last=False)
        return vector

    async def _vector_of(self, question: str) -> Vector:
        """Give the vector of a question that was most likely just searched for."""
        known = self._asked.get(question)
        return await self._embed(question) if known is None else known


def _json(value: Any) -> JSONResponse:
    return JSONResponse(value, headers={"cache-control": "no-store"})
