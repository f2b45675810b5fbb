"""The server as an ASGI application."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from nearfield.server import openapi, page
from nearfield.server.guard import Guard
from nearfield.server.refused import answer_errors
from nearfield.server.routes import health, models, rerank, search
from nearfield.server.routes.embeddings import PATH, EmbeddingsRoute
from nearfield.server.service import Service
from nearfield.server.statics import add_statics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nearfield.server.config import ServerConfig

SWEEP_S = 1.0

_log = logging.getLogger(__name__)


def create_app(
    config: ServerConfig,
    *,
    service: Service | None = None,
    on_ready: Callable[[], None] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> FastAPI:
    """Make the application that serves a configuration.

    Models are loaded when it starts, in a thread; until then ``/health`` and all else
    answer 503.

    Args:
        config: What is served.
        service: A service of that configuration, made or loaded already.
        on_ready: Called when all is loaded.
        on_failure: Called when loading fails; the failure is logged otherwise.

    Returns:
        The application, with the service as ``app.state.service``.
    """
    service = service or Service(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(service, on_ready, on_failure))
        sweeping = asyncio.create_task(_sweep(service))
        try:
            yield
        finally:
            sweeping.cancel()
            service.ready = False
            with suppress(asyncio.CancelledError):
                await loading  # a thread that loads cannot be stopped
            await asyncio.to_thread(service.close)

    app = FastAPI(
        title="nearfield",
        version=version("nearfield"),
        summary="Embeddings, reranking and search, as OpenAI's and Cohere's clients ask for them.",
        lifespan=lifespan,
        docs_url=None,  # that page would fetch scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.router.routes.insert(0, Route(PATH, EmbeddingsRoute(service), include_in_schema=False))
    for part in (models, rerank, search, health):
        app.include_router(part.router(service))
    app.include_router(page.router(service), include_in_schema=False)
    add_statics(app)
    answer_errors(app)
    openapi.describe(app)
    app.add_middleware(Guard, service=service)
    return app


async def _load(
    service: Service,
    on_ready: Callable[[], None] | None,
    on_failure: Callable[[Exception], None] | None,
) -> None:
    try:
        if not service.ready:
            await asyncio.to_thread(service.load)
    except Exception as error:  # noqa: BLE001 - told to whoever runs the server
        if on_failure is None:
            _log.exception("The server cannot load what it is to serve.")
        else:
            on_failure(error)
    else:
        if on_ready is not None:
            on_ready()


async def _sweep(service: Service) -> None:
    """Fail, now and then, what has waited too long."""
    while True:
        await asyncio.sleep(SWEEP_S)
        service.expire()
