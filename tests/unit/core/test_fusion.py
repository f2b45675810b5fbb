"""Rankings fused and made diverse, against the formulas of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.fusion import maximal_marginal_relevance, reciprocal_rank_fusion
from nearfield.core.schema import Node, NodeWithScore


def ranking(names):
    return [NodeWithScore(Node(name, id=name), 1.0) for name in names]


def test_fused_scores_are_the_sum_of_reciprocal_ranks():
    fused = reciprocal_rank_fusion([ranking("abc"), ranking("bd")])

    assert [found.node.id for found in fused] == ["b", "a", "d", "c"]
    assert [found.score for found in fused] == pytest.approx(
        [1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63]
    )


def test_equal_scores_keep_the_order_of_first_appearance():
    assert [f.node.id for f in reciprocal_rank_fusion([ranking("ab"), ranking("ba")])] == ["a", "b"]


def test_nothing_fused_is_nothing():
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []


@given(st.lists(st.permutations("abcde"), min_size=1, max_size=4))
def test_a_node_that_is_first_everywhere_stays_first(rankings):
    fused = reciprocal_rank_fusion([ranking("z" + "".join(names)) for names in rankings])

    assert fused[0].node.id == "z"
    assert len(fused) == 6


def slow_mmr(query, vectors, count, weight):
    """Choose as the paper's formula reads."""

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    chosen = []
    while len(chosen) < min(count, len(vectors)):
        gains = {
            row: weight * cosine(vectors[row], query)
            - (1 - weight) * max((cosine(vectors[row], vectors[c]) for c in chosen), default=0)
            for row in range(len(vectors))
            if row not in chosen
        }
        chosen.append(max(gains, key=gains.get))
    return chosen


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_diversity_chooses_as_the_formula_says(weight):
    random = np.random.default_rng(7)
    query = random.standard_normal(8).astype("f4")
    vectors = random.standard_normal((20, 8)).astype("f4")

    chosen = maximal_marginal_relevance(query, vectors, 6, relevance_weight=weight)

    assert chosen == slow_mmr(query, vectors, 6, weight)


def test_with_nearness_alone_the_order_is_that_of_cosine():
    vectors = np.array([[0, 1], [1, 0], [1, 1]], "f4")

    assert maximal_marginal_relevance(np.array([1, 0], "f4"), vectors, 9, relevance_weight=1.0) == [
        1,
        2,
        0,
    ]


def test_a_copy_is_chosen_after_something_different():
    query = np.array([1, 0.2], "f4")
    vectors = np.array([[1, 0], [1, 0], [0.5, 0.8]], "f4")

    assert maximal_marginal_relevance(query, vectors, 2, relevance_weight=0.5) == [0, 2]
