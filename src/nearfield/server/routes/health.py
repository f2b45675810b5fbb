"""``GET /health`` and ``GET /metrics``: for those who run the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from nearfield.server.schemas import Health

if TYPE_CHECKING:
    from nearfield.server.service import Service

_NOT_READY: dict[int | str, Any] = {503: {"model": Health, "description": "Not ready."}}
_AS_TEXT: dict[int | str, Any] = {200: {"content": {"text/plain": {}}}}
_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def router(service: Service) -> APIRouter:
    """Give the routes.

    Args:
        service: What is served.
    """
    routes = APIRouter(tags=["operation"])

    async def health(response: Response) -> Health:
        """Say whether requests are taken."""
        if not service.ready:
            response.status_code = 503
        return Health(status="ready" if service.ready else "not ready")

    async def metrics() -> Response:
        """Give all counts and times in Prometheus' text format."""
        return Response(service.metrics.text(), headers={"content-type": _TEXT_FORMAT})

    routes.add_api_route("/health", health, responses=_NOT_READY)
    routes.add_api_route("/metrics", metrics, response_class=Response, responses=_AS_TEXT)
    return routes
