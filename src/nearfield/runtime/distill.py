"""From any encoder to a word table: each token alone through the model, fewer numbers, weights.

Tulkens and van Dongen, "Model2Vec: fast state-of-the-art static embeddings" (2024);
the weights are those of Arora, Liang and Ma, "A simple but tough-to-beat baseline for
sentence embeddings" (ICLR 2017), with word frequencies by Zipf's law over the vocabulary.

Two things are done otherwise, since both were measured to find more of what the encoder
finds (docs/performance.md): tokens that stand for no text have no rank among the words,
and no direction has as much more spread than another as the encoder gives it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.errors import ConfigError
from nearfield.runtime.backends import native_engine
from nearfield.runtime.export_report import LEAST_TEXTS, ROUNDS, mutual_similarities, spearman
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.safetensors import write_safetensors
from nearfield.runtime.static import read_static
from nearfield.runtime.tokenize import TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.vectors import Vectors

DEFAULT_DIM = 256
# Arora et al. find 1e-3 to 1e-4 best for true frequencies. Those by rank are too low for
# words, as vocabularies list their single signs first; Model2Vec takes 1e-4 all the same.
SMOOTHING = 5e-5
_FLAT = 1e-9
EVENED = 0.5  # of 0 for the encoder's own spread of each direction, and 1 for the same of all
# Begin and end of a text, padding, places kept free: what vocabularies write in brackets.
# Not so single bytes, as in <0x0A>.
_NO_TEXT = re.compile(r"\[[^\]]+\]|<(?!0x)[^>]+>")
TOKENS_AT_ONCE = 4096


def distill(
    model: Path | str, out: Path | str, *, dim: int = DEFAULT_DIM, threads: int | None = None
) -> Path:
    """Make a word-table model of a transformer, in Model2Vec's format.

    Args:
        model: The transformer's folder; its architecture must be one the native engine runs.
        out: The new model's folder; made when missing.
        dim: Numbers per vector, from 1 to the transformer's own.
        threads: Threads to compute with; all cores when ``None``.

    Returns:
        ``out``, to be loaded by :class:`~nearfield.embeddings.static.StaticEmbedding`.

    Raises:
        ConfigError: ``dim`` is out of range.
        ModelLoadError: The folder is damaged, or of another architecture.
    """
    folder = read_folder(model)
    folder.require_understood()
    # As the encoder gives them: lengths tell apart what directions alone do not.
    engine = native_engine(folder, replace(folder.head(), normalize=False), threads)
    if not 1 <= dim <= engine.dim:
        message = f"dim must be from 1 to {engine.dim}, not {dim}."
        raise ConfigError(message)
    tokenizer = TextTokenizer.of_folder(folder)
    states = np.concatenate(
        [
            engine.encode(tokenizer.framed(range(start, stop)))
            for start in range(0, tokenizer.vocabulary, TOKENS_AT_ONCE)
            for stop in [min(start + TOKENS_AT_ONCE, tokenizer.vocabulary)]
        ]
    )
    words = text_tokens(tokenizer.spellings())
    table = np.zeros((len(states), dim))  # what stands for no text adds nothing to one
    table[words] = principal_components(states[words], dim, evened=EVENED)
    table[words] *= zipf_weights(len(words))[:, None]
    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    tokenizer.save(place / "tokenizer.json")
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "normalize": True,
        "hidden_dim": dim,
        "apply_pca": dim,
        "sif_coefficient": SMOOTHING,
    }
    (place / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    write_safetensors(place / "model.safetensors", {"embeddings": table.astype(np.float32)})
    return place


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a word table is, and what it costs and gains against its teacher.

    Attributes:
        dim: Numbers per vector.
        tokens: Words and pieces of words in the table.
        size_bytes: Bytes of the table's file.
        texts_per_second: Of the table, tokenising included.
        speed: Those over the teacher's.
        spearman: Rank correlation of all texts' mutual similarities with the teacher's, −1 to 1.
    """

    dim: int
    tokens: int
    size_bytes: int
    texts_per_second: float
    speed: float
    spearman: float


def measure_table(
    teacher: BaseEmbedding, table: BaseEmbedding, texts: Sequence[str]
) -> TableReport:
    """Compare a word table with the model it was made of.

    Args:
        teacher: The model.
        table: The table's own.
        texts: At least three texts, like those to be embedded.

    Returns:
        The report.

    Raises:
        ConfigError: There are too few texts.
    """
    if len(texts) < LEAST_TEXTS:
        message = f"Comparing needs at least {LEAST_TEXTS} texts. Pass more."
        raise ConfigError(message)
    taken, vectors = [], []
    for model in (teacher, table):
        model.encode(texts[:LEAST_TEXTS])  # not the first call, which loads and warms up
        best = float("inf")
        for _ in range(ROUNDS):
            started = time.perf_counter()
            found = model.encode(texts)
            best = min(best, time.perf_counter() - started)
        taken.append(best)
        vectors.append(normalize(found))
    file = read_static(Path(table.model_name))
    return TableReport(
        dim=vectors[1].shape[1],
        tokens=file.tokens,
        size_bytes=file.files[0].stat().st_size,
        texts_per_second=len(texts) / taken[1],
        speed=taken[0] / taken[1],
        spearman=spearman(*map(mutual_similarities, vectors)),
    )


def text_tokens(spellings: Sequence[str]) -> NDArray[np.intp]:
    """Find the tokens that stand for text, in the vocabulary's order.

    Args:
        spellings: Every token of a vocabulary.

    Returns:
        ``(n,)`` numbers, rising; without ``[CLS]``, ``<pad>``, ``[unused7]`` and their like.
    """
    return np.flatnonzero([not _NO_TEXT.fullmatch(spelling) for spelling in spellings])


def principal_components(matrix: Vectors, dim: int, *, evened: float = 0.0) -> NDArray[np.float64]:
    """Give the coordinates of rows along their directions of greatest variance.

    Args:
        matrix: ``(n, width)`` float32.
        dim: How many directions, at most ``width``.
        evened: From 0, coordinates as they are, to 1, all directions of variance 1.

    Returns:
        ``(n, dim)`` float64, centred on the mean, greatest variance first. The sign of
        each direction is set so that its largest part is positive.
    """
    centred = matrix.astype(np.float64) - matrix.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    chosen, spread = directions[:, ::-1][:, :dim], variances[::-1][:dim]
    largest = chosen[np.abs(chosen).argmax(axis=0), np.arange(dim)]
    projected: NDArray[np.float64] = centred @ (chosen * np.sign(largest))
    # A direction in which nothing differs has no spread to be divided by.
    projected /= np.maximum(spread, spread[0] * _FLAT) ** (evened / 2)
    return projected


def zipf_weights(count: int) -> NDArray[np.float64]:
    """Give each token ``a / (a + p)``, ``p`` its frequency by its rank in the vocabulary.

    Vocabularies list frequent tokens first, so rare tokens weigh more.

    Args:
        count: How many tokens.

    Returns:
        ``(count,)`` float64 between 0 and 1, rising.
    """
    shares = 1 / np.arange(2, count + 2, dtype=np.float64)
    frequencies = shares / shares.sum()
    weights: NDArray[np.float64] = SMOOTHING / (SMOOTHING + frequencies)
    return weights
