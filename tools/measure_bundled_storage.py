"""Measure what storing the weights of the bundled model in fewer bits costs.

    python -m tools.measure_bundled_storage MODEL_FOLDER DATA_FOLDER

MODEL_FOLDER holds the published float32 weights; DATA_FOLDER a retrieval test
(docs.jsonl, queries.jsonl, qrels.tsv). Each way of storing is simulated by
putting its rounded weights into sentence-transformers, so that nothing of our
own runtime enters; the table goes to standard output.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from benchmarks.retrieval import Retrieval, read_retrieval
from tools.build_bundled import UNUSED, quantize_rows

if TYPE_CHECKING:
    from nearfield.core.evaluation import RetrievalScores

Matrix = NDArray[np.float32]
Rounding = Callable[[Matrix], tuple[Matrix, float]]
TEXTS = Path(__file__).parents[1] / "tests/golden/bundled_texts.json"


def float32(matrix: Matrix) -> tuple[Matrix, float]:
    """Keep the values; give them and the bytes a value takes."""
    return matrix, 4


def float16(matrix: Matrix) -> tuple[Matrix, float]:
    """Round to float16."""
    return matrix.astype(np.float16).astype(np.float32), 2


def by_peak(bits: int) -> Rounding:
    """Round to signed integers of ``bits`` bits; a row's scale makes its peak the largest."""

    def rounded(matrix: Matrix) -> tuple[Matrix, float]:
        scales = (np.abs(matrix).max(axis=1) / (2 ** (bits - 1) - 1))[:, None]
        return np.rint(matrix / scales) * scales, bits / 8 + 4 / matrix.shape[1]

    return rounded


def as_built(matrix: Matrix) -> tuple[Matrix, float]:
    """Round to int8 as tools/build_bundled.py does: the scale of least squared error."""
    integers, scales = quantize_rows(matrix)
    return integers * scales[:, None], 1 + 4 / matrix.shape[1]


# How the words, the positions, the token types and the layers' matrices are rounded.
WAYS: dict[str, tuple[Rounding, Rounding, Rounding, Rounding]] = {
    "float32, as published": (float32,) * 4,
    "float16": (float16,) * 4,
    "int16": (by_peak(16),) * 4,
    "int8, scale by peak": (by_peak(8),) * 4,
    "int8": (as_built,) * 4,
    "**int8, token types float32**": (as_built, as_built, float32, as_built),
    "int8, token types float32, positions float16": (as_built, float16, float32, as_built),
    "int8, token types float32, words int6": (by_peak(6), as_built, float32, as_built),
    "int8, token types float32, words int4": (by_peak(4), as_built, float32, as_built),
}
KINDS = ("word_embeddings", "position_embeddings", "token_type_embeddings", "")


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    data = read_retrieval(arguments.data)
    texts = json.loads(TEXTS.read_text(encoding="utf-8"))["texts"]
    model = SentenceTransformer(str(arguments.model), device="cpu", backend="torch")
    published = {name: value.clone() for name, value in model[0].auto_model.state_dict().items()}
    print("| stored as | bytes | mean cosine | least | nDCG@10 | loss | Recall@100 | MRR@10 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    reference: tuple[Matrix, float] | None = None
    for name, way in WAYS.items():
        size = _put(model, published, way)
        vectors, scores = _encode(model, texts), _scores(model, data)
        reference = reference or (vectors, scores.ndcg_at_10)
        cosines = (vectors.astype(np.float64) * reference[0]).sum(axis=1)
        print(
            f"| {name} | {size:,.0f} | {cosines.mean():.6f} | {cosines.min():.6f} "
            f"| {scores.ndcg_at_10:.4f} | {reference[1] - scores.ndcg_at_10:+.4f} "
            f"| {scores.recall_at_100:.4f} | {scores.mrr_at_10:.4f} |",
            flush=True,
        )


def _put(
    model: SentenceTransformer,
    published: dict[str, torch.Tensor],
    way: tuple[Rounding, ...],
) -> float:
    """Put the rounded weights into the model; give the bytes they would take."""
    size, rounded = 0.0, {}
    for name, tensor in published.items():
        values = tensor.numpy()
        if name.startswith(UNUSED) or not tensor.is_floating_point():
            rounded[name] = tensor
            continue
        if values.ndim == 1:
            rounded[name], size = tensor, size + values.size * 4
            continue
        kind = next(number for number, part in enumerate(KINDS) if part in name)
        kept, each = way[kind](values)
        rounded[name] = torch.from_numpy(np.ascontiguousarray(kept, np.float32))
        size += values.size * each
    model[0].auto_model.load_state_dict(rounded)
    return size


def _encode(model: SentenceTransformer, texts: list[str]) -> Matrix:
    vectors: Matrix = model.encode(
        texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False
    )
    return vectors


def _scores(model: SentenceTransformer, data: Retrieval) -> RetrievalScores:
    return data.score(_encode(model, data.document_texts), _encode(model, data.question_texts))


if __name__ == "__main__":
    main()
