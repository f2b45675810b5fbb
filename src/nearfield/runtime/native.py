"""The native engine: an encoder and its head behind one call, in C or in numpy.

::

    encoder = read_encoder(config, tensors, release=...)      # runtime/architectures.py
    head = Head(pooling=(Pooling.MEAN,), normalize=True)      # runtime/pooling.py
    engine = NativeEngine(encoder, head, threads=None)
    engine.encode([[101, 7592, 102], ...], prompt_tokens=0, threads=None)   # (n, dim) float32
    engine.states([[101, 7592, 102], ...])                    # per text (tokens, hidden) float32
    engine.dim, engine.name, engine_facts()

The compiled part, its number formats and its promises: docs/native-engine.md.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from nearfield.core.settings import available_cores
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.packing import PackedTexts
from nearfield.runtime.pooling import Activation, Dense, Head, Pooling, apply_head
from nearfield.runtime.reference import token_states

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.encoder import Encoder, Layer, Linear, Matrix

__all__ = ["Activation", "Dense", "Head", "NativeEngine", "Pooling", "engine_facts", "select_isa"]

REFERENCE: Final = "numpy reference"
INT8_SETS: Final = "-int8"
"""Ends the names of kernel sets with products of 8 bits, which run only where asked for."""
# As the C side numbers them.
_ACTIVATIONS: Final = {"gelu": 1, "gelu_tanh": 2, "relu": 3}
_POOLINGS: Final = tuple(Pooling)
_HEAD_ACTIVATIONS: Final = tuple(Activation)


def _load() -> ModuleType | None:
    try:
        return import_module("nearfield.runtime._native._engine")
    except ImportError:
        return None


_engine = _load()
_chosen: str | None = None
_warned = False


def instruction_sets() -> tuple[str, ...]:
    """Name the compiled kernel sets this processor can run, best first."""
    return tuple(_engine.kernels()) if _engine is not None else ()


def select_isa(name: str | None) -> None:
    """Use one kernel set for the engines made from now on; for tests and measurements.

    Args:
        name: One of :func:`instruction_sets`, or ``None`` for the best.

    Raises:
        ConfigError: This processor cannot run it.
    """
    global _chosen  # noqa: PLW0603 - the one switch of this module
    if name is not None and name not in instruction_sets():
        known = ", ".join(instruction_sets()) or "none: the engine is not compiled"
        message = f"No kernels {name!r} here. There are: {known}."
        raise ConfigError(message)
    _chosen = name


def instruction_set(dtype: Literal["float32", "int8"] = "float32") -> str:
    """Name the kernel set in use.

    Args:
        dtype: What is asked of the vectors; ``"int8"`` allows products of 8 bits, which
            a processor has that multiplies them faster.
    """
    allowed = (name for name in instruction_sets() if _allows(dtype, name))
    return _chosen or next(allowed, REFERENCE)


def engine_facts() -> dict[str, Any]:
    """Say what runs the native engine on this machine.

    Returns:
        ``compiled`` (bool), ``instruction_set`` (in use), ``instruction_set_int8`` (where
        ``dtype="int8"`` is asked for), ``available`` (all that this processor can run, best
        first), ``threads`` (used when none are asked for).
    """
    return {
        "compiled": _engine is not None,
        "instruction_set": instruction_set(),
        "instruction_set_int8": instruction_set("int8"),
        "available": instruction_sets(),
        "threads": available_cores(),
    }


class NativeEngine:
    """An encoder ready to turn token ids into vectors.

    The same text gives the same bits in any batch and at any number of threads.

    Args:
        encoder: The model's sizes and weights. The table of words is used where it
            lies; all else is copied, so a mapped file may be given back.
        head: What follows the encoder.
        threads: How many threads a call uses; all available cores when not given.
        dtype: ``"int8"`` lets products be of 7 to 8 bits where this processor is faster with
            them: cosine to the exact vectors about 0.997.

    Raises:
        ConfigError: The head does not fit the encoder, or ``threads`` is below 1.
        ModelLoadError: A weight is NaN or infinite, or a layer is not as configured.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        *,
        threads: int | None = None,
        dtype: Literal["float32", "int8"] = "float32",
    ) -> None:
        self.dim = head.dim(encoder.hidden)
        self._encoder = encoder
        self._head = head
        self._threads = _checked_threads(threads)
        self._isa = instruction_set(dtype)
        self._model: Any = None
        if _engine is None:
            _warn_once()
            return
        self._model = _build(_engine, self._isa, encoder, self._threads)
        self._compiled_head = _build_head(_engine, head, encoder.hidden, self.dim)

    @property
    def name(self) -> str:
        """What computes, such as ``"native avx2"``."""
        return REFERENCE if self._model is None else f"native {self._isa}"

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        token_types: Sequence[Sequence[int]] | None = None,
        prompt_tokens: int = 0,
        threads: int | None = None,
    ) -> Vectors:
        """Compute the vectors of texts.

        Args:
            token_ids: For each text its token ids, special ones included. A text of no
                tokens gives zeros.
            token_types: For each text the type of each token; all 0 when not given.
            prompt_tokens: How many leading tokens of each text are the prompt's.
            threads: How many threads this call uses; the engine's own number otherwise.

        Returns:
            ``(n, dim)`` float32, in order. A text that meets NaN gives NaN.

        Raises:
            ConfigError: An id or a type is not one of the model's, a text has more tokens than
                the model has positions, or ``threads`` is below 1.
        """
        texts = PackedTexts(self._encoder, token_ids, token_types)
        threads = self._threads if threads is None else _checked_threads(threads)
        vectors = np.zeros((len(texts.lengths), self.dim), np.float32)
        if self._model is None:
            for row, states in enumerate(self._reference_states(texts)):
                if len(states):
                    vectors[row] = apply_head(states, self._head, prompt_tokens=prompt_tokens)
            return vectors
        skip = 0 if self._head.include_prompt else prompt_tokens
        # Longest first: what is left for the end is small, and the threads end together.
        order = np.argsort(-texts.lengths, kind="stable")
        self._run(texts.reordered(order), self._compiled_head, skip, threads, vectors)
        vectors[order] = vectors.copy()
        return vectors

    def states(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        token_types: Sequence[Sequence[int]] | None = None,
        threads: int | None = None,
    ) -> list[Vectors]:
        """Compute the last layer's states of every token of texts.

        Args:
            token_ids: For each text its token ids, special ones included.
            token_types: For each text the type of each token; all 0 when not given.
            threads: How many threads this call uses; the engine's own number otherwise.

        Returns:
            For each text ``(tokens, hidden)`` float32.

        Raises:
            ConfigError: As for :meth:`encode`, or a type is not one of the model's.
        """
        texts = PackedTexts(self._encoder, token_ids, token_types)
        threads = self._threads if threads is None else _checked_threads(threads)
        if self._model is None:
            return list(self._reference_states(texts))
        states = np.empty((len(texts.ids), self._encoder.hidden), np.float32)
        self._run(texts, None, 0, threads, states)
        return texts.split(states)

    def _reference_states(self, texts: PackedTexts) -> Iterator[Vectors]:
        types = [None] * len(texts.lengths) if texts.types is None else texts.split(texts.types)
        for ids, kinds in zip(texts.split(texts.ids), types, strict=True):
            if len(ids):
                yield token_states(self._encoder, ids, token_types=kinds)
            else:
                yield np.zeros((0, self._encoder.hidden), np.float32)

    def _run(self, texts: PackedTexts, head: Any, skip: int, threads: int, out: Vectors) -> None:
        assert _engine is not None  # noqa: S101 - there is a model, so there is an engine
        _engine.encode(
            self._model, head, texts.ids, texts.positions, texts.types, texts.lengths,
            skip, threads, out,
        )  # fmt: skip


