"""Near-duplicates and outliers, against brute force."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from nearfield.core.vectors import normalize
from nearfield.server.map import findings
from nearfield.server.map.findings import find_outliers, near_duplicates
from nearfield.server.map.neighbours import Neighbours, find_neighbours


def silent(share):
    assert 0 <= share <= 1


def with_copies(n=300, copies=25, seed=0):
    random = np.random.default_rng(seed)
    points = random.normal(size=(n, 32))
    points[:copies] = points[100 : 100 + copies] + 0.05 * random.normal(size=(copies, 32))
    return normalize(points.astype(np.float32))


def brute_force(vectors, likeness):
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    low, high = np.nonzero(np.triu(scores >= likeness, 1))
    return sorted(zip(low.tolist(), high.tolist(), scores[low, high], strict=True), key=by_score)


def by_score(pair):
    return -pair[2], pair[:2]


def pairs_of(found):
    return {pair[:2] for pair in found.pairs}


@pytest.mark.parametrize("rows", [7, 512])
def test_all_pairs_above_the_threshold_are_found(monkeypatch, rows):
    monkeypatch.setattr(findings, "ROWS_AT_ONCE", rows)
    vectors = with_copies()
    neighbours = find_neighbours(vectors, 5, step=silent)

    found = near_duplicates(vectors, neighbours, step=silent, likeness=0.9)

    true = brute_force(vectors, 0.9)
    assert len(true) >= 25
    assert found.exact
    assert found.total == len(true)
    assert [pair[:2] for pair in found.pairs] == [pair[:2] for pair in true]
    np.testing.assert_allclose([p[2] for p in found.pairs], [p[2] for p in true], atol=1e-6)


def test_beyond_a_size_pairs_of_neighbours_are_found_and_called_inexact():
    vectors = with_copies()
    neighbours = find_neighbours(vectors, 5, step=silent)

    found = near_duplicates(vectors, neighbours, step=silent, likeness=0.9, exact_up_to=10)

    assert not found.exact
    assert pairs_of(found) == {pair[:2] for pair in brute_force(vectors, 0.9)}
    assert found.total == len(found.pairs)


def test_the_best_are_given_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(findings, "ROWS_AT_ONCE", 16)
    vectors = normalize(np.ones((40, 4), np.float32))
    neighbours = find_neighbours(vectors, 3, step=silent)

    found = near_duplicates(vectors, neighbours, step=silent, limit=5)

    assert found.total == 40 * 39 // 2
    assert [pair[:2] for pair in found.pairs] == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert all(0.99 < score <= 1 for _, _, score in found.pairs)


def test_memory_is_bounded_where_all_are_alike():
    """As rows of one form or lines of one log are: a block of pairs, not a list of them."""
    random = np.random.default_rng(0)
    vectors = normalize((1 + 0.01 * random.normal(size=(2000, 16))).astype(np.float32))
    neighbours = find_neighbours(vectors, 3, step=silent)

    tracemalloc.start()
    found = near_duplicates(vectors, neighbours, step=silent)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.total == 2000 * 1999 // 2
    assert most < 5 * findings.ROWS_AT_ONCE * len(vectors) * vectors.itemsize


def test_points_far_from_their_neighbours_are_outliers_the_loneliest_first():
    random = np.random.default_rng(0)
    crowd = np.concatenate([np.ones((100, 1)), 0.1 * random.normal(size=(100, 63))], axis=1)
    alone = np.zeros((2, 64))
    alone[0, 5], alone[1, 5], alone[1, 0] = -1, 1, 0.5
    vectors = normalize(np.concatenate([crowd, alone]).astype(np.float32))
    neighbours = find_neighbours(vectors, 10, step=silent)

    found = find_outliers(neighbours)

    assert {place for place, _ in found.points[:2]} == {100, 101}
    distances = 1 - neighbours.similarities.astype(np.float64).mean(axis=1)
    low, high = np.quantile(distances, [0.25, 0.75])
    assert found.fence == pytest.approx(high + 1.5 * (high - low), abs=1e-6)
    assert found.total == (distances > found.fence).sum()
    assert [score for _, score in found.points] == sorted(
        (float(d) for d in np.round(distances, 12) if d > found.fence), reverse=True
    ) or np.allclose(
        [score for _, score in found.points], sorted(distances[distances > found.fence])[::-1]
    )


def test_a_few_points_have_no_outliers():
    vectors = with_copies(findings.LEAST_FOR_OUTLIERS - 1, 0)

    assert find_outliers(find_neighbours(vectors, 5, step=silent)).points == []


def test_equal_points_have_no_outliers():
    same = Neighbours(np.zeros((50, 3), np.int32), np.ones((50, 3), np.float32), 1.0)

    assert find_outliers(same).total == 0
