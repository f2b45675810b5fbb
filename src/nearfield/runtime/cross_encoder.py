"""Cross-encoders: a model folder with a classification head, scoring pairs of texts.

The folder is read as sentence-transformers' CrossEncoder reads it: one label, an activation named
in one of three places, and the heads of transformers' ``...ForSequenceClassification`` models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nearfield._extras import require
from nearfield.errors import ModelLoadError
from nearfield.runtime.architectures import read_encoder, unsupported
from nearfield.runtime.encoder import widen
from nearfield.runtime.model_files import parsed_json, read_json_if_there
from nearfield.runtime.native import NativeEngine
from nearfield.runtime.pickles import refuse_pickles
from nearfield.runtime.pooling import Activation, Dense, Head, Pooling
from nearfield.runtime.torch import check_device

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nearfield.core.vectors import Vector
    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.pairs import Pairs

PURPOSE = "a cross-encoder with backend='torch'"
TASK = "ForSequenceClassification"
# So many are computed at a time; between them a call can be interrupted.
BATCH_TOKENS = 16_384
TORCH_PAIRS = 32
# By architecture: a layer over the first token's state, its activation, and the score's layer.
_HEADS = {
    "bert": ("bert.pooler.dense", Activation.TANH, "classifier"),
    "roberta": ("classifier.dense", Activation.TANH, "classifier.out_proj"),
    "xlm-roberta": ("classifier.dense", Activation.TANH, "classifier.out_proj"),
    "mpnet": ("classifier.dense", Activation.TANH, "classifier.out_proj"),
    "distilbert": ("pre_classifier", Activation.RELU, "classifier"),
}
_ACTIVATIONS = {
    f"torch.nn.modules.{module}.{kind}": activation
    for module, kind, activation in (
        ("activation", "Sigmoid", Activation.SIGMOID),
        ("activation", "Tanh", Activation.TANH),
        ("activation", "ReLU", Activation.RELU),
        ("linear", "Identity", Activation.IDENTITY),
    )
}
_UNTYPED = ("DistilBert", "MPNet")  # tokenizers that never hand over the types of tokens


class Scorer(Protocol):
    """What computes the scores of pairs."""

    @property
    def name(self) -> str:
        """What it is, for people to read."""

    def score(self, query: str, texts: Sequence[str], pairs: Pairs) -> Vector:
        """Compute scores.

        Args:
            query: The question.
            texts: The texts.
            pairs: Both, as tokens.

        Returns:
            ``(n,)`` float32, in order.
        """


def check_cross_encoder(folder: ModelFolder) -> None:
    """Refuse a folder that holds no cross-encoder with one score.

    Args:
        folder: The folder.

    Raises:
        ModelLoadError: The message says what it holds instead.
    """
    config = folder.config
    architecture = str((config.get("architectures") or ["nothing"])[0])
    if not architecture.endswith(TASK):
        message = (
            f"{folder.path} holds a {architecture}, no cross-encoder (...{TASK}). Choose a "
            "reranker, such as 'cross-encoder/ms-marco-MiniLM-L6-v2'."
        )
        raise ModelLoadError(message)
    labels = len(config["id2label"]) if config.get("id2label") else config.get("num_labels", 2)
    if labels != 1:
        message = (
            f"{folder.path} gives {labels} labels a pair, a reranker gives one score. Choose a "
            "cross-encoder made for ranking."
        )
        raise ModelLoadError(message)


def not_native(folder: ModelFolder) -> str | None:
    """Say why a cross-encoder cannot run on the native engine.

    Args:
        folder: Its folder.

    Returns:
        The reason in one line, or ``None`` when it can.
    """
    modules = folder.file("modules.json")
    kinds = (
        [str(m.get("type", "")).rpartition(".")[2] for m in parsed_json(modules)] if modules else []
    )
    if kinds not in ([], ["Transformer"]):
        return f"its modules {', '.join(kinds)} are not known here"
    if folder.default_prompt_name:
        return "it puts a prompt before its texts"
    if folder.custom_code:
        return folder.custom_code
    if activation_name(folder) not in _ACTIVATIONS:
        return f"its activation {activation_name(folder)} is not known here"
    return unsupported(folder.config)


def activation_name(folder: ModelFolder) -> str:
    """Name what a cross-encoder applies to its scores; a sigmoid where its folder does not say."""
    own = read_json_if_there(folder.path, "config_sentence_transformers.json")
    within: Mapping[str, Any] = folder.config.get("sentence_transformers") or {}
    named = (
        own.get("activation_fn")
        or within.get("activation_fn")
        or folder.config.get("sbert_ce_default_activation_function")
        or "torch.nn.modules.activation.Sigmoid"
    )
    # The short spelling that some configs have: torch.nn.Identity.
    short = {name.split(".")[-1]: name for name in _ACTIVATIONS}
    package, _, kind = str(named).rpartition(".")
    return short.get(kind, str(named)) if package == "torch.nn" else str(named)


class NativeScorer:
    """A cross-encoder on the native engine.

    Args:
        folder: Its folder.
        threads: How many threads a call uses; all cores when ``None``.

    Raises:
        ModelLoadError: The folder asks for what the engine cannot do, or is damaged.
    """

    def __init__(self, folder: ModelFolder, threads: int | None) -> None:
        reason = not_native(folder)
        if reason is not None:
            message = f"{folder.path} cannot run natively: {reason}. Use backend='torch'."
            raise ModelLoadError(message)
        tensors = folder.tensors()
        head = _head_of(folder, tensors)
        encoder = read_encoder(folder.config, tensors, release=tensors.release)
        self._engine = NativeEngine(encoder, head, threads=threads)
        self._typed = _typed(folder) and encoder.types is not None
        self.name = self._engine.name

    def score(self, query: str, texts: Sequence[str], pairs: Pairs) -> Vector:  # noqa: ARG002
        """Compute the scores of pairs; see :class:`Scorer`."""
        scores = np.empty(len(pairs.ids), np.float32)
        # Longest first, so that the threads end together.
        order = sorted(range(len(pairs.ids)), key=lambda number: -len(pairs.ids[number]))
        for batch in _batches(order, pairs):
            ids = [pairs.ids[number] for number in batch]
            types = [pairs.types[number] for number in batch] if self._typed else None
            scores[batch] = self._engine.encode(ids, token_types=types)[:, 0]
        return scores


class TorchScorer:
    """A cross-encoder on torch: sentence-transformers' CrossEncoder itself.

    On a GPU this has been written but not run: see docs/performance.md.

    Args:
        folder: Its folder.
        device: ``"cpu"``, ``"cuda"``, ...; the library's choice when ``None``.
        max_tokens: A limit in place of the folder's own.
        trust_remote_code: Run code that comes with the model.

    Raises:
        MissingDependencyError: torch or sentence-transformers is not installed.
        ModelLoadError: The folder asks for code or pickles to be run, or cannot be loaded.
        ConfigError: The device is not there.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str | None = None,
        max_tokens: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        torch = require("torch", extra="torch", purpose=PURPOSE)
        library = require("sentence_transformers", extra="torch", purpose=PURPOSE)
        if not trust_remote_code:
            refuse_pickles(folder.path)
            if folder.custom_code:
                folder.require_understood()
        check_device(torch, device)
        try:
            self.model = library.CrossEncoder(
                str(folder.path),
                device=device,
                max_length=max_tokens,
                trust_remote_code=trust_remote_code,
                local_files_only=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            message = f"sentence-transformers cannot load {folder.path}: {error}"
            raise ModelLoadError(message) from error
        self.name = f"torch ({self.model.device})"

    def score(self, query: str, texts: Sequence[str], pairs: Pairs) -> Vector:  # noqa: ARG002
        """Compute the scores of pairs; see :class:`Scorer`."""
        if not texts:
            return np.empty(0, np.float32)
        asked = [(query, text) for text in texts]
        found = self.model.predict(asked, batch_size=TORCH_PAIRS, show_progress_bar=False)
        return np.asarray(found, np.float32)


def _batches(order: Sequence[int], pairs: Pairs) -> list[list[int]]:
    """Part pairs into groups of a bounded number of tokens."""
    batches: list[list[int]] = []
    left = 0
    for number in order:
        size = len(pairs.ids[number])
        if not batches or size > left:
            batches.append([])
            left = BATCH_TOKENS
        batches[-1].append(number)
        left -= size
    return batches


def _typed(folder: ModelFolder) -> bool:
    """Say whether the model is told which tokens are of the question and which of the text."""
    if folder.config["model_type"] != "bert":
        return False  # the other families have one type, or none
    named = folder.tokenizer_config.get("model_input_names")
    if named is not None:
        return "token_type_ids" in named
    return not str(folder.tokenizer_config.get("tokenizer_class", "")).startswith(_UNTYPED)


def _head_of(folder: ModelFolder, tensors: Mapping[str, Any]) -> Head:
    inner, activation, outer = _HEADS[folder.config["model_type"]]
    parts = []
    for name, applied in ((inner, activation), (outer, _ACTIVATIONS[activation_name(folder)])):
        if f"{name}.weight" not in tensors or f"{name}.bias" not in tensors:
            message = f"{folder.path} lacks the tensors {name!r} of its head. Fetch it again."
            raise ModelLoadError(message)
        weight, bias = widen(tensors[f"{name}.weight"]), widen(tensors[f"{name}.bias"])
        parts.append(Dense(np.array(weight), np.array(bias), applied))
    head = Head(pooling=(Pooling.CLS,), normalize=False, dense=tuple(parts))
    if parts[-1].weight.shape[0] != 1:
        message = f"{folder.path} says it gives one score; its head gives another number."
        raise ModelLoadError(message)
    return head
