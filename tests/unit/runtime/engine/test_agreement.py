"""Every kernel set of float32's precision against the numpy encoder in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.native import Activation, Dense, Head, NativeEngine, Pooling
from nearfield.runtime.pooling import apply_head
from nearfield.runtime.reference import token_states

SIZES = [
    {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 37},
    {"hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 64},
    {"hidden_size": 20, "num_attention_heads": 5, "intermediate_size": 100},
    {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 256},
    {"hidden_size": 240, "num_attention_heads": 3, "intermediate_size": 64},
    {"hidden_size": 7, "num_attention_heads": 1, "intermediate_size": 1},
    {"hidden_size": 400, "num_attention_heads": 4, "intermediate_size": 800},
]


def worst_cosine(left, right):
    """Give the least cosine between rows of equal number."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return ((left * right).sum(axis=1) / lengths).min()


@pytest.mark.parametrize("family", ["bert", "mpnet", "roberta"])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: str(s["hidden_size"]))
def test_states_agree_at_every_size(exact_isa, make_encoder, some_texts, sizes, family):
    """Sizes that fill no vector evenly are padded; nothing of it shows."""
    encoder = make_encoder(model_type=family, **sizes)
    for ids, states in zip(
        some_texts, NativeEngine(encoder, Head()).states(some_texts), strict=True
    ):
        exact = token_states(encoder, ids, dtype=np.float64)
        assert worst_cosine(states, exact) > 0.99999
        np.testing.assert_allclose(states, exact, atol=1e-2)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_every_activation_agrees(exact_isa, make_encoder, some_texts, activation):
    encoder = make_encoder(hidden_act=activation)
    for ids, states in zip(
        some_texts, NativeEngine(encoder, Head()).states(some_texts), strict=True
    ):
        np.testing.assert_allclose(states, token_states(encoder, ids), atol=5e-3)


HEADS = [
    Head(tuple(Pooling), normalize=False),
    Head((Pooling.MEAN,), truncate_dim=5),
    Head((Pooling.CLS, Pooling.MAX), include_prompt=False),
    Head((Pooling.WEIGHTED_MEAN,), include_prompt=False),
    *(
        Head(
            dense=(
                Dense(np.full((9, 32), 0.1, np.float32) + np.eye(9, 32, dtype=np.float32)),
                Dense(np.eye(40, 9, dtype=np.float32), np.ones(40, np.float32), activation),
            )
        )
        for activation in Activation
    ),
]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_agrees(make_encoder, some_texts, head):
    encoder = make_encoder()
    vectors = NativeEngine(encoder, head).encode(some_texts, prompt_tokens=2)
    assert vectors.shape == (len(some_texts), head.dim(32))
    for ids, vector in zip(some_texts, vectors, strict=True):
        exact = apply_head(token_states(encoder, ids), head, prompt_tokens=2)
        np.testing.assert_allclose(vector, exact, atol=1e-2)


def stored_as(tensors, kind):
    """Give the matrices of a model in a narrower type, as a file would hold them."""
    stored = dict(tensors)
    for name, values in tensors.items():
        if values.ndim != 2 or "position" in name or "token_type" in name:
            continue
        if kind == "bfloat16":
            stored[name] = (values.view(np.uint32) >> 16).astype(np.uint16)
        elif kind in {"int8", "int16"}:
            scale = np.abs(values).max(axis=1) / np.iinfo(kind).max
            stored[name] = np.rint(values / scale[:, None]).astype(kind)
            stored[f"{name}.scale"] = scale.astype(np.float32)
        else:
            stored[name] = values.astype(kind)
    return stored


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "int16", "int8"])
def test_weights_of_every_stored_type_are_read_alike_by_both(make_tensors, some_texts, kind):
    config, tensors = make_tensors()
    encoder = read_encoder(config, stored_as(tensors, kind))
    vectors = NativeEngine(encoder, Head()).encode(some_texts)
    exact = [apply_head(token_states(encoder, ids), Head()) for ids in some_texts]
    assert worst_cosine(vectors, np.stack(exact)) > 0.99999


def test_float16_denormals_and_infinities_are_read(make_tensors):
    """The narrowest numbers of the type take another path than the rest."""
    config, tensors = make_tensors(num_hidden_layers=0)
    words = tensors["embeddings.word_embeddings.weight"]
    words[5] *= 1e-6
    stored = tensors | {"embeddings.word_embeddings.weight": words.astype(np.float16)}
    encoder = read_encoder(config, stored)
    states = NativeEngine(encoder, Head()).states([[5, 6]])[0]
    np.testing.assert_allclose(states, token_states(encoder, [5, 6]), atol=1e-5)


def test_the_longest_rows_of_whole_numbers_do_not_overflow(exact_isa, make_tensors, some_texts):
    """Weights of one size fill the whole range: their sums come nearest to the bound."""
    config, tensors = make_tensors(hidden_size=128, num_attention_heads=2, intermediate_size=512)
    for name, values in tensors.items():
        if name.endswith(("dense.weight", "value.weight")):
            tensors[name] = np.full_like(values, 0.02)
            tensors[name][::2] *= -1
    encoder = read_encoder(config, tensors)
    for ids, states in zip(
        some_texts, NativeEngine(encoder, Head()).states(some_texts), strict=True
    ):
        np.testing.assert_allclose(states, token_states(encoder, ids, dtype=np.float64), atol=5e-3)


def test_the_largest_numbers_of_both_factors_do_not_overflow(exact_isa, make_tensors):
    """The AVX2 set adds an activation to the weight two places on before it multiplies."""
    config, tensors = make_tensors(hidden_size=64, num_attention_heads=2, num_hidden_layers=1)
    for sign in (1, -1):
        tensors["embeddings.LayerNorm.weight"][:] = np.tile([1, 1, 0.01, 0.01], 16)
        tensors["embeddings.LayerNorm.weight"][::8] = 30
        tensors["encoder.layer.0.attention.self.value.weight"][:, 2::8] = sign
        encoder = read_encoder(config, tensors)
        words = [[word] for word in range(2, 40)]  # alone, so that attention has nothing to weigh
        states = np.concatenate(NativeEngine(encoder, Head()).states(words))
        exact = np.concatenate([token_states(encoder, ids, dtype=np.float64) for ids in words])
        np.testing.assert_allclose(states, exact, atol=5e-2)


def test_a_large_number_takes_precision_from_its_own_block_alone(exact_isa, make_tensors):
    """Trained models have such columns; they must not coarsen all the others of a row."""
    config, tensors = make_tensors(hidden_size=768, num_attention_heads=12, num_hidden_layers=1)
    tensors["embeddings.LayerNorm.weight"][700] = 100
    for part in ("self.value", "output.dense"):
        name = f"encoder.layer.0.attention.{part}.weight"
        tensors[name][:, 700] /= 100
    encoder = read_encoder(config, tensors)
    words = [[word] for word in range(2, 40)]  # alone, so that attention has nothing to weigh
    states = np.concatenate(NativeEngine(encoder, Head()).states(words))
    exact = np.concatenate([token_states(encoder, ids, dtype=np.float64) for ids in words])
    others = np.arange(768) != 700
    assert 1 - worst_cosine(states[:, others], exact[:, others]) < 5e-7
