"""Models made of arithmetic: no weights, no network, the same numbers everywhere."""

from __future__ import annotations

import re
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.embeddings.names import check_texts
from nearfield.core.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.embeddings import InputType
    from nearfield.core.vectors import Vector, Vectors

_WORD = re.compile(r"\w+")
PIECE = 3


class FakeEmbedding(BaseEmbedding):
    """Embeds a text by hashing its words and their three-letter pieces.

    Texts that share words, or parts of words, are near each other, so that
    rankings can be tested; equal texts have equal vectors, bit for bit.

    Args:
        dim: Numbers per vector.
        model_name: Part of the fingerprint: another name is another model.
        embed_batch_size: The most texts handed over at once.
        kwargs: What :class:`~nearfield.core.embeddings.BaseEmbedding` takes besides.

    Attributes:
        computed: Every text computed so far, in order; tests count what was paid for.
    """

    def __init__(
        self,
        dim: int = 64,
        model_name: str = "fake",
        embed_batch_size: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(model_name, embed_batch_size, **kwargs)
        self._dim = dim
        self.computed: list[str] = []
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """The name and the number of dimensions: both change the vectors."""
        return f"nearfield-testing/{self.model_name}/{self._dim}"

    def _encode(self, texts: Sequence[str], input_type: InputType) -> Vectors:  # noqa: ARG002
        with self._lock:
            self.computed.extend(texts)
        rows = np.stack([_hashed(text, self._dim or 1) for text in texts])
        return normalize(rows)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock behind when pickled."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes, with a lock of its own."""
        vars(self).update(state)
        self._lock = threading.Lock()


class FakeReranker:
    """Scores a text by the share of the question's words that it has.

    Args:
        model_name: Part of the fingerprint.

    Attributes:
        asked: The question and the number of texts of every call, in order.
    """

    def __init__(self, model_name: str = "fake") -> None:
        self.model_name = model_name
        self.asked: list[tuple[str, int]] = []

    @property
    def fingerprint(self) -> str:
        """The name: nothing else changes the scores."""
        return f"nearfield-testing/reranker/{self.model_name}"

    def rerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts; see :meth:`nearfield.core.rerank.Reranker.rerank`."""
        check_texts([query])
        check_texts(texts)
        self.asked.append((query, len(texts)))
        wanted = set(_WORD.findall(query.lower()))
        shares = [
            len(wanted.intersection(_WORD.findall(text.lower()))) / (len(wanted) or 1)
            for text in texts
        ]
        return np.array(shares, np.float32)

    async def arerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts, as :meth:`rerank` does."""
        return self.rerank(query, texts)

    def __repr__(self) -> str:
        """Name the class and the model."""
        return f"{type(self).__name__}(model_name={self.model_name!r})"


def _hashed(text: str, dim: int) -> Vectors:
    row = np.zeros(dim, np.float32)
    for word in _WORD.findall(text.lower()):
        row[_place(word, dim)] += 1
        for start in range(len(word) - PIECE + 1):
            row[_place(word[start : start + PIECE], dim)] += 1 / PIECE
    if not row.any():
        row[_place(text, dim)] = 1
    return row


def _place(piece: str, dim: int) -> int:
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % dim
