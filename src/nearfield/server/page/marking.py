"""The sentence of each result that comes nearest to the question, quick enough to follow typing."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from nearfield.core.sentences import sentences
from nearfield.core.vectors import similarity
from nearfield.server.page.records import sendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.vectors import Vector, Vectors

KEPT_NODES = 1024
MAX_SENTENCES = 48
MAX_CHARACTERS = 2000

Span = tuple[int, int]


class _Sentences(NamedTuple):
    spans: list[Span]
    vectors: Vectors


class Marker:
    """Finds best sentences; those of nodes seen lately are not embedded again.

    Safe to use from several threads.

    Args:
        model: What compares them: the model that found the nodes.
        kept: How many nodes' sentences are remembered.
    """

    def __init__(self, model: BaseEmbedding, *, kept: int = KEPT_NODES) -> None:
        self._model = model
        self._kept = kept
        self._lock = Lock()
        self._known: OrderedDict[str, _Sentences] = OrderedDict()

    def best(self, question: Vector, texts: Sequence[str]) -> list[Span | None]:
        """Find the best sentence of each text.

        Args:
            question: ``(dim,)``, the question's vector.
            texts: The texts of nodes.

        Returns:
            For each the first character of its best sentence and one past the last,
            among its first 48 sentences; ``None`` for a text without any, and for all when
            the model is remote, where each sentence would cost money.
        """
        if self._model.is_remote:
            return [None] * len(texts)
        known = self._sentences(texts)
        found: list[Span | None] = []
        for text in texts:
            spans, vectors = known[text]
            best = int(similarity(question, vectors)[0].argmax()) if spans else 0
            found.append(spans[best] if spans else None)
        return found

    def _sentences(self, texts: Sequence[str]) -> dict[str, _Sentences]:
        with self._lock:
            known = {text: self._known[text] for text in texts if text in self._known}
        new = {
            text: [(s.start, s.end) for s in islice(sentences(text), MAX_SENTENCES)]
            for text in texts
            if text not in known
        }
        some = [
            sendable(" ".join(text[start : min(end, start + MAX_CHARACTERS)].split()))
            for text, spans in new.items()
            for start, end in spans
        ]
        # A sentence longer than the model reads is no fault of the asker's: no warning.
        vectors, _ = self._model.encode_with_report(some)
        here = 0
        for text, spans in new.items():
            known[text] = _Sentences(spans, vectors[here : here + len(spans)])
            here += len(spans)
        with self._lock:
            for text in dict.fromkeys(texts):
                self._known[text] = known[text]
                self._known.move_to_end(text)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return known
