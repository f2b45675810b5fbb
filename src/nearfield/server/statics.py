"""The page's files, served so that a browser runs nothing else beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def add_statics(app: FastAPI) -> None:
    """Serve the page at ``/`` and its files under ``/static/``.

    Args:
        app: The application.
    """

    async def page() -> Response:
        return FileResponse(FOLDER / "index.html", headers=_HEADERS)

    app.add_api_route("/", page, include_in_schema=False, response_class=Response)
    app.mount("/static", _Files(directory=FOLDER, check_dir=False), name="static")


class _Files(StaticFiles):  # type: ignore[misc] # optional: Any
    """Files with the page's headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
