"""What a map shows of an index: its nodes, or an honest sample of them, read once in a stream."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.errors import StoreError
from nearfield.server.map.fields import Field, Values
from nearfield.server.map.projection import Axes, Moments

if TYPE_CHECKING:
    from collections.abc import Generator

    from nearfield.core.schema import Node
    from nearfield.core.store import VectorStore
    from nearfield.core.vectors import Vector, Vectors
    from nearfield.server.map.neighbours import Step

MOST_POINTS = 100_000
MOST_BYTES = 1 << 30
TEXT_CHARACTERS = 400
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Points:
    """The nodes on a map.

    Attributes:
        ids: Their node ids, in the order of writing.
        documents: Their documents' ids.
        spans: Where in its document each stands, as first and last character.
        texts: The beginning of each text.
        vectors: ``(n, dim)`` float32, of length 1 or zeros.
        axes: The flat view of all nodes, those that are not shown included.
        fields: What they can be coloured by.
        total: How many nodes the index has.
    """

    ids: list[str]
    documents: list[str]
    spans: list[tuple[int, int]]
    texts: list[str]
    vectors: Vectors
    axes: Axes
    fields: list[Field]
    total: int

    @property
    def is_sample(self) -> bool:
        """Whether the index has more nodes than are shown."""
        return len(self.ids) < self.total


def most_points(dim: int) -> int:
    """Give how many points a map shows at most.

    Args:
        dim: Numbers per vector.
    """
    return max(min(MOST_POINTS, MOST_BYTES // (4 * max(dim, 1))), 1)


def read_points(
    store: VectorStore,
    *,
    step: Step,
    limit: int | None = None,
    text_characters: int = TEXT_CHARACTERS,
    seed: int = 0,
) -> Points:
    """Read what a map shows.

    Memory is bounded by the points that are shown; the axes are those of all nodes.

    Args:
        store: The index.
        step: Told how far it is.
        limit: The most points; a random sample is drawn of more. :func:`most_points`
            by default.
        text_characters: How much of each text is kept.
        seed: Of the sample.

    Returns:
        The points.

    Raises:
        StoreError: The index is empty.
        CorruptStoreError: A node is damaged.
    """
    header, count = store.header, store.count()
    if header is None or not count:
        message = "The index is empty. Index some documents first, then draw its map."
        raise StoreError(message)
    limit = most_points(header.dim) if limit is None else limit
    chosen = np.arange(count)
    if count > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
    kept = _Kept(np.zeros((len(chosen), header.dim), np.float32), text_characters)
    moments, total = Moments(header.dim), 0
    block = np.zeros((ROWS_AT_ONCE, header.dim), np.float32)
    # A generator, so that the reading of the store ends here even when it is broken off.
    with closing(cast("Generator[tuple[Node, Vector]]", store.nodes())) as nodes:
        for number, (node, vector) in enumerate(nodes):
            filled = number % ROWS_AT_ONCE
            block[filled] = vector
            if len(kept.ids) < len(chosen) and chosen[len(kept.ids)] == number:
                kept.take(node, vector)
            total = number + 1
            if filled == ROWS_AT_ONCE - 1:
                moments.add(normalize(block))
                step(min(total / count, 1.0))
    moments.add(normalize(block[: total % ROWS_AT_ONCE]))
    vectors = normalize(kept.vectors[: len(kept.ids)])
    fields = kept.values.fields(kept.documents)
    return Points(
        kept.ids, kept.documents, kept.spans, kept.texts, vectors, moments.axes(), fields, total
    )


class _Kept:
    """The points kept so far."""

    def __init__(self, vectors: Vectors, text_characters: int) -> None:
        self.ids: list[str] = []
        self.documents: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.texts: list[str] = []
        self.vectors = vectors
        self.values = Values()
        self._text_characters = text_characters

    def take(self, node: Node, vector: Any) -> None:
        """Keep a node."""
        self.vectors[len(self.ids)] = vector
        self.ids.append(node.id)
        self.documents.append(node.document_id)
        self.spans.append((node.start, node.end))
        self.texts.append(node.text[: self._text_characters])
        self.values.add(node.metadata)
