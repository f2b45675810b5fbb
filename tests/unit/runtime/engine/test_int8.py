"""Products of 8 bits: asked for, exact in their own numbers, and near to float32's vectors."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.runtime import native, reference
from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.native import Head, NativeEngine
from nearfield.runtime.reference import token_states

# Numbers that share a scale, and the largest whole number of an input and of a weight.
ROUNDING = {
    "avx2-int8": (128, 63, 64),
    "avx512-vnni-int8": (384, 127, 127),
    "neon-dotprod-int8": (384, 127, 127),
}
# Heads fill whole panels: the others are spread out, and then blocks begin elsewhere.
SIZES = [
    {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 37},
    {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 160},
    {"hidden_size": 240, "num_attention_heads": 3, "intermediate_size": 288},
    {"hidden_size": 288, "num_attention_heads": 3, "intermediate_size": 416},
]


def rounded(rows, width, most):
    """Round rows to whole numbers of so many steps a block, and give what these stand for."""
    rows, result = rows.astype(np.float32), np.empty(rows.shape)
    for start in range(0, rows.shape[1], width):
        block = rows[:, start : start + width]
        scale = np.abs(block).max(axis=1, keepdims=True) / np.float32(most)
        scale[scale == 0] = 1
        result[:, start : start + width] = np.rint(block * (1 / scale)) * scale.astype(float)
    return result


@pytest.fixture
def in_bytes(int8_isa, monkeypatch):
    """Let numpy's encoder round the factors of its matrix products as the 8-bit set does."""
    width, most_x, most_weight = ROUNDING[int8_isa]

    def linear(x, part):
        weight = rounded(part.weight.widen(), width, most_weight)
        return rounded(x, width, most_x) @ weight.T + part.bias

    monkeypatch.setattr(reference, "linear", linear)


def cosines(left, right):
    left, right = left.astype(float), right.astype(float)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / lengths


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s["hidden_size"]))
@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_states_stay_near_to_those_of_float32(int8_isa, make_encoder, some_texts, sizes, family):
    encoder = make_encoder(model_type=family, **sizes)
    states = np.concatenate(NativeEngine(encoder, Head()).states(some_texts))
    exact = np.concatenate([token_states(encoder, ids) for ids in some_texts])
    assert np.median(cosines(states, exact)) > 0.99
    assert not np.allclose(states, exact, atol=1e-3), "these are not products of 8 bits"


@pytest.mark.parametrize("texts", [1, 2, 3, 90])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s["hidden_size"]))
def test_whole_numbers_are_multiplied_exactly(int8_isa, make_encoder, sizes, texts, in_bytes):
    """Numpy with the same rounding gives the same, but for a number on the edge of a step."""
    encoder = make_encoder(num_hidden_layers=1, **sizes)
    words = [[word] for word in range(2, 2 + texts)]  # alone, for one such edge moves a whole text
    states = np.concatenate(NativeEngine(encoder, Head()).states(words))
    same = np.concatenate([token_states(encoder, ids) for ids in words])
    assert np.quantile(cosines(states, same), 0.2) > 0.999999


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_do_not_overflow(int8_isa, make_tensors, sign, in_bytes):
    """Inputs and weights of one size: every product of 16 bits comes next to its bound."""
    config, tensors = make_tensors(hidden_size=128, num_attention_heads=2, num_hidden_layers=1)
    tensors["embeddings.LayerNorm.weight"][:] = 0.001
    tensors["embeddings.LayerNorm.bias"][:] = 1
    value = "encoder.layer.0.attention.self.value.weight"
    tensors[value][:] = sign
    tensors[value][::3] *= -1
    encoder = read_encoder(config, tensors)
    words = [[word] for word in range(2, 40)]
    states = np.concatenate(NativeEngine(encoder, Head()).states(words))
    same = np.concatenate([token_states(encoder, ids) for ids in words])
    np.testing.assert_allclose(states, same, atol=2e-3)


def test_without_asking_no_set_of_8_bits_is_used():
    assert not native.instruction_set().endswith(native.INT8_SETS)
    assert not native.engine_facts()["instruction_set"].endswith(native.INT8_SETS)


def test_who_asks_gets_the_best_set_there_is(make_encoder):
    best = native.instruction_sets()[0]
    assert native.engine_facts()["instruction_set_int8"] == best
    assert NativeEngine(make_encoder(), Head(), dtype="int8").name == f"native {best}"
