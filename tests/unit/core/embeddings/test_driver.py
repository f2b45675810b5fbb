"""What the drivers do when a batch fails: finish and keep what is paid for, then say so."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from nearfield.core.batching import Budget, make_plan
from nearfield.core.cache import EmbeddingCache
from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.embeddings.driver import keep_part


class Fragile(BaseEmbedding):
    """Fails on the text "bad"; its other batches wait until it has failed."""

    def __init__(self, **kwargs):
        super().__init__("fragile", 1, **kwargs)
        self.failed = threading.Event()
        self.computed = []

    def _encode(self, texts, input_type):
        if "bad" in texts:
            self.failed.set()
            message = "bad text"
            raise ValueError(message)
        self.failed.wait(5)
        self.computed.extend(texts)
        return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture
def cache(tmp_path):
    """Give an empty cache."""
    return EmbeddingCache(tmp_path / "cache.sqlite")


@pytest.mark.parametrize("way", ["sync", "async"])
def test_batches_under_way_when_another_fails_are_kept_and_no_more_are_begun(cache, way):
    model = Fragile(num_workers=2, cache=cache)
    texts = ["a", "bad", "b", "c", "d"]
    with pytest.raises(ValueError, match="bad text"):
        model.encode(texts) if way == "sync" else asyncio.run(model.aencode(texts))
    assert "a" in model.computed
    assert "d" not in model.computed
    assert set(cache.get_many(model.fingerprint, "document", texts)) == set(model.computed)
    assert model.totals.texts == 5


def test_a_part_of_a_failed_batch_is_kept_when_the_model_says_so(cache):
    class Stepwise(BaseEmbedding):
        def _encode(self, texts, input_type):
            keep_part(texts[:1], np.ones((1, 2), np.float32))
            message = "second step"
            raise ValueError(message)

    model = Stepwise(cache=cache)
    with pytest.raises(ValueError, match="second step"):
        model.encode(["a", "b"])
    assert set(cache.get_many(model.fingerprint, "document", ["a", "b"])) == {"a"}
    assert not cache.get_many(model.fingerprint, "query", ["a"])


def test_a_part_kept_by_a_model_inside_another_is_not_kept_as_the_outer_ones(cache):
    class Inner(BaseEmbedding):
        def _encode(self, texts, input_type):
            keep_part(texts, np.ones((len(texts), 2), np.float32))
            return np.ones((len(texts), 2), np.float32)

    class Outer(BaseEmbedding):
        def _encode(self, texts, input_type):
            return -Inner().encode(texts)

    model = Outer(cache=cache)
    for _ in range(2):  # computed, then from the cache
        assert model.encode(["a"]).tolist() == [[-1, -1]]


def test_a_plan_with_a_budget_closes_a_batch_when_its_weight_is_reached():
    texts = ["aa", "bb", "c", "dddddddd", "e"]
    batches = make_plan(texts, batch_size=10, budget=Budget(4, len)).batches()
    assert [batch.texts for batch in batches] == [["aa", "bb"], ["c"], ["dddddddd"], ["e"]]
    assert [batch.rows for batch in batches] == [[0, 1], [2], [3], [4]]


def test_ctrl_c_does_not_wait_for_batches_under_way():
    go_on, slow_ended = threading.Event(), threading.Event()

    class Interrupted(BaseEmbedding):
        def _encode(self, texts, input_type):
            if "slow" in texts:
                go_on.wait(10)
                slow_ended.set()
            return [[1.0, 2.0]] * len(texts)

        @property
        def dim(self):  # asked for when a batch is kept, on the caller's thread
            if threading.current_thread() is threading.main_thread() and self.armed:
                raise KeyboardInterrupt

    model = Interrupted("interrupted", 1, num_workers=2)
    model.armed = True
    try:
        with pytest.raises(KeyboardInterrupt):
            model.encode(["slow", "quick", "never"])
        assert not slow_ended.is_set()
    finally:
        go_on.set()
