"""``POST /v1/embeddings``, as OpenAI documents it.

This is the hot path: plain ASGI, from the socket's bytes to the answer's, without a
model of the request in between.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.server import tokens
from nearfield.server.http import orjson, read_json, send_json
from nearfield.server.refusal import Refusal
from nearfield.wire.openai import ErrorReply, read_embeddings_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.embeddings import BaseEmbedding, InputType
    from nearfield.core.vectors import Vectors
    from nearfield.server.http import Receive, Scope, Send
    from nearfield.server.service import Embedded, Service
    from nearfield.wire.openai import EmbeddingsRequest

PATH = "/v1/embeddings"
TRUNCATED_HEADER = "x-nearfield-truncated-tokens"


class EmbeddingsRoute:
    """The route, as an ASGI application.

    Args:
        service: What embeds.
    """

    def __init__(self, service: Service) -> None:
        self.path = PATH
        self._service = service
        self._limits = service.config.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; refusals and failures are answered by the guard."""
        scope["route"] = self
        if scope["method"] != "POST":
            message = f"{PATH} takes POST only."
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, message, headers={"allow": "POST"})
        request, input_type = self._read(read_json((await receive())["body"]))
        texts = self._texts(request)
        done = await self._service.embed_with_facts(
            texts, model=request.model, input_type=input_type
        )
        headers = {TRUNCATED_HEADER: str(done.cut)} if done.cut else None
        await send_json(send, _body(request, done), headers=headers)

    def _read(self, body: Any) -> tuple[EmbeddingsRequest, InputType]:
        request = read_embeddings_request(body)
        if isinstance(request, ErrorReply):
            raise Refusal.of(request)
        input_type: Any = body.get("input_type") or "document"
        if input_type not in ("query", "document"):
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "'input_type' must be 'query' or 'document'.",
                param="input_type",
            )
        limits = self._limits
        if len(request.inputs) > limits.max_inputs:
            message = f"At most {limits.max_inputs} texts are taken at once. Send fewer."
            raise Refusal(HTTPStatus.BAD_REQUEST, message, param="input")
        if request.dimensions is not None:
            self._check_dimensions(request.model, request.dimensions)
        return request, input_type

    def _texts(self, request: EmbeddingsRequest) -> Sequence[Any]:
        inputs: Sequence[Any] = request.inputs
        most = self._limits.max_text_characters
        if any(len(text) > most for text in inputs):
            message = f"A text is over {most:,} characters. Split it."
            raise Refusal(
                HTTPStatus.BAD_REQUEST, message, param="input", code="context_length_exceeded"
            )
        if isinstance(inputs[0], str) or self._service.config.token_arrays == "model":  # noqa: S105 - not a password
            return inputs
        return tokens.decode(inputs)

    def _check_dimensions(self, name: str, dimensions: int) -> None:
        model = self._service.models.get(name)
        if model is None:
            return  # which is said where it is looked for
        allowed = self._service.config.dimensions.get(name, ())
        if dimensions != _own_dim(model) and dimensions not in allowed:
            shorter = f" or {', '.join(map(str, allowed))}" if allowed else ""
            message = (
                f"The model {name!r} gives vectors of {_own_dim(model) or 'its own number of'} "
                f"numbers{shorter}, not of {dimensions}."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, message, param="dimensions")


def _own_dim(model: BaseEmbedding) -> int | None:
    return model.dim


def _body(request: EmbeddingsRequest, done: Embedded) -> bytes:
    """Write the answer; float32 numbers in their shortest form, which reads back the same."""
    vectors = done.vectors
    if request.dimensions is not None and request.dimensions < vectors.shape[1]:
        vectors = normalize(vectors[:, : request.dimensions])
    usage = {"prompt_tokens": done.tokens, "total_tokens": done.tokens}
    rows: list[Any] = _base64(vectors) if request.encoding_format == "base64" else list(vectors)
    reply = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(rows)
        ],
        "model": request.model,
        "usage": usage,
    }
    body: bytes = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return body


def _base64(vectors: Vectors) -> list[str]:
    little = np.ascontiguousarray(vectors, "<f4")
    return [base64.b64encode(row).decode("ascii") for row in little]
