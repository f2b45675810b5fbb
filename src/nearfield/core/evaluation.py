"""How good a ranking is: nDCG, recall and reciprocal rank, as pure functions.

A ranking is a sequence of ids, best first. Judgements give each judged id a
gain: 0 says judged and not relevant, more says how relevant. What was not
judged counts as not relevant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, log2
from typing import TYPE_CHECKING

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Means over all questions that have a relevant document.

    Attributes:
        questions: How many questions were counted.
        ndcg_at_10: 0 to 1.
        recall_at_100: 0 to 1.
        mrr_at_10: 0 to 1.
    """

    questions: int
    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], k: int = 10) -> float:
    """Give the normalised discounted cumulative gain of the first ``k`` ids.

    The gain of rank i (from 1) is divided by log2(i + 1), and the sum by the
    sum of the best possible ranking. Gains enter as they are ("linear gain").
    After Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR
    techniques", ACM TOIS 20(4), 2002; the discount is that of trec_eval.

    Args:
        ranking: Ids, best first, each once.
        gains: Gain by id.
        k: How many ranks count, at least 1.

    Returns:
        0 to 1; 0 when nothing is relevant.
    """
    _check(ranking, k)
    ideal = _discounted(sorted(_positive(gains).values(), reverse=True)[:k])
    if ideal == 0:
        return 0.0
    return _discounted([max(gains.get(name, 0), 0) for name in ranking[:k]]) / ideal


def recall(ranking: Sequence[str], gains: Mapping[str, float], k: int = 100) -> float:
    """Give the share of all relevant ids that stand among the first ``k``.

    After Manning, Raghavan and Schütze, "Introduction to Information
    Retrieval", 2008, section 8.3, cut at rank k.

    Args:
        ranking: Ids, best first, each once.
        gains: Gain by id.
        k: How many ranks count, at least 1.

    Returns:
        0 to 1; 0 when nothing is relevant.
    """
    _check(ranking, k)
    relevant = _positive(gains)
    return len(relevant.keys() & set(ranking[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], gains: Mapping[str, float], k: int = 10) -> float:
    """Give one over the rank of the first relevant id among the first ``k``.

    After Voorhees, "The TREC-8 Question Answering Track Report", 1999; the
    mean over questions is MRR.

    Args:
        ranking: Ids, best first, each once.
        gains: Gain by id.
        k: How many ranks count, at least 1.

    Returns:
        1, 1/2, 1/3 ...; 0 when no relevant id is among them.
    """
    _check(ranking, k)
    relevant = _positive(gains)
    ranks = (rank for rank, name in enumerate(ranking[:k], 1) if name in relevant)
    return 1 / next(ranks, float("inf"))


def evaluate(
    rankings: Mapping[str, Sequence[str]], judgements: Mapping[str, Mapping[str, float]]
) -> RetrievalScores:
    """Score the rankings of many questions.

    Args:
        rankings: For each question id, document ids, best first. Give at least
            100 a question, or recall counts the missing ones as not found.
        judgements: For each question id, the gain of each judged document id.
            Questions with no relevant document are left out of the means.

    Returns:
        The mean scores.

    Raises:
        ConfigError: A judged question has no ranking, or no question has a relevant document.
    """
    counted = {name: gains for name, gains in judgements.items() if _positive(gains)}
    if not counted:
        message = "No question has a relevant document. Check the judgements."
        raise ConfigError(message)
    unranked = next((name for name in counted if name not in rankings), None)
    if unranked is not None:
        message = f"Question {unranked!r} is judged but has no ranking. Rank every question."
        raise ConfigError(message)
    pairs = [(rankings[name], gains) for name, gains in counted.items()]
    return RetrievalScores(
        questions=len(pairs),
        ndcg_at_10=fsum(ndcg(*pair) for pair in pairs) / len(pairs),
        recall_at_100=fsum(recall(*pair) for pair in pairs) / len(pairs),
        mrr_at_10=fsum(reciprocal_rank(*pair) for pair in pairs) / len(pairs),
    )


def _discounted(gains: Sequence[float]) -> float:
    return fsum(gain / log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _positive(gains: Mapping[str, float]) -> dict[str, float]:
    return {name: gain for name, gain in gains.items() if gain > 0}


def _check(ranking: Sequence[str], k: int) -> None:
    if k < 1:
        message = f"k must be at least 1, not {k}."
        raise ConfigError(message)
    if len(set(ranking)) != len(ranking):
        message = "A ranking holds the same id twice. Give each id once."
        raise ConfigError(message)
