"""What every reranker keeps to, as tests to inherit.

A reranker's whole contract test::

    class TestMine(RerankerContract):
        @pytest.fixture
        def reranker(self):
            return MyReranker()

pytest is needed to run it, not to import it.
"""

# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nearfield.errors import NearfieldError
from nearfield.testing.contracts import _check, _raises

if TYPE_CHECKING:
    from nearfield.core.rerank import Reranker
    from nearfield.core.vectors import Vector

THREADS = 4


class RerankerContract:
    """The tests; a subclass gives a ``reranker`` fixture.

    Attributes:
        tolerance: How much a score may differ between two ways to it.
        query: What is asked.
        texts: What is scored: different texts of several lengths and scripts.
        odd_texts: Texts that trip models up: each gives a score or one of nearfield's own errors.
    """

    tolerance: ClassVar[float] = 1e-5
    query: ClassVar[str] = "Which planet is known as the Red Planet?"
    texts: ClassVar[tuple[str, ...]] = (
        "Mars is known as the Red Planet.",
        "a",
        "Venus\nis\n\nEarth's twin.\t",
        "火星は赤い惑星として知られています。",
        "🚀🪐 to the stars",
        " ".join(["many words make a long text"] * 12),
    )
    odd_texts: ClassVar[tuple[str, ...]] = ("", " ", "\x00", "\ud800", "x" * 20_000, "w " * 9_000)

    def close(self, left: object, right: object) -> None:
        """Check that two arrays are the same within the tolerance.

        Args:
            left: Numbers of any shape.
            right: Numbers of the same shape.
        """
        np.testing.assert_allclose(left, right, rtol=0, atol=self.tolerance)  # type: ignore[call-overload]

    def test_scores_are_one_float32_a_text(self, reranker: Reranker) -> None:
        scores = reranker.rerank(self.query, list(self.texts))
        _check(isinstance(scores, np.ndarray), "an array")
        _check(scores.dtype == np.float32, "float32")
        _check(scores.shape == (len(self.texts),), "one score per text")
        _check(bool(np.isfinite(scores).all()), "finite numbers")

    def test_no_texts_give_no_scores(self, reranker: Reranker) -> None:
        _check(reranker.rerank(self.query, []).shape == (0,), "no scores for no texts")

    def test_order_is_kept(self, reranker: Reranker) -> None:
        forwards = reranker.rerank(self.query, list(self.texts))
        backwards = reranker.rerank(self.query, list(reversed(self.texts)))
        self.close(backwards[::-1], forwards)

    def test_a_text_alone_gets_its_score(self, reranker: Reranker) -> None:
        scores = reranker.rerank(self.query, list(self.texts))
        for text, score in zip(self.texts, scores, strict=True):
            self.close(reranker.rerank(self.query, [text])[0], score)

    def test_the_question_matters(self, reranker: Reranker) -> None:
        scores = reranker.rerank(self.query, list(self.texts))
        others = reranker.rerank("many words, and stars", list(self.texts))
        _check(bool((scores != others).any()), "other scores for another question")

    def test_the_coroutine_gives_the_same(self, reranker: Reranker) -> None:
        awaited = asyncio.run(reranker.arerank(self.query, list(self.texts)))
        self.close(awaited, reranker.rerank(self.query, list(self.texts)))

    def test_several_threads_get_what_one_gets(self, reranker: Reranker) -> None:
        def score(_: int) -> Vector:
            return reranker.rerank(self.query, list(self.texts))

        with ThreadPoolExecutor(THREADS) as pool:
            for scores in pool.map(score, range(THREADS)):
                self.close(scores, score(0))

    def test_one_string_is_no_list_of_texts(self, reranker: Reranker) -> None:
        _raises(TypeError, lambda: reranker.rerank(self.query, "text"))
        _raises(TypeError, lambda: reranker.rerank(self.query, [b"text"]))  # type: ignore[list-item]
        _raises(TypeError, lambda: reranker.rerank(["query"], ["text"]))  # type: ignore[arg-type]

    def test_an_odd_text_gives_a_score_or_a_typed_error(self, reranker: Reranker) -> None:
        for text in self.odd_texts:
            try:
                scores = reranker.rerank(self.query, [text])
            except NearfieldError as error:
                _check(str(error).strip() != "", f"a reason for {text[:20]!r}")
                continue
            _check(bool(np.isfinite(scores).all()), f"a finite score for {text[:20]!r}")

    def test_the_fingerprint_is_fixed(self, reranker: Reranker) -> None:
        before = reranker.fingerprint
        reranker.rerank(self.query, list(self.texts))
        _check(before == reranker.fingerprint != "", "the same fingerprint after a call")

    def test_it_says_its_name(self, reranker: Reranker) -> None:
        _check(reranker.model_name != "", "a model name")
        _check(type(reranker).__name__ in repr(reranker), "its class in its repr")
