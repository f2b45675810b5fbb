"""The mathematics of vectors."""

import numpy as np
import pytest

from nearfield.core.vectors import (
    SimilarityMode,
    as_matrix,
    first_non_finite,
    mean_vector,
    minus_distance,
    normalize,
    similarity,
    top_k,
)
from nearfield.errors import ConfigError, DimensionMismatchError, InvalidVectorsError


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("cosine", SimilarityMode.COSINE),
        ("dot", SimilarityMode.DOT_PRODUCT),
        ("dot_product", SimilarityMode.DOT_PRODUCT),
        ("L2", SimilarityMode.EUCLIDEAN),
    ],
)
def test_a_metric_has_several_names(name, mode):
    assert SimilarityMode(name) is mode


def test_an_unknown_metric_names_those_that_exist():
    with pytest.raises(ConfigError, match="'cosine', 'dot_product', 'euclidean'"):
        SimilarityMode("manhattan")


@pytest.mark.parametrize(
    "values",
    [[[1, 2], [3, 4]], (np.array([1, 2]), np.array([3, 4])), np.array([[1, 2], [3, 4]], ">f8")],
)
def test_rows_of_any_kind_become_a_matrix(values):
    matrix = as_matrix(values, rows=2, dim=2)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix.tolist() == [[1, 2], [3, 4]]


def test_a_good_matrix_is_given_back_itself():
    matrix = np.zeros((3, 2), np.float32)
    assert as_matrix(matrix) is matrix


def test_no_rows_are_a_matrix_too():
    assert as_matrix([], dim=5).shape == (0, 5)


@pytest.mark.parametrize(
    ("values", "expected", "reason"),
    [
        ([[1, 2], [3]], {}, "one length"),
        (["a"], {}, "numbers"),
        ([1.0, 2.0], {}, "shape"),
        ([[1, 2]], {"rows": 2}, "1 vectors for 2 texts"),
        ([[1, 2]], {"dim": 3}, "2 numbers where 3"),
        ([[1, 2], [np.nan, 0]], {}, "Vector 1"),
        ([[np.inf, 2]], {}, "Vector 0"),
    ],
)
def test_what_is_no_matrix_is_refused_with_the_reason(values, expected, reason):
    with pytest.raises(InvalidVectorsError, match=reason):
        as_matrix(values, **expected)


def test_large_finite_numbers_are_finite():
    assert first_non_finite(np.full((4, 4), 3e38, np.float32)) is None
    assert first_non_finite(np.array([[3e38], [np.inf], [np.nan]], np.float32)) == 1


def test_normalized_rows_have_length_one_whatever_their_size():
    rows = np.array([[3, 4], [0, 0], [3e38, 3e38], [1e-40, 0]], np.float32)
    unit = normalize(rows)
    assert np.allclose(np.linalg.norm(unit, axis=1), [1, 0, 1, 1], atol=1e-6)
    assert rows[0].tolist() == [3, 4]


def test_similarities_are_as_defined():
    a, b = [[1, 0], [3, 4]], [[0, 2], [3, 4]]
    assert np.allclose(similarity(a, b), [[0, 0.6], [0.8, 1]])
    assert np.allclose(similarity(a, b, "dot"), [[0, 3], [8, 25]])
    assert np.allclose(similarity(a, b, "l2"), [[-np.sqrt(5), -np.sqrt(20)], [-np.sqrt(13), 0]])
    assert similarity([1, 0], [1, 0]).shape == (1, 1)
    assert similarity([[0, 0]], [[1, 0]]).tolist() == [[0]]


def test_vectors_of_two_lengths_are_not_compared():
    with pytest.raises(DimensionMismatchError, match="3 numbers with vectors of 2"):
        similarity([[1, 2, 3]], [[1, 2]])


def test_small_distances_survive_cancellation():
    a = np.full((1, 8), 1000, np.float32)
    b = a.copy()
    b[0, 0] += np.float32(0.01)
    assert np.allclose(minus_distance(a, b), a[0, 0] - b[0, 0], rtol=1e-3)


def test_the_best_come_first_and_equals_in_their_order():
    scores = np.array([1, 3, 2, 3, 3, 0.0])
    assert top_k(scores, 2).tolist() == [1, 3]
    assert top_k(scores, 4).tolist() == [1, 3, 4, 2]
    assert top_k(scores, 99).tolist() == [1, 3, 4, 2, 0, 5]
    assert top_k(np.stack([scores, -scores]), 1).tolist() == [[1], [5]]
    assert top_k(np.zeros((0, 4)), 3).shape == (0, 3)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None, "3"])
def test_a_number_of_results_that_makes_no_sense_is_refused(k):
    with pytest.raises(ConfigError, match="top_k"):
        top_k(np.zeros(3), k)


def test_the_mean_is_a_list():
    assert mean_vector(np.array([[1, 2], [3, 6]], np.float32)) == [2, 4]
