"""The encoder in plain numpy: the specification to read, and the oracle of the tests.

It is also what runs, slowly, where the compiled engine could not be built. One
text at a time, so there is no padding and no mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.runtime.encoder import Encoder, Layer, Linear, Norm

Array = NDArray[Any]


def token_states(
    encoder: Encoder,
    token_ids: Sequence[int] | Array,
    *,
    token_types: Sequence[int] | Array | None = None,
    dtype: type[np.floating[Any]] = np.float32,
) -> Array:
    """Run the encoder over one text.

    Args:
        encoder: The sizes and weights.
        token_ids: Ids of all tokens, special ones included; at least one.
        token_types: A type for each token; 0 for all when not given.
        dtype: The precision of all sums, float32 or float64.

    Returns:
        ``(tokens, hidden)`` of the last layer.
    """
    ids = np.asarray(token_ids, np.int32)
    x = encoder.words.gather(ids).astype(dtype) + encoder.positions[encoder.position_rows(ids)]
    if encoder.types is not None:
        x = (
            x
            + encoder.types[np.zeros_like(ids) if token_types is None else np.asarray(token_types)]
        )
    x = layer_norm(x, encoder.embedding_norm, encoder.epsilon)
    bias = attention_bias(encoder, len(ids))
    for layer in encoder.layers:
        x = layer_norm(
            x + attention(x, layer, encoder.heads, bias), layer.attention_norm, encoder.epsilon
        )
        inner = ACTIVATIONS[encoder.activation](linear(x, layer.inner))
        x = layer_norm(x + linear(inner, layer.outer), layer.output_norm, encoder.epsilon)
    return x


def attention(x: Array, layer: Layer, heads: int, bias: Array | None) -> Array:
    """Softmax(QKᵀ / √head width + bias) V, by head, then the output matrix."""
    query, key, value = (
        linear(x, part).reshape(len(x), heads, -1).transpose(1, 0, 2)
        for part in (layer.query, layer.key, layer.value)
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]).astype(x.dtype)
    if bias is not None:
        scores = scores + bias
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed: Array = weights / weights.sum(axis=-1, keepdims=True) @ value
    return linear(mixed.transpose(1, 0, 2).reshape(x.shape), layer.attention_output)


def attention_bias(encoder: Encoder, length: int) -> Array | None:
    """MPNet's bias of every key on every query, ``(heads, length, length)``, or nothing."""
    by_distance = encoder.bias_by_distance(length - 1)
    if by_distance is None:
        return None
    position = np.arange(length)
    bias: Array = by_distance[:, position[None, :] - position[:, None] + length - 1]
    return bias


def linear(x: Array, part: Linear) -> Array:
    """``x Wᵀ + b``."""
    y: Array = x @ part.weight.widen().T.astype(x.dtype) + part.bias
    return y


def layer_norm(x: Array, norm: Norm, epsilon: float) -> Array:
    """Each row to mean 0 and variance 1, then scaled and shifted."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    y: Array = centred / np.sqrt(variance + epsilon) * norm.weight + norm.bias
    return y


def gelu(x: Array) -> Array:
    """``x Φ(x)``, Φ the normal distribution.

    The error function is formula 7.1.26 of Abramowitz and Stegun, Handbook of
    Mathematical Functions (1964), within 1.5e-7.
    """
    z = np.abs(x) * np.sqrt(0.5).astype(x.dtype)
    t = 1 / (1 + 0.3275911 * z)
    series = (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    erf = 1 - (series + 0.254829592) * t * np.exp(-z * z)
    y: Array = (0.5 * x * (1 + np.copysign(erf, x))).astype(x.dtype)
    return y


def gelu_tanh(x: Array) -> Array:
    """GELU by the hyperbolic tangent (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    u = 0.7978845608028654 * (x + 0.044715 * x**3)
    y: Array = (0.5 * x * (1 + np.tanh(u))).astype(x.dtype)
    return y


def relu(x: Array) -> Array:
    """The positive part."""
    y: Array = np.maximum(x, 0)
    return y


ACTIVATIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh, "relu": relu}
