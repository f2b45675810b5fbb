"""Word-table models: a vector for every token, their mean for a text.

The format is Model2Vec's (``model.safetensors`` with ``embeddings`` and perhaps
``weights`` and ``mapping``), and that of sentence-transformers' StaticEmbedding.

Tulkens and van Dongen, "Model2Vec: fast state-of-the-art static embeddings" (2024),
https://github.com/MinishLab/model2vec
"""

from __future__ import annotations

from dataclasses import dataclass
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
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors

TOKENS_AT_ONCE = 16384  # rows gathered at a time: 16 MiB at 256 numbers each
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
        ends = np.cumsum(lengths)
        start = 0
        while start < len(token_ids):
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + TOKENS_AT_ONCE, side="right"))
            stop = max(stop, start + 1)
            vectors[start:stop] = self._means(token_ids[start:stop], lengths[start:stop])
            start = stop
        return normalize(vectors) if self._scale else vectors

    def _means(self, rows: Sequence[Sequence[int]], lengths: NDArray[np.int64]) -> Vectors:
        tokens = np.fromiter((token for row in rows for token in row), np.int64, lengths.sum())
        texts = np.repeat(np.arange(len(rows)), lengths)
        if self._folder.unknown is not None:
            known = tokens != self._folder.unknown
            tokens, texts = tokens[known], texts[known]
        counts = np.bincount(texts, minlength=len(rows))
        mapping, weights = self._folder.mapping, self._folder.weights
        found = widen(self._table[tokens if mapping is None else mapping[tokens]])
        if weights is not None:
            found = found * weights[tokens, None]
        means = np.zeros((len(rows), self.dim), np.float32)
        some = counts > 0
        if some.any():
            starts = np.cumsum(counts)[some] - counts[some]
            means[some] = np.add.reduceat(found, starts, axis=0) / counts[some, None]
        return means


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
