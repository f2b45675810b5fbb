"""An encoder as the engines see it: sizes and weights, whatever file they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = NDArray[Any]
Floats = NDArray[np.float32]

RELATIVE_BUCKETS: Final = 32
RELATIVE_DISTANCE: Final = 128


@dataclass(frozen=True)
class Matrix:
    """A weight matrix as its file holds it: wide, narrow, or quantised by row.

    Args:
        rows: ``(n, k)`` float32, float64, float16, bfloat16 (as uint16), or int8 or
            int16 with ``scale``.
        scale: ``(n,)`` float32 by which a row of whole numbers is multiplied.
    """

    rows: Array
    scale: Floats | None = None

    def widen(self) -> Floats:
        """Give the weights as ``(n, k)`` float32."""
        return self.gather(slice(None))

    def gather(self, index: Any) -> Floats:
        """Give the chosen rows as float32.

        Args:
            index: Row numbers, or a slice.
        """
        wide = widen(self.rows[index])
        return wide if self.scale is None else wide * self.scale[index][:, None]


@dataclass(frozen=True)
class Linear:
    """``y = x Wᵀ + b``, the weight ``(outputs, inputs)`` and the bias ``(outputs,)``."""

    weight: Matrix
    bias: Floats


@dataclass(frozen=True)
class Norm:
    """The scale and shift of a layer normalisation, ``(hidden,)`` each."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Layer:
    """One transformer layer: attention, norm, perceptron, norm."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    output_norm: Norm


@dataclass(frozen=True, repr=False)
class Encoder:
    """An encoder ready to run: its sizes and its weights.

    Args:
        architecture: ``model_type`` of the configuration.
        hidden: Width of a token's state.
        heads: Attention heads; ``hidden`` is a multiple of it.
        intermediate: Width inside the perceptron.
        activation: ``"gelu"``, ``"gelu_tanh"`` or ``"relu"``.
        epsilon: Added to the variance in layer normalisation.
        padding_id: The id whose tokens are left out when positions are counted
            (RoBERTa's rule), or ``None`` where positions simply count from 0.
        words: ``(vocabulary, hidden)`` table.
        positions: ``(rows, hidden)`` float32 table.
        types: ``(kinds, hidden)`` float32 table of token types, or ``None``.
        embedding_norm: The norm after the sum of the tables.
        layers: The layers, first to last; each is read when asked for.
        relative_bias: ``(32, heads)`` float32, MPNet's bias by distance, or ``None``.
        release: Gives memory-mapped pages of the weights back to the system; called
            after each layer was read. ``None`` when there is nothing to give back.
    """

    architecture: str
    hidden: int
    heads: int
    intermediate: int
    activation: str
    epsilon: float
    padding_id: int | None
    words: Matrix
    positions: Floats
    types: Floats | None
    embedding_norm: Norm
    layers: Sequence[Layer]
    relative_bias: Floats | None = None
    release: Callable[[], None] | None = None

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return int(self.words.rows.shape[0])

    @property
    def first_position(self) -> int:
        """The row of the position table for a text's first token."""
        return 0 if self.padding_id is None else self.padding_id + 1

    @property
    def max_tokens(self) -> int:
        """The most tokens one text may have, special tokens included."""
        return int(self.positions.shape[0]) - self.first_position

    def position_rows(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Number the tokens of one text as its position table wants them.

        Args:
            ids: ``(length,)`` token ids.

        Returns:
            ``(length,)`` rows of the position table.
        """
        if self.padding_id is None:
            return np.arange(len(ids), dtype=np.int32)
        real = ids != self.padding_id
        rows: NDArray[np.int32] = (np.cumsum(real) * real + self.padding_id).astype(np.int32)
        return rows

    def bias_by_distance(self, reach: int) -> Floats | None:
        """Give MPNet's attention bias for every distance of key from query.

        Args:
            reach: The largest distance needed, at least 0.

        Returns:
            ``(heads, 2 * reach + 1)`` float32, for distances −reach … reach, or
            ``None`` for an architecture without such a bias.
        """
        if self.relative_bias is None:
            return None
        buckets = relative_bucket(np.arange(-reach, reach + 1))
        return np.ascontiguousarray(self.relative_bias[buckets].T)


def widen(values: Array) -> Floats:
    """Give numbers as float32; uint16 is read as bfloat16.

    Args:
        values: An array of any numeric type.

    Returns:
        The same shape in float32; ``values`` itself when it is float32 already.
    """
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


def relative_bucket(distance: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Sort distances into buckets, exact when near and logarithmic when far.

    The scheme of T5 (Raffel et al. 2020, https://arxiv.org/abs/1910.10683), both
    directions, 32 buckets, 128 tokens; float32 as in the models' training.

    Args:
        distance: Key position minus query position.

    Returns:
        Bucket numbers, 0 to 31.
    """
    half = RELATIVE_BUCKETS // 2
    exact = half // 2
    size = np.abs(distance)
    ratio = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(exact))
    steps = ratio / np.float32(np.log(RELATIVE_DISTANCE / exact)) * np.float32(half - exact)
    far = np.minimum(exact + steps.astype(np.int64), half - 1)
    bucket: NDArray[np.int64] = np.where(size < exact, size, far) + half * (distance > 0)
    return bucket
