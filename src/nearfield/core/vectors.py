"""The mathematics of vectors: checking, normalising, comparing, choosing the best.

Vectors are C-contiguous ``float32`` arrays of shape ``(n, dim)``. Scores are
higher-is-better under every metric.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from nearfield.errors import ConfigError, DimensionMismatchError, InvalidVectorsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """A matrix of vectors, ``(n, dim)`` float32, C-contiguous."""
    Vector = NDArray[np.float32]
    """One vector, ``(dim,)`` float32."""
else:
    from nearfield.core.arrays import np


def __getattr__(name: str) -> object:
    """Give the array types at run time too, without numpy until then."""
    if name in ("Vector", "Vectors"):
        from numpy.typing import NDArray  # noqa: PLC0415

        return NDArray[np.float32]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


class SimilarityMode(str, Enum):
    """How two vectors are compared."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot_product"
    EUCLIDEAN = "euclidean"

    # The names LlamaIndex's users write.
    DEFAULT = "cosine"  # noqa: PIE796 - an alias on purpose

    @classmethod
    def _missing_(cls, value: object) -> SimilarityMode:
        spelled = {"dot": cls.DOT_PRODUCT, "l2": cls.EUCLIDEAN}.get(str(value).lower())
        if spelled is None:
            known = ", ".join(repr(mode.value) for mode in cls)
            message = f"Unknown similarity {value!r}. Choose one of {known}."
            raise ConfigError(message)
        return spelled


def as_matrix(values: Any, *, rows: int | None = None, dim: int | None = None) -> Vectors:
    """Give numbers of any shape of container as a checked matrix.

    Args:
        values: An array, a list of lists, or a list of arrays; one row per vector.
        rows: How many rows there must be.
        dim: How long each row must be.

    Returns:
        ``(n, dim)`` float32, C-contiguous; ``values`` itself when it is so already.

    Raises:
        InvalidVectorsError: The rows are ragged, of the wrong count or length, or
            hold no number, or something that is not a finite one. The message names the
            first such row.
    """
    try:
        matrix = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        message = "The vectors are not rows of numbers of one length. Check the model's output."
        raise InvalidVectorsError(message) from error
    if matrix.size == 0 and matrix.ndim < 2:  # noqa: PLR2004 - a matrix has two axes
        matrix = np.zeros((0, dim or 0), np.float32)
    if matrix.ndim != 2:  # noqa: PLR2004
        message = f"Expected a matrix of vectors, got an array of shape {matrix.shape}."
        raise InvalidVectorsError(message)
    if len(matrix) and not matrix.shape[1]:
        message = "The vectors hold no numbers at all. Check the model's output."
        raise InvalidVectorsError(message)
    if rows is not None and len(matrix) != rows:
        message = f"The model returned {len(matrix)} vectors for {rows} texts."
        raise InvalidVectorsError(message)
    if dim is not None and len(matrix) and matrix.shape[1] != dim:
        length = matrix.shape[1]
        message = f"The model returned vectors of {length} numbers where {dim} were expected."
        raise InvalidVectorsError(message)
    bad = first_non_finite(matrix)
    if bad is not None:
        message = f"Vector {bad} holds NaN or infinity."
        raise InvalidVectorsError(message)
    return matrix


def first_non_finite(matrix: Vectors) -> int | None:
    """Find the first row that holds NaN or infinity.

    Args:
        matrix: ``(n, dim)`` float32.

    Returns:
        The row's number from 0, or ``None`` when all are finite.
    """
    # One pass without a boolean copy of the matrix: a sum is finite only if all
    # terms are, save for an overflow, which the second, exact pass rules out.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(matrix.sum(dtype=np.float64)):
            return None
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    return int(bad[0]) if len(bad) else None


def normalize(matrix: Vectors) -> Vectors:
    """Scale every row to length 1; a row of zeros stays zeros.

    Args:
        matrix: ``(n, dim)`` float32; not changed.

    Returns:
        A new ``(n, dim)`` float32 matrix.
    """
    scale = np.abs(matrix).max(axis=1, keepdims=True, initial=0)
    safe = matrix / np.where(scale > 0, scale, 1)  # keeps the squares within range
    norms = np.sqrt(np.einsum("ij,ij->i", safe, safe))[:, None]
    return np.ascontiguousarray(safe / np.where(norms > 0, norms, 1), dtype=np.float32)