def _allows(dtype: str, name: str) -> bool:
    return dtype == "int8" or not name.endswith(INT8_SETS)


def _build(engine: ModuleType, isa: str, encoder: Encoder, threads: int) -> Any:
    words = _plain(encoder.words)
    model = engine.model(
        isa, encoder.hidden, encoder.heads, encoder.intermediate, len(encoder.layers),
        _ACTIVATIONS[encoder.activation], encoder.epsilon, *words, _floats(encoder.positions),
        None if encoder.types is None else _floats(encoder.types),
        _floats(encoder.embedding_norm.weight), _floats(encoder.embedding_norm.bias),
        encoder.bias_by_distance(encoder.max_tokens - 1),
    )  # fmt: skip
    for number, layer in enumerate(encoder.layers):
        try:
            engine.add_layer(model, *_layer_parts(layer), threads)
        except ValueError as error:
            message = f"Layer {number} cannot be used: {error}. Fetch the model's files again."
            raise ModelLoadError(message) from error
        if encoder.release is not None:
            encoder.release()
    return model


def _layer_parts(layer: Layer) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    linears: tuple[Linear, ...] = (
        layer.query, layer.key, layer.value, layer.attention_output, layer.inner, layer.outer,
    )  # fmt: skip
    norms = (layer.attention_norm, layer.output_norm)
    return (
        tuple((*_plain(part.weight), _floats(part.bias)) for part in linears),
        tuple(_floats(values) for norm in norms for values in (norm.weight, norm.bias)),
    )


def _plain(matrix: Matrix) -> tuple[NDArray[Any], NDArray[Any] | None]:
    scale = None if matrix.scale is None else _floats(matrix.scale)
    return np.ascontiguousarray(matrix.rows), scale


def _floats(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _build_head(engine: ModuleType, head: Head, hidden: int, dim: int) -> Any:
    dense = tuple(
        (
            _floats(part.weight.T),
            _floats(np.zeros(len(part.weight)) if part.bias is None else part.bias),
            _HEAD_ACTIVATIONS.index(part.activation),
        )
        for part in head.dense
    )
    poolings = tuple(_POOLINGS.index(way) for way in head.pooling)
    return engine.head(hidden, poolings, dense, dim, head.normalize)


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        return available_cores()
    if threads < 1:
        message = f"threads must be at least 1, not {threads}."
        raise ConfigError(message)
    return threads


def _warn_once() -> None:
    global _warned  # noqa: PLW0603 - once a process
    if not _warned:
        _warned = True
        warnings.warn(
            "The compiled engine is not there: local models run in numpy, many times slower. "
            "Install a C compiler and Python's headers (Debian: apt install gcc python3-dev) "
            "and install nearfield again.",
            stacklevel=3,
        )
