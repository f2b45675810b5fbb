"""A model made of arithmetic: no weights, no network, the same vectors everywhere."""

from __future__ import annotations

import re
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.embeddings import InputType
    from nearfield.core.vectors import Vectors

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
