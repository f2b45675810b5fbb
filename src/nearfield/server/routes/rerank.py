"""``POST /v1/rerank``, as Cohere's and Jina's clients ask for it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from fastapi import APIRouter

from nearfield.core.aside import in_thread
from nearfield.server.refusal import Refusal
from nearfield.server.schemas import RerankBody, Reranked, RerankResult, RerankText

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from nearfield.core.rerank import Reranker
    from nearfield.core.vectors import Vector
    from nearfield.server.service import Service

T = TypeVar("T")

PIECE_TEXTS = 64
"""Texts scored in one go: others get their turn after it, and who has left is noticed."""


def router(service: Service) -> APIRouter:
    """Give the routes.

    Args:
        service: What is served.
    """
    routes = APIRouter(tags=["rerank"])
    turns: dict[str, asyncio.Lock] = {}  # a reranker uses all cores; two at once gain nothing

    async def scores(name: str, model: Reranker, query: str, texts: Sequence[str]) -> Vector:
        turn = turns.setdefault(name, asyncio.Lock())
        found = []
        async with service.place(len(texts)):
            for start in range(0, len(texts), PIECE_TEXTS):
                piece = texts[start : start + PIECE_TEXTS]
                async with turn:
                    found.append(await _to_its_end(in_thread(model.rerank, query, piece)))
        return np.concatenate(found)

    async def rerank(body: RerankBody) -> Reranked:
        """Rank texts by how well they answer a question."""
        name = body.model or next(iter(service.rerankers), "")
        model = service.rerankers.get(name)
        if model is None:
            message = "The reranker does not exist. GET /v1/models lists what is served."
            raise Refusal(404, message, param="model", code="model_not_found")
        texts = [text if isinstance(text, str) else text.text for text in body.documents]
        most = service.config.limits.max_text_characters
        if len(body.query) > most or any(len(text) > most for text in texts):
            raise Refusal(400, f"A text is over {most:,} characters.", param="documents")
        found = await scores(name, model, body.query, texts)
        best = np.argsort(-found, kind="stable")[: body.top_n]
        return Reranked(
            id=str(uuid.uuid4()),
            model=name,
            results=[
                RerankResult(
                    index=int(row),
                    relevance_score=float(found[row]),
                    document=RerankText(text=texts[row]) if body.return_documents else None,
                )
                for row in best
            ],
        )

    routes.add_api_route("/v1/rerank", rerank, methods=["POST"])
    return routes


async def _to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Await a thread's work; being cancelled waits for it, so that no turn is given away early."""
    work = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
