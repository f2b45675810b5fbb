"""Ranking what was found once more, by a model that reads question and text together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeGuard

from nearfield.core.registry import find
from nearfield.core.schema import NodeWithScore
from nearfield.errors import ConfigError, InvalidVectorsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from nearfield.core.vectors import Vector
else:
    from nearfield.core.arrays import np


class Reranker(Protocol):
    """Scores texts by how well they answer a question."""

    @property
    def model_name(self) -> str:
        """The model's name."""

    @property
    def fingerprint(self) -> str:
        """What tells this model's scores from any other's."""

    def rerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts.

        Args:
            query: The question.
            texts: Any number of texts.

        Returns:
            ``(n,)`` float32 in the order of ``texts``; higher is better. The scale is the
            model's own: compare scores of one question with each other only.

        Raises:
            TypeError: ``query`` is not a string, or ``texts`` is one.
            InvalidVectorsError: The model gave something that is not ``n`` finite scores.
        """

    async def arerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts without blocking the event loop, as :meth:`rerank` does."""


def resolve_reranker(model: object) -> Reranker:
    """Give the reranker that a user's value stands for.

    Args:
        model: A reranker; the folder or Hugging Face name of a cross-encoder, run here, with or
            without ``"local:"`` before it; or ``"PROVIDER:NAME"`` of another registered one.

    Returns:
        The reranker.

    Raises:
        UnknownProviderError: Nobody registered the provider.
        ConfigError: The value is of a kind that cannot rerank.
    """
    if _reranks(model):
        return model
    if not isinstance(model, str) or not model.strip():
        message = (
            f"{model!r} cannot be used as a reranker. Pass the name of a cross-encoder, such as "
            "'cross-encoder/ms-marco-MiniLM-L6-v2', or an object with rerank and arerank."
        )
        raise ConfigError(message)
    provider, colon, name = model.partition(":")
    if not colon:
        provider, name = "local", model
    registered = find("rerankers", provider)
    if not name or registered.argument is None:
        message = f"{model!r} names no reranker. Write '{provider}:NAME'."
        raise ConfigError(message)
    made: Reranker = registered.load()(**{registered.argument: name})
    return made


def reranked(nodes: Sequence[NodeWithScore], scores: object) -> list[NodeWithScore]:
    """Put nodes into the order of a reranker's scores; equal ones keep their order.

    Args:
        nodes: What was found.
        scores: One score per node, in order.

    Returns:
        The same nodes with their new scores, best first.

    Raises:
        InvalidVectorsError: There are not as many scores as nodes, or one is not finite.
    """
    values = np.asarray(scores, np.float32)
    if values.shape != (len(nodes),) or not np.isfinite(values).all():
        message = (
            f"The reranker gave scores of shape {values.shape} for {len(nodes)} texts, or one "
            "that is not finite. Its model may be damaged."
        )
        raise InvalidVectorsError(message)
    order = np.argsort(-values, kind="stable")
    return [NodeWithScore(nodes[row].node, float(values[row])) for row in order]


def _reranks(model: object) -> TypeGuard[Reranker]:
    # By its methods, not by its properties: a fingerprint may have to hash the weights.
    return not isinstance(model, type) and all(
        callable(getattr(model, name, None)) for name in ("rerank", "arerank")
    )
