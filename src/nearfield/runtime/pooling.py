"""From the states of a text's tokens to the vector of the text.

The definitions are those of sentence-transformers' Pooling module, written for
one text at a time: without padding there is no mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from nearfield.errors import ConfigError
from nearfield.runtime.reference import gelu

if TYPE_CHECKING:
    from nearfield.core.vectors import Vector, Vectors


class Pooling(str, Enum):
    """How token states become one vector; the values are the names model folders use."""

    CLS = "cls"
    MEAN = "mean"
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"
    LAST_TOKEN = "lasttoken"  # noqa: S105 - a place in the text, no secret


class Activation(str, Enum):
    """What a dense head applies after its matrix."""

    IDENTITY = "identity"
    TANH = "tanh"
    RELU = "relu"
    SIGMOID = "sigmoid"
    GELU = "gelu"


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense head after pooling: ``activation(W v + b)``.

    Args:
        weight: ``(outputs, inputs)`` float32.
        bias: ``(outputs,)`` float32, or ``None``.
        activation: What is applied to the result.
    """

    weight: Vectors
    bias: Vector | None = None
    activation: Activation = Activation.IDENTITY


@dataclass(frozen=True)
class Head:
    """All that follows the encoder: pooling, dense heads, cutting, normalising.

    Args:
        pooling: One or more ways; several are joined end to end.
        normalize: Whether the vector is scaled to length 1, last of all.
        dense: Dense heads, in order.
        truncate_dim: Keep only so many leading numbers, or ``None`` for all.
        include_prompt: Whether a prompt's tokens take part in the pooling.
    """

    pooling: tuple[Pooling, ...] = (Pooling.MEAN,)
    normalize: bool = True
    dense: tuple[Dense, ...] = ()
    truncate_dim: int | None = None
    include_prompt: bool = True

    def dim(self, hidden: int) -> int:
        """Give the length of the vectors, and check that the parts fit together.

        Args:
            hidden: Width of a token's state.

        Raises:
            ConfigError: No pooling is named, a dense head does not fit, or
                ``truncate_dim`` is not within the vector.
        """
        if not self.pooling:
            message = "No pooling is named. Name at least one, such as Pooling.MEAN."
            raise ConfigError(message)
        width = hidden * len(self.pooling)
        for number, dense in enumerate(self.dense):
            outputs, inputs = dense.weight.shape
            if inputs != width or (dense.bias is not None and dense.bias.shape != (outputs,)):
                message = (
                    f"Dense head {number} takes {inputs} numbers where {width} come in, or its "
                    "bias does not fit. The model's modules do not belong together."
                )
                raise ConfigError(message)
            width = outputs
        return kept_dim(self.truncate_dim, width)


def kept_dim(truncate_dim: int | None, width: int) -> int:
    """Give how many numbers of a vector are kept.

    Args:
        truncate_dim: How many are asked for; ``None`` for all.
        width: How many there are.

    Raises:
        ConfigError: ``truncate_dim`` is not within the vector.
    """
    if truncate_dim is None:
        return width
    if not 1 <= truncate_dim <= width:
        message = f"truncate_dim must be from 1 to {width}, not {truncate_dim}."
        raise ConfigError(message)
    return truncate_dim


def pool(states: Vectors, pooling: Pooling, *, skip: int = 0) -> Vector:
    """Reduce the token states of one text to one vector.

    Args:
        states: ``(tokens, hidden)`` float32.
        pooling: The way.
        skip: How many leading tokens, a prompt, to leave out. CLS is the first token
            all the same, and a weighted mean counts positions from the text's start.

    Returns:
        ``(hidden,)`` float32; zeros when no token is left.
    """
    kept = states if pooling is Pooling.CLS else states[skip:]
    vector: Vector
    if not len(kept):
        vector = np.zeros(states.shape[1], np.float32)
    elif pooling is Pooling.CLS:
        vector = kept[0]
    elif pooling is Pooling.LAST_TOKEN:
        vector = kept[-1]
    elif pooling is Pooling.MAX:
        vector = kept.max(axis=0)
    elif pooling is Pooling.WEIGHTED_MEAN:
        weights = np.arange(skip + 1, len(states) + 1, dtype=np.float32)
        vector = weights @ kept / weights.sum()
    else:
        divisor = len(kept) if pooling is Pooling.MEAN else np.sqrt(len(kept))
        vector = (kept.sum(axis=0) / divisor).astype(np.float32)
    return vector


def apply_head(states: Vectors, head: Head, *, prompt_tokens: int = 0) -> Vector:
    """Turn the token states of one text into its finished vector.

    Args:
        states: ``(tokens, hidden)`` float32.
        head: What follows the encoder.
        prompt_tokens: How many leading tokens are the prompt's.

    Returns:
        ``(dim,)`` float32.
    """
    skip = 0 if head.include_prompt else prompt_tokens
    vector = np.concatenate([pool(states, way, skip=skip) for way in head.pooling])
    for dense in head.dense:
        vector = dense.weight @ vector
        if dense.bias is not None:
            vector = vector + dense.bias
        vector = activate(vector, dense.activation)
    vector = vector[: head.truncate_dim]
    if head.normalize:
        norm = np.sqrt(vector @ vector)
        vector = vector / norm if norm != 0 else vector
    return np.ascontiguousarray(vector, dtype=np.float32)


def activate(values: Vector, activation: Activation) -> Vector:
    """Apply a dense head's activation.

    Args:
        values: Any shape, float32.
        activation: Which one.
    """
    result = values
    if activation is Activation.TANH:
        result = np.tanh(values)
    elif activation is Activation.RELU:
        result = np.maximum(values, 0)
    elif activation is Activation.SIGMOID:
        with np.errstate(over="ignore"):  # far below zero, 1 / inf is the 0 it should be
            result = (1 / (1 + np.exp(-values))).astype(np.float32)
    elif activation is Activation.GELU:
        result = gelu(values)
    return result
