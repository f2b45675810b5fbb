"""Principal components of a stream, against those of a singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.server.map import projection
from nearfield.server.map.projection import Moments, align, project


def vectors(n=500, dim=24, offset=0.0, seed=0):
    random = np.random.default_rng(seed)
    spread = np.geomspace(4, 0.1, dim)
    turned, _ = np.linalg.qr(random.normal(size=(dim, dim)))
    return ((random.normal(size=(n, dim)) * spread) @ turned + offset).astype(np.float32)


def axes_of(matrix, *, block=97):
    moments = Moments(matrix.shape[1])
    for start in range(0, len(matrix), block):
        moments.add(matrix[start : start + block])
    return moments.axes()


@pytest.mark.parametrize("offset", [0.0, 1.0, 300.0])
def test_the_axes_are_those_of_a_singular_value_decomposition(offset):
    matrix = vectors(offset=offset)
    exact = matrix.astype(np.float64)
    exact -= exact.mean(axis=0)
    _, sizes, rows = np.linalg.svd(exact, full_matrices=False)

    axes = axes_of(matrix)

    for found, true in zip(axes.directions, rows[:2], strict=True):
        assert abs(found @ true) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(axes.explained, (sizes**2 / (sizes**2).sum())[:2], rtol=1e-4)
    np.testing.assert_allclose(axes.center, matrix.astype(np.float64).mean(axis=0), rtol=1e-6)


def test_the_places_are_the_products_with_the_axes(monkeypatch):
    monkeypatch.setattr(projection, "ROWS_AT_ONCE", 64)
    matrix = vectors()
    axes = axes_of(matrix)

    places = project(matrix, axes)

    assert places.dtype == np.float32
    expected = (matrix.astype(np.float64) - axes.center) @ axes.directions.T
    np.testing.assert_allclose(places, expected, atol=1e-5)


def test_the_signs_do_not_depend_on_the_order_of_the_vectors():
    matrix = vectors()
    there, back = axes_of(matrix), axes_of(matrix[::-1])

    np.testing.assert_allclose(there.directions, back.directions, atol=1e-4)
    for direction in there.directions:
        assert direction[np.abs(direction).argmax()] > 0


def test_a_stream_in_blocks_of_any_size_gives_the_same_axes():
    matrix = vectors()

    np.testing.assert_allclose(
        axes_of(matrix, block=1).directions, axes_of(matrix, block=500).directions, atol=1e-4
    )


def test_vectors_on_a_line_are_laid_on_a_line():
    line = np.outer(np.arange(10), np.ones(5)).astype(np.float32)

    places = project(line, axes_of(line))

    assert np.ptp(places[:, 0]) > 1
    np.testing.assert_array_equal(places[:, 1], 0)


@pytest.mark.parametrize("matrix", [np.ones((7, 4), np.float32), np.zeros((1, 1), np.float32)])
def test_equal_vectors_lie_on_one_spot(matrix):
    axes = axes_of(matrix)

    np.testing.assert_allclose(project(matrix, axes), 0, atol=1e-6)
    np.testing.assert_array_equal(axes.explained, 0)


def test_nothing_gives_axes_of_nothing():
    axes = Moments(3).axes()

    assert axes.center.shape == (3,)
    assert not axes.directions.any()


def test_a_picture_is_turned_and_mirrored_towards_another():
    random = np.random.default_rng(3)
    picture = random.normal(size=(50, 2)).astype(np.float32)
    angle = 2.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirrored = (picture @ turn * [1, -1] * 3 + 7).astype(np.float32)

    back = align(mirrored, picture)

    np.testing.assert_allclose(back, 3 * (picture - picture.mean(axis=0)), atol=1e-4)
