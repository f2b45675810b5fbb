"""Pooling and heads, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.errors import ConfigError
from nearfield.runtime.pooling import Activation, Dense, Head, Pooling, apply_head, pool

STATES = np.array([[1, 8], [3, 2], [5, 5]], np.float32)


@pytest.mark.parametrize(
    ("way", "whole", "without_first"),
    [
        (Pooling.CLS, [1, 8], [1, 8]),
        (Pooling.MEAN, [3, 5], [4, 3.5]),
        (Pooling.MAX, [5, 8], [5, 5]),
        (Pooling.MEAN_SQRT_LEN, [9 / 3**0.5, 15 / 3**0.5], [8 / 2**0.5, 7 / 2**0.5]),
        (Pooling.WEIGHTED_MEAN, [22 / 6, 27 / 6], [21 / 5, 19 / 5]),
        (Pooling.LAST_TOKEN, [5, 5], [5, 5]),
    ],
)
def test_each_way_follows_its_definition(way, whole, without_first):
    np.testing.assert_allclose(pool(STATES, way), whole, rtol=1e-6)
    np.testing.assert_allclose(pool(STATES, way, skip=1), without_first, rtol=1e-6)


def test_nothing_left_to_pool_gives_zeros():
    assert pool(STATES, Pooling.MEAN, skip=3).tolist() == [0, 0]


def test_several_ways_are_joined_and_the_vector_has_length_one():
    head = Head((Pooling.CLS, Pooling.LAST_TOKEN))
    vector = apply_head(STATES, head)
    np.testing.assert_allclose(vector, np.array([1, 8, 5, 5]) / np.sqrt(115), rtol=1e-6)
    assert head.dim(2) == 4


def test_a_cut_vector_is_normalised_after_the_cut():
    vector = apply_head(STATES, Head((Pooling.CLS, Pooling.LAST_TOKEN), truncate_dim=2))
    np.testing.assert_allclose(vector, np.array([1, 8]) / np.sqrt(65), rtol=1e-6)


def test_a_vector_of_zeros_stays_zeros():
    assert apply_head(np.zeros((2, 3), np.float32), Head()).tolist() == [0, 0, 0]


def test_a_prompt_can_be_left_out():
    head = Head(normalize=False, include_prompt=False)
    np.testing.assert_allclose(apply_head(STATES, head, prompt_tokens=1), [4, 3.5])
    np.testing.assert_allclose(apply_head(STATES, Head(normalize=False), prompt_tokens=1), [3, 5])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.IDENTITY, [-4, 6]),
        (Activation.TANH, np.tanh([-4, 6])),
        (Activation.RELU, [0, 6]),
        (Activation.SIGMOID, [1 / (1 + np.exp(4)), 1 / (1 + np.exp(-6))]),
        (Activation.GELU, [-4 * 3.167124e-05, 6]),
    ],
)
def test_a_dense_head_multiplies_adds_and_activates(activation, expected):
    dense = Dense(
        np.array([[-1, 0], [1, 0]], np.float32), np.array([-1, 3], np.float32), activation
    )
    vector = apply_head(STATES, Head(normalize=False, dense=(dense,)))
    np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        Head(()),
        Head(truncate_dim=0),
        Head(truncate_dim=3),
        Head(dense=(Dense(np.zeros((2, 3), np.float32)),)),
        Head(dense=(Dense(np.zeros((2, 2), np.float32), np.zeros(3, np.float32)),)),
    ],
)
def test_a_head_that_does_not_fit_is_refused(head):
    with pytest.raises(ConfigError):
        head.dim(2)
