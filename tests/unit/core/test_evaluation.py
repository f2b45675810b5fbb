"""Retrieval measures, against numbers worked out by hand."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.evaluation import evaluate, ndcg, recall, reciprocal_rank
from nearfield.errors import ConfigError

GAINS = {"a": 3, "b": 2, "c": 0, "d": 1}


def test_the_best_ranking_has_ndcg_one() -> None:
    assert ndcg(["a", "b", "d", "c"], GAINS) == 1


def test_ndcg_divides_each_gain_by_the_logarithm_of_its_rank() -> None:
    ideal = 3 + 2 / log2(3) + 1 / log2(4)
    assert ndcg(["c", "a", "x", "b"], GAINS) == pytest.approx((3 / log2(3) + 2 / log2(5)) / ideal)


def test_ndcg_compares_with_the_best_ranking_of_the_same_length() -> None:
    assert ndcg(["a"], GAINS, k=1) == 1
    assert ndcg(["b", "a"], GAINS, k=1) == pytest.approx(2 / 3)


def test_ndcg_counts_only_the_first_k() -> None:
    assert ndcg(["c", "x", "a"], GAINS, k=2) == 0


def test_recall_counts_relevant_ids_only() -> None:
    assert recall(["c", "x", "a"], GAINS) == pytest.approx(1 / 3)
    assert recall(["c", "x", "a"], GAINS, k=2) == 0


def test_reciprocal_rank_looks_for_the_first_relevant_id() -> None:
    assert reciprocal_rank(["c", "b", "a"], GAINS) == 1 / 2
    assert reciprocal_rank(["c", "x", "b"], GAINS, k=2) == 0


def test_no_relevant_document_gives_zero_everywhere() -> None:
    for measure in (ndcg, recall, reciprocal_rank):
        assert measure(["a"], {"a": 0}) == 0


def test_means_leave_out_questions_without_a_relevant_document() -> None:
    scores = evaluate(
        {"1": ["a", "b"], "2": ["x", "a"], "3": ["a"]},
        {"1": {"a": 1}, "2": {"a": 1}, "3": {"a": 0}},
    )
    assert scores.questions == 2
    assert scores.ndcg_at_10 == pytest.approx((1 + 1 / log2(3)) / 2)
    assert scores.mrr_at_10 == 0.75
    assert scores.recall_at_100 == 1


@pytest.mark.parametrize("judgements", [{}, {"1": {"a": 0}}])
def test_nothing_to_score_is_an_error(judgements: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ConfigError, match="No question has a relevant document"):
        evaluate({"1": ["a"]}, judgements)


def test_a_judged_question_without_a_ranking_is_named() -> None:
    with pytest.raises(ConfigError, match="'7'"):
        evaluate({}, {"7": {"a": 1}})


def test_a_ranking_with_the_same_id_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        ndcg(["a", "a"], GAINS)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        recall(["a"], GAINS, k=0)


@given(
    st.permutations(list("abcdefghijkl")),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4)),
)
def test_all_measures_stay_between_zero_and_one(ranking: list[str], gains: dict[str, int]) -> None:
    for measure in (ndcg, recall, reciprocal_rank):
        assert 0 <= measure(ranking, gains) <= 1 + 1e-12
