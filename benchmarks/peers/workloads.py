"""The texts of the benchmark: real English, the same on every run of one Python version.

    python -m benchmarks.peers.workloads TOKENIZER_JSON OUT_JSON

=====  =====================================================================
W1     one question, 512 times: LlamaIndex's own embedding benchmark
W2     2,048 different sentences of 6 to 20 word pieces: short questions
W3     1,000 passages of about 128 tokens
W4     1,000 documents of 8 to 510 tokens, log-normal: mixed lengths
=====  =====================================================================

``calibration`` holds 300 further texts for quantisers that want some; W2 to W4
do not contain them. Tokens are counted by the tokenizer of the model measured.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.cli.sample_texts import paragraphs, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20_250_101
QUESTION = "Which planet is known as the Red Planet?"
PLANETS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]
SHORT = range(6, 21)
COUNTS = {"W1": 512, "W2": 2048, "W3": 1000, "W4": 1000}


def make_workloads(tokenizer_json: Path) -> dict[str, list[str]]:
    """Give the texts of each workload.

    Args:
        tokenizer_json: The tokenizer of the model to be measured.

    Returns:
        Texts by workload; ``question`` and ``planets`` are the page's similarity example.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def lengths(texts: list[str]) -> list[int]:
        return [len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False)]

    all_sentences = sentences()
    short = (s for s, n in zip(all_sentences, lengths(all_sentences), strict=True) if n in SHORT)
    words = " ".join(paragraphs()).split(" ")
    stream = cycle(zip(words, lengths(words), strict=True))
    dice = random.Random(SEED)  # noqa: S311 - a fixed order is wanted
    return {
        "W1": [QUESTION] * COUNTS["W1"],
        "W2": list(islice(short, COUNTS["W2"])),
        "W3": [_take(stream, dice.randint(110, 142)) for _ in range(COUNTS["W3"])],
        "W4": [_take(stream, _mixed_length(dice)) for _ in range(COUNTS["W4"])],
        "calibration": [_take(stream, dice.randint(20, 250)) for _ in range(300)],
        "question": [QUESTION],
        "planets": PLANETS,
    }


def _mixed_length(dice: random.Random) -> int:
    """Give a length whose median is about 105 tokens and whose tail reaches 500."""
    return min(500, max(8, round(dice.lognormvariate(4.65, 0.85))))


def _take(stream: Iterator[tuple[str, int]], target: int) -> str:
    """Join words until they have ``target`` tokens or a few more."""
    taken, tokens = [], 0
    while tokens < target:
        word, length = next(stream)
        taken.append(word)
        tokens += length
    return " ".join(taken)


def main() -> None:
    """Write the texts of all workloads to a file."""
    tokenizer, out = map(Path, sys.argv[1:3])
    out.write_text(json.dumps(make_workloads(tokenizer)), encoding="utf-8")


if __name__ == "__main__":
    main()
