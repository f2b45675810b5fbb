"""``GET /health`` and ``GET /metrics``: for those who run the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from nearfield.server.schemas import Health

if TYPE_CHECKING:
    from nearfield.server.service import Service

_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def router(service: Service) -> APIRouter:
    """Give the routes.

    Args:
        service: What is served.
    """
    routes = APIRouter(tags=["operation"])

    @routes.get("/health", responses={503: {"model": Health, "description": "Not ready."}})
    async def health(response: Response) -> Health:
        """Say whether requests are taken."""
        if not service.ready:
            response.status_code = 503
        return Health(status="ready" if service.ready else "not ready")

    @routes.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    async def metrics() -> Response:
        """Give all counts and times in Prometheus' text format."""
        return Response(service.metrics.text(), headers={"content-type": _TEXT_FORMAT})

    return routes