def similarity(
    left: Any, right: Any, mode: SimilarityMode | str = SimilarityMode.COSINE
) -> NDArray[np.float32]:
    """Compare every row of one matrix with every row of another.

    Args:
        left: ``(n, dim)`` or ``(dim,)`` numbers.
        right: ``(m, dim)`` or ``(dim,)`` numbers.
        mode: Cosine (−1..1, 0 for a vector of zeros), dot product, or minus the
            Euclidean distance (≤ 0). Higher is always nearer.

    Returns:
        ``(n, m)`` float32.

    Raises:
        DimensionMismatchError: The rows of the two differ in length.
        InvalidVectorsError: A number is not finite.
    """
    a, b = (as_matrix(np.atleast_2d(np.asarray(side, np.float32))) for side in (left, right))
    if a.shape[1] != b.shape[1]:
        message = (
            f"Cannot compare vectors of {a.shape[1]} numbers with vectors of {b.shape[1]}. "
            "Embed both with the same model."
        )
        raise DimensionMismatchError(message)
    mode = SimilarityMode(mode)
    if mode is SimilarityMode.COSINE:
        return normalize(a) @ normalize(b).T
    if mode is SimilarityMode.DOT_PRODUCT:
        return a @ b.T
    return minus_distance(a, b)


def minus_distance(queries: Vectors, matrix: Vectors) -> NDArray[np.float32]:
    """Give minus the Euclidean distance between all pairs of rows.

    The product form ``|a|² − 2ab + |b|²`` is one matrix product, but loses the
    small distances to cancellation, so it is summed in float64.

    Args:
        queries: ``(q, dim)`` float32.
        matrix: ``(n, dim)`` float32.

    Returns:
        ``(q, n)`` float32, all ≤ 0.
    """
    a, b = queries.astype(np.float64), matrix.astype(np.float64)
    squares = np.einsum("ij,ij->i", a, a)[:, None] - 2 * (a @ b.T) + np.einsum("ij,ij->i", b, b)
    scores: NDArray[np.float32] = -np.sqrt(np.maximum(squares, 0)).astype(np.float32)
    return scores


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Choose the k best of each row, best first; equal scores keep their order.

    Args:
        scores: ``(q, n)`` or ``(n,)``, higher is better.
        k: How many, at least 1; fewer come back when ``n`` is less.

    Returns:
        Column numbers, ``(q, min(k, n))`` or ``(min(k, n),)``.

    Raises:
        ConfigError: ``k`` is not a positive whole number.
    """
    check_top_k(k)
    if scores.ndim == 1:
        best: NDArray[np.intp] = top_k(scores[None], k)[0]
        return best
    if not len(scores):
        return np.zeros((0, min(k, scores.shape[1])), np.intp)
    return np.stack([_top_k_of_row(row, k) for row in scores])


def check_top_k(k: int) -> None:
    """Refuse a number of results that makes no sense.

    Args:
        k: The number asked for.

    Raises:
        ConfigError: ``k`` is not a positive whole number.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        message = f"top_k must be a whole number of at least 1, not {k!r}."
        raise ConfigError(message)


def _top_k_of_row(row: NDArray[Any], k: int) -> NDArray[np.intp]:
    if k >= len(row):
        return np.argsort(-row, kind="stable")
    # argpartition alone is not stable among equals at the border: take all that
    # reach the k-th score, then sort those few stably.
    border = np.partition(row, len(row) - k)[len(row) - k]
    candidates = np.flatnonzero(row >= border)
    return candidates[np.argsort(-row[candidates], kind="stable")][:k]


def mean_vector(matrix: Vectors) -> Sequence[float]:
    """Give the mean of the rows as a list.

    Args:
        matrix: ``(n, dim)`` float32, n ≥ 1.

    Returns:
        ``dim`` floats.
    """
    mean: list[float] = matrix.mean(axis=0, dtype=np.float64).astype(np.float32).tolist()
    return mean
