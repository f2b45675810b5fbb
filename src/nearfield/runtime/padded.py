"""Batches for engines that pad: sorted by length, bounded by tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfield.runtime.pooling import apply_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.pooling import Head

Integers = NDArray[np.int64]


def padded_batches(
    token_ids: Sequence[Sequence[int]],
    *,
    tokens: int,
    texts: int | None = None,
) -> Iterator[NDArray[np.intp]]:
    """Group texts of like length, longest first, so that little is padded.

    The longest come first, so that a batch too large for memory fails at once.

    Args:
        token_ids: For each text its token numbers.
        tokens: The most tokens in a batch, padding included; a single longer text goes alone.
        texts: The most texts in a batch.

    Yields:
        The numbers of the texts of each batch; every text is in one.
    """
    lengths = np.fromiter(map(len, token_ids), np.intp, len(token_ids))
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, tokens // longest)
        size = min(size, texts) if texts else size
        yield order[start : start + size]
        start += size


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[Integers, Integers]:
    """Lay texts of different lengths into one rectangle, padded on the right.

    Args:
        rows: Token numbers of each text.
        padding: The number of the padding token.

    Returns:
        The numbers and the mask (1 for a token, 0 for padding), ``(texts, longest)`` int64.
    """
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), padding, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for row, numbers in enumerate(rows):
        ids[row, : len(numbers)] = numbers
        mask[row, : len(numbers)] = 1
    return ids, mask


def finish(
    states: Vectors, rows: Sequence[Sequence[int]], head: Head, *, prompt_tokens: int
) -> Vectors:
    """Turn the padded token states of a batch into finished vectors.

    Args:
        states: ``(texts, longest, hidden)``, any float type.
        rows: Token numbers of each text, for their count.
        head: What follows the encoder.
        prompt_tokens: How many leading tokens of each text are the prompt's.

    Returns:
        ``(texts, dim)`` float32.
    """
    return np.stack(
        [
            apply_head(
                states[row, : len(numbers)].astype(np.float32, copy=False),
                head,
                prompt_tokens=prompt_tokens,
            )
            for row, numbers in enumerate(rows)
        ]
    )
