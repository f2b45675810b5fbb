"""Make the golden vectors of the bundled model with sentence-transformers, torch, float32.

    python -m tools.make_bundled_golden MODEL_FOLDER

MODEL_FOLDER is a sentence-transformers folder of all-MiniLM-L6-v2 with the published
float32 weights. Writes tests/golden/bundled_texts.json and bundled_vectors.npy.

The vectors are stored as float16: rounding a unit vector to float16 moves its
direction by less than 1e-7 in cosine, a hundredth of what the tests allow.
"""

from __future__ import annotations

import argparse
import json
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sentence_transformers import SentenceTransformer

from nearfield.cli.sample_texts import paragraphs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GOLDEN = Path(__file__).parents[1] / "tests/golden"
COUNT = 500
WINDOW = 256
SPECIALS = 2
SOURCE = (
    "Documentation of the Python standard library (PSF-2.0), cut and joined; the first by hand."
)

BY_HAND = [
    "",
    "a",
    "?",
    "Mars",
    "CAPITAL LETTERS AND small ones",
    "naïve café, Ångström, œuvre, Straße, İstanbul",
    "東京は日本の首都です。",
    "Москва — столица России.",
    "القاهرة عاصمة مصر",
    "def f(x: int) -> int:\n\treturn x ** 2  # square",
    "emoji 🚀🪐 and a rare one 𓂀",
    "tabs\tand\nnew lines\r\nand\u00a0hard\u200bspaces",
    "3.14159 2.71828 1,000,000 0x7f 1e-9",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "[CLS] special [SEP] tokens [MASK] [UNK] [PAD] in the text",
    "x" * 150,
]
"""What prose does not hold: scripts, cases, controls, specials, a word too long to split."""


def main() -> None:
    """Write the texts and their vectors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="folder with the float32 weights")
    model = SentenceTransformer(str(parser.parse_args().model), device="cpu", backend="torch")
    texts = BY_HAND + of_all_lengths(COUNT - len(BY_HAND), model.tokenizer)
    vectors = model.encode(texts, batch_size=16, show_progress_bar=False)
    described = {"source": SOURCE, "texts": texts}
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / "bundled_texts.json").write_text(
        json.dumps(described, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
    np.save(GOLDEN / "bundled_vectors.npy", vectors.astype(np.float16))
    lengths = [len(ids) for ids in model.tokenizer(texts)["input_ids"]]
    print(f"{len(texts)} texts of {min(lengths)} to {max(lengths)} tokens")


def of_all_lengths(count: int, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Give texts of lengths spread evenly from 1 token to the whole window, never over it."""
    words = cycle(" ".join(paragraphs()).split(" "))
    texts = []
    for number in range(count):
        target = 1 + number * (WINDOW - SPECIALS - 1) // (count - 1)
        text, tokens = next(words), 0
        while (tokens := len(tokenizer.tokenize(text))) < target:
            text += " " + next(words)
        while tokens > WINDOW - SPECIALS:
            text = text.rpartition(" ")[0]
            tokens = len(tokenizer.tokenize(text))
        texts.append(text)
    return texts


if __name__ == "__main__":
    main()
