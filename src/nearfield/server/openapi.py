"""The OpenAPI document: FastAPI's own, and the hot path that FastAPI does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from nearfield.server.routes.embeddings import PATH
from nearfield.server.schemas import Embeddings, EmbeddingsBody, Error

if TYPE_CHECKING:
    from fastapi import FastAPI

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"

# Every route may answer so; what it means is said by the error's message and code.
_REFUSALS = {
    400: "The request cannot be answered as it is.",
    401: "The key is missing or wrong.",
    403: "The server does not answer to this Host.",
    404: "There is nothing by this name.",
    405: "The route takes another method.",
    408: "The body came too slowly.",
    409: "What the request needs is not served.",
    413: "The body is too large.",
    415: "The body is compressed, or not JSON.",
    429: "The queue is full; try again after the time in Retry-After.",
    500: "The request failed inside the server.",
    502: "The model's provider failed.",
    503: "The server is loading, being stopped, or too slow to answer in time.",
}


def describe(app: FastAPI) -> None:
    """Let an application describe all its public routes.

    Args:
        app: The application.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        schema: dict[str, Any] = app.openapi_schema
        return schema

    app.openapi = document  # as FastAPI's manual has it


def _document(app: FastAPI) -> dict[str, Any]:
    made: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    modes = (EmbeddingsBody, "validation"), (Embeddings, "serialization"), (Error, "serialization")
    _, definitions = models_json_schema(modes, ref_template=_SCHEMAS + "{model}")  # type: ignore[arg-type]
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= definitions["$defs"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)  # validation errors have OpenAI's shape here
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"key": []}, {}]
    made["paths"][PATH] = {"post": _embeddings()}
    for operations in made["paths"].values():
        for operation in operations.values():
            _add_refusals(operation)
    return made


def _embeddings() -> dict[str, Any]:
    return {
        "tags": ["embeddings"],
        "summary": "Embeddings",
        "description": "Give the vectors of texts.",
        "operationId": "embeddings",
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"$ref": _SCHEMAS + "EmbeddingsBody"}}},
        },
        "responses": {
            "200": {
                "description": "The vectors, in the order of the texts.",
                "content": {_JSON: {"schema": {"$ref": _SCHEMAS + "Embeddings"}}},
            }
        },
    }


def _add_refusals(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status, description in _REFUSALS.items():
        responses.setdefault(
            str(status),
            {
                "description": description,
                "content": {_JSON: {"schema": {"$ref": _SCHEMAS + "Error"}}},
            },
        )
