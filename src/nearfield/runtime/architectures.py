"""The encoder architectures we can run, read into one common form.

BERT, RoBERTa, XLM-RoBERTa, DistilBERT and MPNet are one transformer encoder
under different names: post-norm layers of self-attention and a two-layer
perceptron. They differ in how tensors are called, where positions begin, and
in MPNet's bias by relative distance. All of that is settled here, so that the
engines know one shape only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from nearfield.errors import ModelLoadError
from nearfield.runtime.encoder import (
    RELATIVE_BUCKETS,
    Array,
    Encoder,
    Floats,
    Layer,
    Linear,
    Matrix,
    Norm,
    widen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_BERT: Final = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "output_norm": "output.LayerNorm",
}
_MPNET: Final = _BERT | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "attention_output": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
}
_DISTILBERT: Final = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "inner": "ffn.lin1",
    "outer": "ffn.lin2",
    "output_norm": "output_layer_norm",
}
_NAMES: Final = {
    "bert": ("encoder.layer.", _BERT),
    "roberta": ("encoder.layer.", _BERT),
    "xlm-roberta": ("encoder.layer.", _BERT),
    "mpnet": ("encoder.layer.", _MPNET),
    "distilbert": ("transformer.layer.", _DISTILBERT),
}
_ACTIVATIONS: Final = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_DISTILBERT_KEYS: Final = {
    "hidden_size": "dim",
    "num_attention_heads": "n_heads",
    "num_hidden_layers": "n_layers",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Say why a model cannot run on the native engine.

    Args:
        config: The model's ``config.json``.

    Returns:
        The reason in one line, or ``None`` when it can run.
    """
    kind = config.get("model_type")
    if kind not in _NAMES:
        return f"architecture {kind!r} is not one of {', '.join(sorted(_NAMES))}"
    position = config.get("position_embedding_type") or "absolute"
    if position != "absolute":
        return f"position_embedding_type {position!r} is not 'absolute'"
    if config.get("is_decoder") or config.get("add_cross_attention"):
        return "it is configured as a decoder"
    activation = _value(config, "hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        return f"activation {activation!r} is not one of {', '.join(sorted(_ACTIVATIONS))}"
    if config.get("relative_attention_num_buckets", RELATIVE_BUCKETS) != RELATIVE_BUCKETS:
        return f"relative_attention_num_buckets is not {RELATIVE_BUCKETS}"
    hidden, heads = _value(config, "hidden_size", 768), _value(config, "num_attention_heads", 12)
    if heads < 1 or hidden % heads:
        return f"hidden size {hidden} is not a multiple of {heads} attention heads"
    return None


def read_encoder(
    config: Mapping[str, Any],
    tensors: Mapping[str, Array],
    *,
    release: Callable[[], None] | None = None,
) -> Encoder:
    """Read a model's tensors into an encoder; large ones are kept as they are, not copied.

    Args:
        config: The model's ``config.json``.
        tensors: Its arrays by name, as in the file: float32, float64, float16, bfloat16
            as uint16, or int8 and int16 whose row scales stand under ``NAME.scale``.
            Names may carry a prefix such as ``"bert."``.
        release: Gives memory-mapped pages back to the system; may be called often.

    Returns:
        The encoder.

    Raises:
        ModelLoadError: The architecture is not supported, a tensor is missing, or its
            shape contradicts the configuration. For a layer's tensors: when it is read.
    """
    reason = unsupported(config)
    if reason is not None:
        message = f"The native engine cannot run this model: {reason}. Use backend='torch'."
        raise ModelLoadError(message)
    kind = config["model_type"]
    read = _Reader(tensors)
    hidden = int(_value(config, "hidden_size", 768))
    inner = int(_value(config, "intermediate_size", 3072))
    heads = int(_value(config, "num_attention_heads", 12))
    types = "embeddings.token_type_embeddings.weight"
    relative = "encoder.relative_attention_bias.weight"
    epsilon = 1e-12 if kind == "distilbert" else float(config.get("layer_norm_eps", 1e-12))
    return Encoder(
        architecture=kind,
        hidden=hidden,
        heads=heads,
        intermediate=inner,
        activation=_ACTIVATIONS[_value(config, "hidden_act", "gelu")],
        epsilon=epsilon,
        padding_id=_padding_id(kind, config),
        words=read.matrix("embeddings.word_embeddings.weight", None, hidden),
        positions=read.matrix("embeddings.position_embeddings.weight", None, hidden).widen(),
        types=read.matrix(types, None, hidden).widen() if types in read else None,
        embedding_norm=read.norm("embeddings.LayerNorm", hidden),
        layers=_Layers(read, kind, int(_value(config, "num_hidden_layers", 12)), hidden, inner),
        relative_bias=(
            read.matrix(relative, RELATIVE_BUCKETS, heads).widen() if kind == "mpnet" else None
        ),
        release=release,
    )


def _value(config: Mapping[str, Any], key: str, default: Any) -> Any:
    if config.get("model_type") == "distilbert":
        key = _DISTILBERT_KEYS[key]
    return config.get(key, default)


def _padding_id(kind: str, config: Mapping[str, Any]) -> int | None:
    if kind == "mpnet":
        return 1  # fixed in the architecture, whatever the configuration says
    if kind in {"roberta", "xlm-roberta"}:
        return int(config.get("pad_token_id") or 0) if "pad_token_id" in config else 1
    return None


class _Reader:
    """Tensors by their plain names, each checked for its shape."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        anchor = "embeddings.word_embeddings.weight"
        prefixes = [name.removesuffix(anchor) for name in tensors if name.endswith(anchor)]
        self._tensors = tensors
        self._prefix = min(prefixes, key=len, default="")

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def _take(self, name: str, shape: tuple[int | None, ...]) -> Array:
        # The first BERT files call a norm's scale and shift gamma and beta.
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        old = old.replace("LayerNorm.bias", "LayerNorm.beta")
        for known in (self._prefix + name, self._prefix + old):
            if known in self._tensors:
                found = self._tensors[known]
                break
        else:
            message = f"The weights hold no tensor {name!r}. Fetch the model's files again."
            raise ModelLoadError(message)
        fits = len(found.shape) == len(shape) and all(
            want in {None, have} for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits:
            wanted = "x".join("any" if size is None else str(size) for size in shape)
            message = (
                f"Tensor {name!r} has shape {found.shape}, the configuration wants {wanted}. "
                "config.json and the weights are of different models."
            )
            raise ModelLoadError(message)
        return found

    def matrix(self, name: str, rows: int | None, columns: int) -> Matrix:
        values = self._take(name, (rows, columns))
        if values.dtype not in (np.int8, np.int16):
            return Matrix(values)
        return Matrix(values, widen(self._take(f"{name}.scale", (values.shape[0],))))

    def vector(self, name: str, size: int) -> Floats:
        return np.array(widen(self._take(name, (size,))))

    def linear(self, name: str, outputs: int, inputs: int) -> Linear:
        weight = self.matrix(f"{name}.weight", outputs, inputs)
        return Linear(weight, self.vector(f"{name}.bias", outputs))

    def norm(self, name: str, size: int) -> Norm:
        return Norm(self.vector(f"{name}.weight", size), self.vector(f"{name}.bias", size))


class _Layers(Sequence[Layer]):
    """A model's layers, each read when asked for, so that one at a time is in memory."""

    def __init__(self, read: _Reader, kind: str, count: int, hidden: int, inner: int) -> None:
        self._read = read
        self._kind = kind
        self._count = count
        self._hidden = hidden
        self._inner = inner

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> Layer: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Layer]: ...
    def __getitem__(self, number: int | slice) -> Layer | Sequence[Layer]:
        if isinstance(number, slice):
            return [self[i] for i in range(self._count)[number]]
        stem, names = _NAMES[self._kind]
        at = {part: f"{stem}{range(self._count)[number]}.{name}" for part, name in names.items()}
        read, hidden, inner = self._read, self._hidden, self._inner
        return Layer(
            query=read.linear(at["query"], hidden, hidden),
            key=read.linear(at["key"], hidden, hidden),
            value=read.linear(at["value"], hidden, hidden),
            attention_output=read.linear(at["attention_output"], hidden, hidden),
            attention_norm=read.norm(at["attention_norm"], hidden),
            inner=read.linear(at["inner"], inner, hidden),
            outer=read.linear(at["outer"], hidden, inner),
            output_norm=read.norm(at["output_norm"], hidden),
        )
