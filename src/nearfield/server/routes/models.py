"""``GET /v1/models``: what is served, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from nearfield.server.refusal import Refusal
from nearfield.server.schemas import Model, Models

if TYPE_CHECKING:
    from nearfield.server.service import Service


def router(service: Service) -> APIRouter:
    """Give the routes.

    Args:
        service: What is served.
    """
    routes = APIRouter(tags=["models"])

    async def models() -> Models:
        """List the models that requests can name."""
        return Models(data=[Model(id=name) for name in (*service.models, *service.rerankers)])

    async def model(name: str) -> Model:
        """Describe one model."""
        if name not in service.models and name not in service.rerankers:
            message = "The model does not exist."
            raise Refusal(404, message, param="model", code="model_not_found")
        return Model(id=name)

    routes.add_api_route("/v1/models", models)
    routes.add_api_route("/v1/models/{name:path}", model)
    return routes
