"""The texts of ``nearfield bench``: real English, the same for every model and on every run.

============  ==============================================================
``page``      one question, 512 times: LlamaIndex's own embedding benchmark
``short``     different sentences of 5 to 16 words: questions
``passages``  passages of 96 words, about 128 tokens: what a splitter makes
``mixed``     4 to 380 words, log-normal: documents as they come
============  ==============================================================

All but the question come from the topics of Python's ``help()``. Lengths are
counted in words, so that models with different tokenizers get equal texts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

from nearfield.cli.sample_texts import help_topics, paragraphs, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = "Which planet is known as the Red Planet?"
PLANETS = {
    "Venus": "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars": "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter": "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn": "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
}
SEED = 8086
SHORT_WORDS = range(5, 17)
PASSAGE_WORDS = 96
# Median 80 words, about 105 tokens; the tail reaches 380, about 500 tokens.
MIXED_MU, MIXED_SIGMA, MIXED_LEAST, MIXED_MOST = 4.38, 0.85, 4, 380


@dataclass(frozen=True, slots=True)
class Counts:
    """How many texts of each kind.

    Attributes:
        page: Copies of the page's question.
        short: Short sentences.
        passages: Passages.
        mixed: Texts of mixed lengths.
        single: Short sentences embedded one by one, for the time of one query.
        compared: Texts of each kind but the first whose vectors are compared.
    """

    page: int = 512
    short: int = 512
    passages: int = 256
    mixed: int = 256
    single: int = 200
    compared: int = 64


QUICK = Counts(page=64, short=64, passages=16, mixed=16, single=32, compared=16)


def make_workloads(counts: Counts) -> dict[str, list[str]]:
    """Give the texts of each workload.

    Args:
        counts: How many of each.

    Returns:
        Texts by workload; ``single`` and ``compared`` are taken from the others.
    """
    short = (text for text in sentences(help_topics()) if len(text.split()) in SHORT_WORDS)
    words = cycle(" ".join(paragraphs(help_topics())).split())
    dice = random.Random(SEED)  # noqa: S311 - a fixed order is wanted
    made = {
        "page": [QUESTION] * counts.page,
        "short": list(islice(short, counts.short)),
        "passages": [_take(words, PASSAGE_WORDS) for _ in range(counts.passages)],
        "mixed": [_take(words, _mixed_length(dice)) for _ in range(counts.mixed)],
    }
    compared = [text for kind in made if kind != "page" for text in made[kind][: counts.compared]]
    return {**made, "single": made["short"][: counts.single], "compared": compared}


def _mixed_length(dice: random.Random) -> int:
    length = round(dice.lognormvariate(MIXED_MU, MIXED_SIGMA))
    return min(MIXED_MOST, max(MIXED_LEAST, length))


def _take(words: Iterator[str], count: int) -> str:
    return " ".join(islice(words, count))
