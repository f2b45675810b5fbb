"""The sentences of nodes that answer a question best, chosen by the model that found the nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nearfield.core.sentences import sentence_spans
from nearfield.core.vectors import similarity, top_k

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.schema import NodeWithScore, QueryBundle
    from nearfield.core.vectors import Vector, Vectors

FEWEST_WORDS = 4
_HEADING_OR_ROW = re.compile(r"#{1,6} |\|")
"""How Markdown's headings and table rows begin: they echo a question and answer none."""


@dataclass(frozen=True, slots=True)
class Extract:
    """A sentence of a node.

    Attributes:
        text: The sentence, its white space made single blanks.
        source: The node's place among the nodes, from 0.
        start: First character in the node's text.
        end: One past the last.
        score: How near the sentence is to the question, by cosine.
    """

    text: str
    source: int
    start: int
    end: int
    score: float = 0.0


def candidates(nodes: Sequence[NodeWithScore]) -> list[Extract]:
    """Give the sentences worth comparing with a question.

    Args:
        nodes: The nodes found, best first.

    Returns:
        Each different sentence once, from the best node that has it. Headings, rows
        of tables and scraps of fewer than four words are left out, unless there
        is nothing else.
    """
    unique: dict[str, Extract] = {}
    for extract in _sentences(nodes):
        unique.setdefault(extract.text.casefold(), extract)
    found = list(unique.values())
    return [extract for extract in found if _is_sentence(extract.text)] or found


def best_extracts(
    query: Vector | Sequence[float], vectors: Vectors, extracts: Sequence[Extract], count: int
) -> list[Extract]:
    """Choose the sentences nearest to a question.

    Args:
        query: ``(dim,)``, the question's vector.
        vectors: ``(n, dim)`` float32, those of the sentences.
        extracts: ``n`` sentences.
        count: How many to choose, at least 1.

    Returns:
        At most ``count`` sentences with their scores, best first.
    """
    scores = similarity(query, vectors)[0]
    return [replace(extracts[row], score=float(scores[row])) for row in top_k(scores, count)]


def extract(
    model: BaseEmbedding, query: QueryBundle, nodes: Sequence[NodeWithScore], count: int = 3
) -> list[Extract]:
    """Find the sentences of nodes that answer a question best.

    Args:
        model: What compares them; the model that found the nodes.
        query: The question; embedded unless it brings its vector along.
        nodes: The nodes found, best first.
        count: How many sentences, at least 1.

    Returns:
        At most ``count`` sentences, best first.
    """
    some = candidates(nodes)
    if not some:
        return []
    vector = query.embedding
    if vector is None:
        vector = model.encode([query.query_str], input_type="query")[0]
    # A sentence longer than the model reads is no fault of the asker's: no warning.
    vectors, _ = model.encode_with_report([sentence.text for sentence in some])
    return best_extracts(vector, vectors, some, count)


async def aextract(
    model: BaseEmbedding, query: QueryBundle, nodes: Sequence[NodeWithScore], count: int = 3
) -> list[Extract]:
    """Find the sentences of nodes that answer a question best, as :func:`extract` does."""
    some = candidates(nodes)
    if not some:
        return []
    vector = query.embedding
    if vector is None:
        vector = (await model.aencode([query.query_str], input_type="query"))[0]
    vectors, _ = await model.aencode_with_report([sentence.text for sentence in some])
    return best_extracts(vector, vectors, some, count)


def best_spans(
    model: BaseEmbedding, question: str, nodes: Sequence[NodeWithScore]
) -> list[tuple[int, int] | None]:
    """Find in every node the sentence that comes nearest to a question.

    Args:
        model: What compares them; the model that found the nodes.
        question: The question.
        nodes: The nodes found.

    Returns:
        For each node the first character of the sentence in its text and one past
        the last; ``None`` for a node without any sentence.
    """
    spans: list[tuple[int, int] | None] = [None] * len(nodes)
    some = list(_sentences(nodes))
    if not some:
        return spans
    query = model.encode([question], input_type="query")[0]
    vectors, _ = model.encode_with_report([sentence.text for sentence in some])
    ranked = best_extracts(query, vectors, some, len(some))
    for best in reversed(ranked):  # the best of each node is written last, and stays
        spans[best.source] = (best.start, best.end)
    return spans


def _sentences(nodes: Sequence[NodeWithScore]) -> Iterator[Extract]:
    for source, found in enumerate(nodes):
        for start, end in sentence_spans(found.node.text):
            text = " ".join(found.node.text[start:end].split())
            if text:
                yield Extract(text, source, start, end)


def _is_sentence(text: str) -> bool:
    if _HEADING_OR_ROW.match(text):
        return False
    # Scripts without blanks have one "word" per sentence: let length speak there.
    return len(text.split()) >= FEWEST_WORDS or not text.isascii()
