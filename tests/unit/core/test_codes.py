"""Vectors of one byte a number: how far off they are, and when they are made."""

import numpy as np
import pytest

from nearfield.core import codes
from nearfield.core.codes import Codes, CodesOnDemand, ShortQueries
from nearfield.core.search import row_norms

pytestmark = pytest.mark.skipif(codes._scan is None, reason="the extension was not built")


@pytest.fixture(autouse=True, params=[0, 1], ids=["with AVX2", "without AVX2"])
def plainly(request, monkeypatch):
    """With what the processor has, and without."""
    monkeypatch.setattr(codes, "PLAINLY", request.param)
    monkeypatch.setattr(codes, "WORTH_CODES", 0)


def test_no_product_of_codes_is_further_off_than_is_said():
    """The bound that makes the search exact, against products in float64."""
    rng = np.random.default_rng(7)
    for dim in (1, 31, 32, 33, 384, 1000):
        vectors = rng.standard_normal((300, dim)) * 10.0 ** rng.integers(-6, 6, (300, 1))
        vectors[rng.random(vectors.shape) < 0.2] *= 50  # a few numbers stand out
        vectors[::17] = 0
        queries = rng.standard_normal((9, dim)) * 10.0 ** rng.integers(-6, 6, (9, 1))
        queries[4] = 0
        vectors, queries = vectors.astype(np.float32), queries.astype(np.float32)
        rows, short = Codes.of(vectors), ShortQueries.of(queries)
        norms = row_norms(vectors)
        right = queries.astype(np.float64) @ vectors.astype(np.float64).T
        off = np.abs(rows.scores(short, 1.0) - right)
        doubts = rows.doubts(short, norms)
        places = np.arange(300)
        said = np.stack([doubts.of(query, places) for query in range(9)])
        lengths = np.linalg.norm(queries, axis=1)[:, None] * norms
        assert (off <= said + 1e-6 * lengths).all()
        assert (said <= doubts.largest(None)[:, None]).all()
        if dim > 1:
            assert np.median(said[:4, norms > 0] / lengths[:4, norms > 0]) < 0.2  # it says much


def test_products_of_codes_stay_whole_where_numbers_are_as_large_as_they_can_be():
    """Sums of 2**31 would turn over: at 4,096 numbers queries have to be cut to less."""
    for dim in (384, 4096, 20_000):
        ones = np.ones((5, dim), np.float32)
        scores = Codes.of(ones).scores(ShortQueries.of(ones), 1.0)
        assert np.abs(scores / dim - 1).max() < 1e-3


def test_codes_are_made_for_those_who_ask_often(monkeypatch):
    monkeypatch.setattr(codes, "ASKED_BEFORE", 2)
    monkeypatch.setattr(codes, "MOST_QUERIES", 4)
    vectors = np.ones((40, 8), np.float32)
    demand = CodesOnDemand()
    assert [demand.of(vectors, 5) for _ in range(9)] == [None] * 9  # many at once: by floats
    assert [demand.of(vectors, 1) is None for _ in range(4)] == [True, True, False, False]
    monkeypatch.setattr(codes, "_memory", lambda: 1000)
    demand = CodesOnDemand()
    assert [demand.of(vectors, 1) for _ in range(9)] == [None] * 9  # they would take a third


def test_arrays_that_do_not_fit_are_refused():
    good = [np.zeros((3, 32), np.int8), np.zeros(3, np.float32), np.zeros((2, 32), np.int16),
            np.zeros(2, np.float32), np.zeros((2, 3), np.float32)]  # fmt: skip
    codes._scan.multiply(*good, codes.PLAINLY)
    bad = [np.zeros((3, 33), np.int8), np.zeros(2, np.float32), np.zeros((2, 64), np.int16),
           np.zeros(3, np.float32), np.zeros((2, 4), np.float32)]  # fmt: skip
    for at, array in enumerate(bad):
        with pytest.raises(ValueError, match="do not fit"):
            codes._scan.multiply(*good[:at], array, *good[at + 1 :], codes.PLAINLY)
        with pytest.raises(ValueError, match="another type"):
            codes._scan.multiply(
                *good[:at], good[at].astype(np.float64), *good[at + 1 :], codes.PLAINLY
            )
    with pytest.raises(ValueError, match="do not fit"):
        codes._scan.encode(np.zeros((3, 40), np.float32), *good[:2], good[1].copy(), 0)
