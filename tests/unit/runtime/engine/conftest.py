"""Tiny encoders with random weights, as the files of real models would hold them."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.runtime import native
from nearfield.runtime.architectures import read_encoder

NORMS = ("LayerNorm", "layer_norm")


def shapes(config):
    """Give every tensor's shape by name, for a BERT-like configuration."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    mpnet = config["model_type"] == "mpnet"
    part = "attention.attn." if mpnet else "attention.self."
    q, k, v = ("q", "k", "v") if mpnet else ("query", "key", "value")
    linears = {
        part + q: (hidden, hidden),
        part + k: (hidden, hidden),
        part + v: (hidden, hidden),
        "attention.attn.o" if mpnet else "attention.output.dense": (hidden, hidden),
        "intermediate.dense": (inner, hidden),
        "output.dense": (hidden, inner),
    }
    norms = ("attention.LayerNorm" if mpnet else "attention.output.LayerNorm", "output.LayerNorm")
    names = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    if mpnet:
        names["encoder.relative_attention_bias.weight"] = (32, config["num_attention_heads"])
    else:
        names["embeddings.token_type_embeddings.weight"] = (2, hidden)
    for number in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{number}."
        for name, shape in linears.items():
            names[f"{at}{name}.weight"] = shape
            names[f"{at}{name}.bias"] = shape[:1]
        for name in norms:
            names[f"{at}{name}.weight"] = names[f"{at}{name}.bias"] = (hidden,)
    return names


def tiny_config(**changes):
    """Give the configuration of a small BERT, changed as asked."""
    return {
        "model_type": "bert",
        "vocab_size": 97,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 300,
    } | changes


def random_tensors(config, seed=0):
    """Give random weights, of the sizes trained models have."""
    rng = np.random.default_rng(seed)

    def values(name, shape):
        if "LayerNorm" in name:
            centre = 1.0 if name.endswith("weight") else 0.0
            return centre + 0.1 * rng.standard_normal(shape)
        return rng.standard_normal(shape) * 0.1

    return {name: values(name, s).astype(np.float32) for name, s in shapes(config).items()}


@pytest.fixture
def make_encoder():
    """Make a tiny encoder: configuration entries by keyword, weights from a seed."""

    def make(seed=0, **changes):
        config = tiny_config(**changes)
        return read_encoder(config, random_tensors(config, seed))

    return make


@pytest.fixture
def make_tensors():
    """Make a configuration and its random tensors."""

    def make(seed=0, **changes):
        config = tiny_config(**changes)
        return config, random_tensors(config, seed)

    return make


@pytest.fixture
def some_texts():
    """Give token ids of texts from one token to a few hundred, in no order."""
    rng = np.random.default_rng(7)
    lengths = [1, 2, 5, 11, 12, 13, 17, 31, 64, 150, 4, 33]
    return [rng.integers(2, 97, length).tolist() for length in lengths]


@pytest.fixture(params=native.instruction_sets())
def isa(request):
    """Run the test on every kernel set that this processor has."""
    native.select_isa(request.param)
    yield request.param
    native.select_isa(None)


def is_int8(name):
    """Say whether a kernel set multiplies numbers of 8 bits."""
    return name.endswith(native.INT8_SETS)


@pytest.fixture(params=[name for name in native.instruction_sets() if not is_int8(name)])
def exact_isa(request):
    """Run the test on every kernel set whose vectors are those of float32."""
    native.select_isa(request.param)
    yield request.param
    native.select_isa(None)


@pytest.fixture(params=[name for name in native.instruction_sets() if is_int8(name)])
def int8_isa(request):
    """Run the test on every kernel set with products of 8 bits."""
    native.select_isa(request.param)
    yield request.param
    native.select_isa(None)
