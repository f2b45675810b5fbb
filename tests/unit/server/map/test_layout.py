"""The layout: truer to neighbours than PCA, the same each time, sound on odd data."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.core.vectors import normalize
from nearfield.server.map.layout import lay_out, weigh
from nearfield.server.map.neighbours import find_neighbours
from nearfield.server.map.projection import Moments, project

K = 10


def silent(share):
    assert 0 <= share <= 1


def clustered(n=500, dim=48, clusters=20, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, dim))
    owners = random.integers(0, clusters, n)
    points = centres[owners] + 0.4 * random.normal(size=(n, dim))
    return normalize(points.astype(np.float32)), owners


def components(vectors):
    moments = Moments(vectors.shape[1])
    moments.add(vectors)
    return project(vectors, moments.axes())


def ranks(distances):
    """Give the rank of every other point by distance, from 1; 0 for the point itself."""
    np.fill_diagonal(distances, -1)
    return np.argsort(np.argsort(distances, axis=1), axis=1)


def trustworthiness(vectors, places):
    """Venna & Kaski 2001: how seldom a picture shows as neighbours what are none."""
    n = len(vectors)
    true = ranks(1 - vectors.astype(np.float64) @ vectors.T)
    shown = ranks(((places[:, None] - places[None]) ** 2).sum(axis=2).astype(np.float64))
    wrong = np.where((shown >= 1) & (shown <= K) & (true > K), true - K, 0).sum()
    return 1 - 2 * wrong / (n * K * (2 * n - 3 * K - 1))


def laid_out(vectors, **options):
    graph = weigh(find_neighbours(vectors, 15, step=silent))
    return lay_out(graph, components(vectors), step=silent, **options)


def test_it_is_truer_to_neighbours_than_pca():
    vectors, owners = clustered()
    pca = components(vectors)

    layout = laid_out(vectors)

    assert trustworthiness(vectors, layout) > 0.95
    assert trustworthiness(vectors, layout) > trustworthiness(vectors, pca) + 0.1
    distances = ((layout[:, None] - layout[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (owners[distances.argmin(axis=1)] == owners).mean() > 0.98


def test_it_is_the_same_each_time_and_another_with_another_seed():
    vectors, _ = clustered(200)

    np.testing.assert_array_equal(laid_out(vectors), laid_out(vectors))
    assert not np.array_equal(laid_out(vectors), laid_out(vectors, seed=1))


def test_the_graph_has_every_edge_both_ways_with_one_weight():
    vectors, _ = clustered(120)
    found = find_neighbours(vectors, 7, step=silent)

    graph = weigh(found)

    heads = np.repeat(np.arange(120), np.diff(graph.starts, append=len(graph.tails)))
    weights = {(a, b): w for a, b, w in zip(heads, graph.tails, graph.weights, strict=True)}
    assert all(weights[b, a] == w for (a, b), w in weights.items())
    directed = {(a, b) for a, row in enumerate(found.places.tolist()) for b in row}
    assert set(weights) == directed | {(b, a) for a, b in directed}
    assert all(0 <= w <= 1 for w in weights.values())
    assert all(weights[a, row[0]] == 1 for a, row in enumerate(found.places.tolist()))


def test_the_weights_of_a_point_do_not_depend_on_how_dense_its_place_is():
    """Distances half as long give the same weights: sums of ``log2(k)`` before they are joined."""
    random = np.random.default_rng(0)
    angles = np.sort(random.uniform(0, 1, 60))
    weights = []
    for scale in (0.5, 1.0):
        circle = np.stack([np.cos(scale * angles), np.sin(scale * angles)], axis=1)
        weights.append(weigh(find_neighbours(normalize(circle.astype(np.float32)), 5, step=silent)))

    np.testing.assert_array_equal(weights[0].tails, weights[1].tails)
    assert np.abs(weights[0].weights - weights[1].weights).mean() < 0.05


@pytest.mark.parametrize(
    "vectors",
    [
        normalize(np.ones((40, 8), np.float32)),
        np.zeros((40, 8), np.float32),
        normalize(np.eye(3, 8, dtype=np.float32)),
        normalize(np.eye(2, 8, dtype=np.float32)),
    ],
    ids=["equal", "zeros", "three", "two"],
)
def test_odd_points_get_places_too(vectors):
    layout = laid_out(vectors)

    assert layout.shape == (len(vectors), 2)
    assert np.isfinite(layout).all()
    assert len(np.unique(layout, axis=0)) == len(vectors)


def test_it_stops_when_it_is_told_to():
    class StoppedError(Exception):
        pass

    def stop(share):
        raise StoppedError

    vectors, _ = clustered(50)
    graph = weigh(find_neighbours(vectors, 5, step=silent))
    with pytest.raises(StoppedError):
        lay_out(graph, components(vectors), step=stop)
