"""Queries answered in the version of the index that a connection sees."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nearfield.core.schema import NodeWithScore
from nearfield.core.store import Found
from nearfield.errors import CorruptStoreError
from nearfield.stores.pgvector import approximate
from nearfield.stores.pgvector.conditions import Conditions
from nearfield.stores.pgvector.reading import read_nodes
from nearfield.stores.pgvector.searching import Question, find_exactly
from nearfield.stores.pgvector.words import find_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.vectors import SimilarityMode, Vectors
    from nearfield.stores.pgvector.schema import State


def answer(
    connection: Any,
    state: State,
    metric: SimilarityMode,
    asked: Sequence[str] | Vectors,
    *,
    k: int,
    filters: MetadataFilters | None,
) -> list[Found]:
    """Answer queries by words, or by vectors.

    Args:
        connection: A connection within a transaction.
        state: Of the version it sees.
        metric: How the index compares.
        asked: Texts, or ``(q, dim)`` float32, checked.
        k: How many nodes of each.
        filters: Conditions on the nodes' facts.

    Returns:
        One answer per query, in order.

    Raises:
        CorruptStoreError: What was found does not fit together.
    """
    conditions = None if filters is None else Conditions(connection, filters)
    found = []
    for one in asked:
        if isinstance(one, str):
            found.append((find_words(connection, state, one, k, conditions), "text"))
        else:
            ask = Question(connection, one, k, metric, state.longest, conditions)
            found.append(_nearest(ask, state))
    return _answers(connection, found)


def _nearest(ask: Question, state: State) -> tuple[list[tuple[int, float]], str]:
    """Give the nearest rows, and what found them."""
    if approximate.serves(ask, state):
        hits = approximate.find_nearly(ask, state)
        if len(hits) == ask.k:
            return hits, approximate.ENGINE
    # Too few: the approximate index gave up before the filters had let enough through.
    return find_exactly(ask), "exact"


def _answers(connection: Any, found: list[tuple[list[tuple[int, float]], str]]) -> list[Found]:
    nodes = read_nodes(connection, [row for hits, _ in found for row, _ in hits])
    given: set[int] = set()
    answers = []
    for hits, engine in found:
        scored = []
        for row, score in hits:
            node = nodes.get(row)
            if node is None:
                message = "The index has words or vectors without a node. Build it anew."
                raise CorruptStoreError(message)
            if row in given:  # each answer gets facts of its own to change
                node = replace(node, metadata=deepcopy(node.metadata))
            given.add(row)
            scored.append(NodeWithScore(node, score))
        answers.append(Found(scored, engine))
    return answers
