"""The nearest points, against a brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.core.vectors import normalize
from nearfield.server.map import neighbours as module
from nearfield.server.map.neighbours import find_neighbours


def clustered(n=600, dim=16, clusters=12, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, dim))
    points = centres[random.integers(0, clusters, n)] + 0.3 * random.normal(size=(n, dim))
    return normalize(points.astype(np.float32))


def silent(share):
    assert 0 <= share <= 1


def brute_force(vectors, k):
    exact = vectors.astype(np.float64)
    scores = exact @ exact.T
    np.fill_diagonal(scores, -np.inf)
    places = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return places, np.take_along_axis(scores, places, axis=1)


def cosines(vectors, found):
    return np.einsum("ij,ikj->ik", vectors, vectors[found.places])


@pytest.mark.parametrize("at_once", [600, 4096, 1 << 23])
def test_up_to_a_size_they_are_those_of_a_brute_force(monkeypatch, at_once):
    monkeypatch.setattr(module, "SCORES_AT_ONCE", at_once)
    vectors = clustered()

    found = find_neighbours(vectors, 10, step=silent)

    places, similarities = brute_force(vectors, 10)
    # Scores that float32 cannot tell apart may change places.
    np.testing.assert_allclose(found.similarities, similarities, atol=1e-6)
    np.testing.assert_allclose(cosines(vectors, found), similarities, atol=1e-6)
    assert (found.places == places).mean() > 0.99
    assert found.recall == 1


def test_a_point_is_never_its_own_neighbour_even_among_equals():
    vectors = normalize(np.ones((30, 4), np.float32))

    found = find_neighbours(vectors, 5, step=silent)

    assert not (found.places == np.arange(30)[:, None]).any()
    assert all(len(set(row)) == 5 for row in found.places.tolist())
    np.testing.assert_allclose(found.similarities, 1, atol=1e-6)


@pytest.mark.parametrize(("n", "k"), [(1, 0), (2, 1), (5, 4)])
def test_few_points_have_few_neighbours(n, k):
    assert find_neighbours(clustered(n), 15, step=silent).places.shape == (n, k)


def test_beyond_that_size_most_are_found_and_the_recall_is_what_was_measured(monkeypatch):
    monkeypatch.setattr(module, "POINTS_PER_LANDMARK", 20)
    monkeypatch.setattr(module, "LANDMARKS_SEARCHED", 3)
    monkeypatch.setattr(module, "CHECKED", 600)
    vectors = clustered()

    found = find_neighbours(vectors, 10, step=silent, exact_up_to=100)

    _, best = brute_force(vectors, 10)
    true_recall = (found.similarities >= best[:, -1:] - 1e-6).mean()
    assert 0.9 < true_recall < 1
    assert found.recall == pytest.approx(true_recall, abs=0.002)
    np.testing.assert_allclose(found.similarities, cosines(vectors, found), atol=1e-6)
    assert (np.diff(found.similarities, axis=1) <= 0).all()


def test_landmarks_give_the_same_result_each_time():
    vectors = clustered(2000)

    once, again = (find_neighbours(vectors, 10, step=silent, exact_up_to=100) for _ in range(2))

    np.testing.assert_array_equal(once.places, again.places)
    assert once.recall == again.recall


def test_a_landmark_with_too_few_points_looks_at_all(monkeypatch):
    monkeypatch.setattr(module, "POINTS_PER_LANDMARK", 2)
    monkeypatch.setattr(module, "LANDMARKS_SEARCHED", 1)
    vectors = clustered(60)

    found = find_neighbours(vectors, 20, step=silent, exact_up_to=10)

    assert (found.similarities >= -1).all()
    assert not (found.places == np.arange(60)[:, None]).any()


def test_it_stops_when_it_is_told_to():
    class StoppedError(Exception):
        pass

    def stop(share):
        raise StoppedError

    with pytest.raises(StoppedError):
        find_neighbours(clustered(), 10, step=stop)
    with pytest.raises(StoppedError):
        find_neighbours(clustered(), 10, step=stop, exact_up_to=10)
