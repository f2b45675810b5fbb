"""A layout in which neighbours stand together: slower than PCA, and much truer to what is near.

The graph of neighbours is weighted as UMAP does (McInnes, Healy & Melville 2018,
section 3.1), and laid out by attraction along its edges and repulsion from points
drawn at random, with the kernel ``1 / (1 + d²)`` of LargeVis (Tang et al. 2016).
All points move at once, by numpy, so the same vectors give the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfield.server.map.neighbours import Neighbours, Step

EPOCHS = 500
NEGATIVES = 30
REPULSION = 8.0
RATE = 0.1
MOMENTUM = 0.8
LONGEST_STEP = 4.0
WIDTH_AT_START = 20.0
_BISECTIONS = 32
_SOFTENING = 1e-3


class Graph(NamedTuple):
    """Edges between neighbours, both ways, in the order of their heads.

    Attributes:
        starts: Where each point's edges begin, ``(n,)`` int64; every point has one at least.
        tails: The other end of each edge, ``(m,)`` int32.
        weights: How strong it is, ``(m,)`` float32, 0 to 1.
    """

    starts: NDArray[np.int64]
    tails: NDArray[np.int32]
    weights: NDArray[np.float32]


def weigh(neighbours: Neighbours) -> Graph:
    """Turn neighbours into a graph with weights that do not depend on how dense a place is.

    Args:
        neighbours: Of every point, at least one each.

    Returns:
        The graph: ``w + w' - w w'`` of the two directions of each edge.
    """
    n, k = neighbours.places.shape
    distances = np.maximum(1 - neighbours.similarities.astype(np.float64), 0)
    beyond = distances - distances[:, :1]  # the nearest of each has weight 1
    low, high = np.zeros(n), np.full(n, np.inf)
    scale = np.maximum(beyond.mean(axis=1), 1e-6)
    for _ in range(_BISECTIONS):
        too_much = np.exp(-beyond / scale[:, None]).sum(axis=1) > np.log2(max(k, 2))
        high, low = np.where(too_much, scale, high), np.where(too_much, low, scale)
        scale = np.where(np.isinf(high), 2 * scale, (low + high) / 2)
    one_way = np.exp(-beyond / np.maximum(scale, 1e-12)[:, None]).ravel()
    heads, tails = np.repeat(np.arange(n), k), neighbours.places.ravel().astype(np.int64)
    keys = np.concatenate([heads * n + tails, tails * n + heads])
    order = np.argsort(keys, kind="stable")
    keys, both = keys[order], np.concatenate([one_way, one_way])[order]
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    weights = 1 - np.multiply.reduceat(1 - both, firsts)
    heads, tails = np.divmod(keys[firsts], n)
    starts = np.searchsorted(heads, np.arange(n))
    return Graph(starts, tails.astype(np.int32), weights.astype(np.float32))


def lay_out(
    graph: Graph,
    start: NDArray[np.float32],
    *,
    step: Step,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Move points until neighbours stand together and others apart.

    Args:
        graph: Who is near whom.
        start: Where the points stand at first, ``(n, 2)``: their principal components.
        step: Told how far it is.
        epochs: How often all points move.
        seed: Of the random draws.

    Returns:
        ``(n, 2)`` float32.
    """
    random = np.random.default_rng(seed)
    n = len(start)
    # One complex number is one place: half as many reads as of two floats each.
    places = start.astype(np.float32).view(np.complex64).ravel()
    width = float(np.abs(places - places.mean()).max()) or 1.0
    places = (places - places.mean()) * np.float32(WIDTH_AT_START / 2 / width)
    # Equal vectors stand on one spot, from which no force could part them.
    places += random.normal(scale=1e-3, size=(n, 2)).astype(np.float32).view(np.complex64).ravel()
    edges = np.diff(graph.starts, append=len(graph.tails))
    # Each point moves by the mean of what pulls it, however many edges it has.
    pulls = graph.weights / np.repeat(np.add.reduceat(graph.weights, graph.starts), edges)
    speed = np.zeros(n, np.complex64)
    for epoch in range(epochs):
        away = np.repeat(places, edges) - places[graph.tails]
        force = np.add.reduceat(away * (-2 * pulls / (1 + _squares(away))), graph.starts)
        for _ in range(NEGATIVES):
            away = places - places[random.integers(0, n, n, dtype=np.int32)]
            squares = _squares(away)
            push = np.float32(2 * REPULSION / NEGATIVES) / ((_SOFTENING + squares) * (1 + squares))
            force += away * push
        speed = np.float32(MOMENTUM) * speed + np.float32(RATE * (1 - epoch / epochs)) * force
        length = np.abs(speed)
        speed *= np.minimum(LONGEST_STEP / np.maximum(length, LONGEST_STEP), 1)
        places = places + speed
        step((epoch + 1) / epochs)
    return np.ascontiguousarray(places).view(np.float32).reshape(n, 2)


def _squares(numbers: NDArray[np.complex64]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = np.square(numbers.real) + np.square(numbers.imag)
    return squares
