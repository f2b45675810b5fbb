"""Texts of tokens, laid end to end without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.runtime.encoder import Encoder

Ints = NDArray[np.int32]


class PackedTexts:
    """Texts laid end to end, checked against the encoder's tables.

    Args:
        encoder: What is to read them.
        token_ids: For each text its token ids.
        token_types: For each text the type of each token.

    Attributes:
        ids: ``(tokens,)`` of all texts.
        positions: ``(tokens,)`` rows of the position table.
        types: ``(tokens,)``, or ``None`` when all are 0.
        lengths: ``(texts,)``.

    Raises:
        ConfigError: A number is outside its table, or a text has too many tokens.
    """

    def __init__(
        self,
        encoder: Encoder,
        token_ids: Sequence[Sequence[int]],
        token_types: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.lengths: Ints = np.fromiter(map(len, token_ids), np.int32, len(token_ids))
        self.ids = self._laid_out(token_ids, encoder.vocabulary, "id")
        self.types: Ints | None = None
        if token_types is not None:
            kinds = 0 if encoder.types is None else len(encoder.types)
            self.types = self._laid_out(token_types, kinds, "type")
        if len(self.lengths) and self.lengths.max() > encoder.max_tokens:
            number = int(self.lengths.argmax())
            message = (
                f"Text {number} has {self.lengths[number]:,} tokens, the model reads "
                f"{encoder.max_tokens:,}. Cut it first."
            )
            raise ConfigError(message)
        starts = np.cumsum(self.lengths) - self.lengths
        counted = np.arange(len(self.ids), dtype=np.int32) - np.repeat(starts, self.lengths)
        self.positions: Ints = (counted + encoder.first_position).astype(np.int32)
        if encoder.padding_id is not None and (self.ids == encoder.padding_id).any():
            rows = [encoder.position_rows(ids) for ids in self.split(self.ids)]
            self.positions = np.concatenate(rows)

    def split(self, packed: NDArray[Any]) -> list[NDArray[Any]]:
        """Give back what was laid end to end as one array a text."""
        return np.split(packed, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []

    def reordered(self, order: NDArray[np.intp]) -> PackedTexts:
        """Give the same texts in another order."""
        starts = np.cumsum(self.lengths) - self.lengths
        lengths = self.lengths[order]
        begins = np.cumsum(lengths) - lengths
        rows = np.repeat(starts[order] - begins, lengths) + np.arange(len(self.ids))
        other = object.__new__(PackedTexts)
        other.lengths, other.ids, other.positions = lengths, self.ids[rows], self.positions[rows]
        other.types = None if self.types is None else self.types[rows]
        return other

    def _laid_out(self, rows: Sequence[Sequence[int]], end: int, what: str) -> Ints:
        total = int(self.lengths.sum(dtype=np.int64))
        try:
            flat = np.fromiter((n for row in rows for n in row), np.int64, total)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"A token {what} is missing or not a whole number."
            raise ConfigError(message) from error
        bad = np.flatnonzero((flat < 0) | (flat >= end))
        if len(bad):
            number = int(np.searchsorted(np.cumsum(self.lengths), bad[0], side="right"))
            message = (
                f"Text {number} holds token {what} {flat[bad[0]]}, the model knows 0 to "
                f"{end - 1:,}. Tokenizer and weights are of different models."
            )
            raise ConfigError(message)
        return flat.astype(np.int32)
