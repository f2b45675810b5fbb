"""Exact search equals a brute force in float64, whatever the numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.core import codes
from nearfield.core import search as module
from nearfield.core.codes import CodesOnDemand
from nearfield.core.search import Lengths, Segment, exact_scores, row_norms, search
from nearfield.core.vectors import SimilarityMode


@pytest.fixture(autouse=True, params=["floats", "codes", "codes without AVX2"])
def scan(request, monkeypatch):
    """Every test runs on floats, and on codes made at once."""
    if request.param == "floats":
        monkeypatch.setattr(codes, "_scan", None)
    elif codes._scan is None:
        pytest.skip("the extension was not built")
    monkeypatch.setattr(codes, "PLAINLY", int(request.param == "codes without AVX2"))
    monkeypatch.setattr(codes, "WORTH_CODES", 0)
    monkeypatch.setattr(codes, "ASKED_BEFORE", 0)
    monkeypatch.setattr(codes, "MOST_QUERIES", 10**9)
    return request.param


def segment(vectors, rows=None, live=None):
    rows = np.arange(len(vectors)) if rows is None else rows
    lengths = Lengths.of(row_norms(vectors))
    return Segment(vectors, lengths, rows, live, CodesOnDemand())


def oracle(vectors, query, k, metric):
    scores = exact_scores(vectors, query, metric)
    return np.lexsort((np.arange(len(vectors)), -scores))[:k], scores


def check(vectors, queries, k, metric):
    for query, hits in zip(queries, search([segment(vectors)], queries, k, metric), strict=True):
        best, scores = oracle(vectors, query, k, metric)
        assert hits.rows.tolist() == best.tolist()
        assert hits.scores.tolist() == scores[best].tolist()


@pytest.mark.parametrize("metric", SimilarityMode)
def test_many_random_vectors(metric):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((5000, 24)).astype(np.float32)
    check(vectors, rng.standard_normal((7, 24)).astype(np.float32), 10, metric)


@pytest.mark.parametrize("metric", SimilarityMode)
def test_vectors_that_differ_by_less_than_a_float32_can_tell(metric):
    """A scan in float32 alone would order these at random."""
    rng = np.random.default_rng(2)
    base = rng.standard_normal(256)
    vectors = (base + 1e-6 * rng.standard_normal((2000, 256))).astype(np.float32)
    check(vectors, (base + 0.1 * rng.standard_normal((5, 256))).astype(np.float32), 25, metric)


@pytest.mark.parametrize("metric", SimilarityMode)
def test_vectors_far_from_the_origin(metric):
    """Where ``|a|² - 2ab + |b|²`` cancels."""
    rng = np.random.default_rng(3)
    vectors = (1000 + rng.standard_normal((2000, 16))).astype(np.float32)
    check(vectors, (1000 + rng.standard_normal((5, 16))).astype(np.float32), 10, metric)


@given(
    data=st.data(),
    metric=st.sampled_from(list(SimilarityMode)),
    k=st.integers(1, 12),
    rows=st.integers(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_any_vectors(data, metric, k, rows):
    """Zeros, equal rows, tiny and huge numbers, in any mixture."""
    numbers = st.sampled_from([0.0, 1.0, -1.0, 3.0, 0.1, 1e-30, -1e-42, 1e20, 3e38, -2e-16])
    values = data.draw(st.lists(numbers, min_size=3 * (rows + 2), max_size=3 * (rows + 2)))
    matrix = np.asarray(values, np.float32).reshape(-1, 3)
    check(matrix[2:], matrix[:2], k, metric)


def test_segments_and_stretches_change_nothing(monkeypatch):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((900, 8)).astype(np.float32).round(1)
    queries = rng.standard_normal((600, 8)).astype(np.float32)
    whole = search([segment(vectors)], queries, 9, SimilarityMode.COSINE)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 100)
    monkeypatch.setattr(module, "LEAST_AT_ONCE", 100)
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(module, "RESCORED_AT_ONCE", 5)
    rows = np.arange(900)
    parts = [segment(vectors[at], rows[at]) for at in (rows >= 700, rows < 300)]
    parts.insert(1, segment(vectors, rows, (rows >= 300) & (rows < 700)))
    cut = search(parts, queries, 9, SimilarityMode.COSINE)
    for one, other in zip(whole, cut, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.scores.tolist() == other.scores.tolist()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 1.0])
def test_only_live_rows_are_found(share):
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((3000, 8)).astype(np.float32)
    vectors[::7] = 0
    live = rng.random(3000) < share
    query = rng.standard_normal((1, 8)).astype(np.float32)
    (hits,) = search([segment(vectors, live=live)], query, 20, SimilarityMode.COSINE)
    best, _ = oracle(vectors[live], query[0], 20, SimilarityMode.COSINE)
    assert hits.rows.tolist() == np.flatnonzero(live)[best].tolist()


def test_a_score_does_not_depend_on_the_vectors_beside_it():
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((500, 33)).astype(np.float32)
    query = rng.standard_normal((1, 33)).astype(np.float32)
    (hits,) = search([segment(vectors)], query, 500, SimilarityMode.DOT_PRODUCT)
    for row, score in zip(hits.rows, hits.scores, strict=True):
        (alone,) = search([segment(vectors[row][None])], query, 1, SimilarityMode.DOT_PRODUCT)
        assert alone.scores[0] == score
