"""``POST /v1/search``: a question to the served index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from nearfield.core.filter_forms import as_filters
from nearfield.core.schema import QueryBundle
from nearfield.server.page.records import all_sendable, sendable
from nearfield.server.refusal import Refusal
from nearfield.server.schemas import SearchBody, SearchResult, SearchResults

if TYPE_CHECKING:
    from nearfield.core.schema import NodeWithScore
    from nearfield.server.service import Service


def router(service: Service) -> APIRouter:
    """Give the route.

    Args:
        service: What is served.
    """
    routes = APIRouter(tags=["search"])

    async def search(body: SearchBody) -> SearchResults:
        """Find the passages nearest to a question."""
        index = service.index
        if index is None:
            raise Refusal(409, "No index is served. Start the server with --index PATH.")
        if not body.query.strip():
            raise Refusal(400, "The question is empty.", param="query")
        vector = None
        if body.mode != "text":
            name = service.index_model
            vector = (await service.embed([body.query], model=name, input_type="query"))[0]
        retriever = index.as_retriever(body.top_k, mode=body.mode, filters=as_filters(body.filters))
        found = await service.aside(retriever.search, [QueryBundle(body.query, vector)])
        return SearchResults(
            data=[_result(rank, node) for rank, node in enumerate(found[0].nodes)],
            model=service.index_model,
            engine=found[0].engine,
        )

    routes.add_api_route("/v1/search", search, methods=["POST"])
    return routes


def _result(rank: int, found: NodeWithScore) -> SearchResult:
    node = found.node
    return SearchResult(
        index=rank,
        score=found.score,
        node_id=sendable(node.id),
        document_id=sendable(node.document_id),
        start=node.start,
        end=node.end,
        text=sendable(node.text),
        metadata=all_sendable(node.metadata),
    )
