"""Word-table models: a vector for every token, their mean for a text.

The format is Model2Vec's (``model.safetensors`` with ``embeddings`` and perhaps
``weights`` and ``mapping``), and that of sentence-transformers' StaticEmbedding.

Tulkens and van Dongen, "Model2Vec: fast state-of-the-art static embeddings" (2024),
https://github.com/MinishLab/model2vec
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.encoder import widen
from nearfield.runtime.model_files import (
    checked_file,
    parsed_json,
    read_json,
    read_json_if_there,
)
from nearfield.runtime.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors

TOKENS_AT_ONCE = 8192  # of texts that are added up together: their sums stay in the cache
SHORT_TOKENS = 64  # longer texts are added up one by one
TABLE_NAMES = ("embeddings", "embedding.weight")


@dataclass(frozen=True, slots=True)
class StaticFolder:
    """What a word-table model's folder says.

    Attributes:
        path: The folder that holds the table.
        table: ``(rows, dim)`` numbers, of any type, as stored.
        mapping: ``(tokens,)`` row of each token; ``None`` when token and row are the same.
        weights: ``(tokens,)`` float32 factor of each token, or ``None``.
        normalize: Whether vectors are scaled to length 1.
        max_tokens: Tokens read of a text; ``None`` without a limit.
        unknown: The number of the token that stands for unknown words and is left out, if any.
    """

    path: Path
    table: NDArray[Any]
    mapping: NDArray[np.int64] | None
    weights: NDArray[np.float32] | None
    normalize: bool
    max_tokens: int | None
    unknown: int | None

    @property
    def tokens(self) -> int:
        """How many tokens have a row."""
        return len(self.table if self.mapping is None else self.mapping)

    @property
    def files(self) -> tuple[Path, Path]:
        """The files of the table and of the tokenizer."""
        return self.path / "model.safetensors", self.path / "tokenizer.json"


def read_static(root: Path) -> StaticFolder:
    """Read a word-table model.

    Args:
        root: Its folder.

    Returns:
        The table, mapped into memory, and what belongs to it.

    Raises:
        ModelLoadError: The folder holds no word table, or a damaged one.
    """
    folder, kinds = _place(root)
    weights_file = checked_file(folder, "model.safetensors")
    tokenizer = checked_file(folder, "tokenizer.json")
    if weights_file is None or tokenizer is None:
        missing = "model.safetensors" if weights_file is None else "tokenizer.json"
        message = f"{folder} is no word-table model: it has no {missing}."
        raise ModelLoadError(message)
    tensors = SafetensorsFile(weights_file)
    name = next((name for name in TABLE_NAMES if name in tensors), None)
    if name is None or tensors[name].ndim != 2:  # noqa: PLR2004 - a table has two axes
        message = f"{weights_file} holds no word table. For a transformer use HuggingFaceEmbedding."
        raise ModelLoadError(message)
    config = read_json_if_there(folder, "config.json")
    ours = name == TABLE_NAMES[0]
    static = StaticFolder(
        path=folder,
        table=tensors[name],
        mapping=_optional(tensors, "mapping", np.int64),
        weights=_optional(tensors, "weights", np.float32),
        normalize=bool(config.get("normalize")) or "Normalize" in kinds,
        # Model2Vec reads 512 tokens and skips unknown words; the other format does neither.
        max_tokens=int(config.get("seq_length") or 512) if ours else None,
        unknown=_unknown(read_json(tokenizer)) if ours else None,
    )
    _check(static, weights_file)
    return static


class StaticEngine:
    """Means over rows of a table; see :class:`~nearfield.runtime.local_model.Engine`.

    Args:
        folder: The table and what belongs to it.
        scale: Scale vectors to length 1.
        truncate_dim: Keep so many numbers.

    Raises:
        ConfigError: ``truncate_dim`` is out of range.
    """

    name = "static"

    def __init__(
        self, folder: StaticFolder, *, scale: bool, truncate_dim: int | None = None
    ) -> None:
        width = folder.table.shape[1]
        if truncate_dim is not None and not 1 <= truncate_dim <= width:
            message = f"truncate_dim must be from 1 to {width}, not {truncate_dim}."
            raise ConfigError(message)
        self.dim = truncate_dim or width
        self._folder = folder
        self._scale = scale
        self._table = folder.table[:, : self.dim]

    def encode(self, token_ids: Sequence[Sequence[int]], *, prompt_tokens: int = 0) -> Vectors:
        """Compute the vectors of texts; a text without known words gets zeros."""
        del prompt_tokens  # a prompt's words count like any other
        vectors = np.zeros((len(token_ids), self.dim), np.float32)
        lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
        tokens = np.fromiter(chain.from_iterable(token_ids), np.int64, int(lengths.sum()))
        if self._folder.unknown is not None:
            known = tokens != self._folder.unknown
            texts = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(texts[known], minlength=len(lengths))
            tokens = tokens[known]
        starts = np.cumsum(lengths) - lengths
        # Texts of like lengths together, the longest first.
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        long = int(np.count_nonzero(lengths > SHORT_TOKENS))
        for text in order[:long]:
            rows = self._rows(tokens[starts[text] : starts[text] + lengths[text]])
            vectors[text] = rows.sum(axis=0) / lengths[text]
        for texts in _groups(order[long:], lengths):
            vectors[texts] = self._means(tokens, starts[texts], lengths[texts])
        return normalize(vectors) if self._scale else vectors

    def _means(
        self, tokens: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Vectors:
        """Add up all first tokens, then all second ones, and so on: one long sum a step."""
        sums = self._rows(tokens[starts])
        for place in range(1, int(lengths[0])):
            there = int(np.searchsorted(-lengths, -place))  # texts longer than that
            sums[:there] += self._rows(tokens[starts[:there] + place])
        sums /= lengths[:, None]
        return sums

    def _rows(self, tokens: NDArray[np.int64]) -> Vectors:
        mapping, weights = self._folder.mapping, self._folder.weights
        rows = widen(self._table.take(tokens if mapping is None else mapping[tokens], axis=0))
        return rows if weights is None else rows * weights[tokens, None]


def _groups(texts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Part texts, sorted by length, into groups of a bounded number of tokens."""
    ends = np.cumsum(lengths[texts])
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + TOKENS_AT_ONCE, side="right")), start + 1)
        yield texts[start:stop]
        start = stop


