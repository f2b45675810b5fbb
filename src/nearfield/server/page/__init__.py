"""The page at ``/``: its API, and what is computed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

    from nearfield.server.service import Service


def router(service: Service) -> APIRouter:
    """Make the routes under ``/api``: the page's, and its map's.

    Args:
        service: What is loaded; looked into when a request comes.

    Returns:
        The routes.
    """
    # Imported here: what is kept for the page is read and written without a web framework.
    from nearfield.server.map.routes import make_router as map_routes  # noqa: PLC0415
    from nearfield.server.page.routes import make_router  # noqa: PLC0415

    routes = make_router(service)
    routes.include_router(map_routes(service))
    return routes
