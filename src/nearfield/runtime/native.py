"""The native engine: an encoder and its head behind one call, in C or in numpy.

::

    encoder = read_encoder(config, tensors, release=...)      # runtime/architectures.py
    head = Head(pooling=(Pooling.MEAN,), normalize=True)      # runtime/pooling.py
    engine = NativeEngine(encoder, head, threads=None)
    engine.encode([[101, 7592, 102], ...], prompt_tokens=0, threads=None)   # (n, dim) float32
    engine.states([[101, 7592, 102], ...])                    # per text (tokens, hidden) float32
    engine.dim, engine.name, engine_facts()
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.errors import ConfigError
from nearfield.runtime.pooling import Activation, Dense, Head, Pooling, apply_head
from nearfield.runtime.reference import token_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.architectures import Encoder

__all__ = [
    "Activation",
    "Dense",
    "Head",
    "NativeEngine",
    "Pooling",
    "engine_facts",
]


def available_cores() -> int:
    """Give the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def engine_facts() -> dict[str, Any]:
    """Say what runs the native engine on this machine.

    Returns:
        ``compiled`` (bool), ``instruction_set`` (in use), ``available`` (all that this
        processor can run, best first), ``threads`` (used when none are asked for).
    """
    return {
        "compiled": False,
        "instruction_set": "numpy reference",
        "available": (),
        "threads": available_cores(),
    }


class NativeEngine:
    """An encoder ready to turn token ids into vectors.

    Args:
        encoder: The model's sizes and weights.
        head: What follows the encoder.
        threads: How many threads a call uses; all available cores when not given.

    Raises:
        ConfigError: The head does not fit the encoder, or ``threads`` is below 1.
    """

    def __init__(self, encoder: Encoder, head: Head, *, threads: int | None = None) -> None:
        self.dim = head.dim(encoder.hidden)
        self.name = "numpy reference"
        self._encoder = encoder
        self._head = head
        self._threads = threads

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        prompt_tokens: int = 0,
        threads: int | None = None,
    ) -> Vectors:
        """Compute the vectors of texts.

        Args:
            token_ids: For each text its token ids, special ones included.
            prompt_tokens: How many leading tokens of each text are the prompt's.
            threads: How many threads to use for this call.

        Returns:
            ``(n, dim)`` float32, in order.

        Raises:
            ConfigError: An id is outside the vocabulary, or a text is too long.
        """
        vectors = np.zeros((len(token_ids), self.dim), np.float32)
        for row, ids in enumerate(token_ids):
            states = token_states(self._encoder, ids)
            vectors[row] = apply_head(states, self._head, prompt_tokens=prompt_tokens)
        return vectors
