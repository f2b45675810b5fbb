"""Which of many scores may be among the best, when they are off by no more than is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEAKS_PER_RESULT = 8


def may_be_best(
    scores: NDArray[np.float32], errors: NDArray[np.float32] | np.float32, k: int
) -> NDArray[np.intp]:
    """Give the places that may be among the k best.

    Args:
        scores: ``(n,)``. One of plus infinity is unknown and always kept, one of minus
            infinity never.
        errors: How far scores may be off, and more than what float32 loses when such a number
            is added to a score: ``(n,)``, or one for all.
        k: How many are wanted, at least 1.

    Returns:
        Places in increasing order.
    """
    k += int(np.count_nonzero(scores == np.inf))
    if k >= len(scores) or not np.isfinite(np.max(errors, initial=0)):
        return np.flatnonzero(scores != -np.inf)
    if np.ndim(errors):
        surely = _kth_best(scores - errors, k)
        return np.flatnonzero((scores + errors >= surely) & (scores != -np.inf))
    border = max(_kth_best(scores, k) - 2 * errors, np.finfo(np.float32).min)
    return np.flatnonzero(scores >= border)


def _kth_best(scores: NDArray[np.float32], k: int) -> np.float32:
    """Give the k-th highest score, looking closely only where high ones are."""
    width = len(scores) // (PEAKS_PER_RESULT * k)
    if width > 1:
        whole = len(scores) // width * width
        peaks = scores[:whole].reshape(-1, width).max(axis=1)
        floor = np.partition(peaks, len(peaks) - k)[len(peaks) - k]
        scores = scores[scores >= floor]  # at least k of them: one in each of k stretches
    best: np.float32 = np.partition(scores, len(scores) - k)[len(scores) - k]
    return best