def _place(root: Path) -> tuple[Path, list[str]]:
    """The folder of the table, and the kinds of module in the model."""
    modules_file = checked_file(root, "modules.json")
    if modules_file is None:
        return root, []
    modules = parsed_json(modules_file)
    if not isinstance(modules, list) or not all(isinstance(entry, dict) for entry in modules):
        message = f"{modules_file} does not list the model's modules. Fetch it again."
        raise ModelLoadError(message)
    kinds = [str(entry.get("type", "")).rpartition(".")[2] for entry in modules]
    strange = [kind for kind in kinds if kind not in {"StaticEmbedding", "Normalize"}]
    if strange or not kinds:
        message = (
            f"{root} is no word-table model: it has a {(strange or ['?'])[0]} module. Use "
            "HuggingFaceEmbedding."
        )
        raise ModelLoadError(message)
    path = Path(str(modules[0].get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        message = f"{modules_file} names {str(path)!r}, outside the folder; refused."
        raise ModelLoadError(message)
    return root / path, kinds


def _optional(tensors: SafetensorsFile, name: str, kind: type) -> Any:
    return tensors[name].astype(kind, copy=False) if name in tensors else None


def _unknown(tokenizer: Mapping[str, Any]) -> int | None:
    """The number of the tokenizer's unknown token."""
    model = tokenizer.get("model") or {}
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    vocabulary, name = model.get("vocab"), model.get("unk_token")
    found = vocabulary.get(name) if isinstance(vocabulary, dict) else None
    return found if isinstance(found, int) else None


def _check(static: StaticFolder, path: Path) -> None:
    rows = len(static.table)
    mapping = static.mapping
    if mapping is not None and len(mapping) and not 0 <= mapping.min() <= mapping.max() < rows:
        message = f"{path} maps tokens to rows its table does not have."
        raise ModelLoadError(message)
    if static.weights is not None and len(static.weights) != static.tokens:
        message = f"{path} has {len(static.weights)} weights for {static.tokens} tokens."
        raise ModelLoadError(message)
