"""A model run here: its folder, its tokenizer and an engine, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from nearfield.core.batching import preview
from nearfield.core.report import count
from nearfield.core.vectors import SimilarityMode, similarity
from nearfield.errors import InputTooLongError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vector, Vectors
    from nearfield.runtime.tokenize import TextTokenizer, Tokens

Backend = Literal["native", "torch", "onnx", "openvino"]
OnTruncation = Literal["warn", "error", "ignore"]


class Engine(Protocol):
    """What computes vectors from token numbers."""

    @property
    def name(self) -> str:
        """What it is, for people to read."""

    @property
    def dim(self) -> int:
        """Numbers per vector."""

    def encode(self, token_ids: Sequence[Sequence[int]], *, prompt_tokens: int = 0) -> Vectors:
        """Compute vectors.

        Args:
            token_ids: For each text its token numbers, specials included.
            prompt_tokens: How many of the first tokens of each text belong to a prompt.

        Returns:
            ``(n, dim)`` float32, in order.
        """


class LocalModel:
    """Texts in, vectors out, on this machine.

    Args:
        name: The model's name, for messages.
        tokenizer: Its tokenizer, with the limit that holds.
        engine: What computes.
        backend: The backend it belongs to.
        weights: The files its weights were read from.
        facts: What else changes its vectors, for the fingerprint.
        mode: The comparison the model was trained for.
        on_truncation: ``"error"`` refuses a text that would be cut; otherwise cuts are counted.
    """

    def __init__(
        self,
        name: str,
        tokenizer: TextTokenizer,
        engine: Engine,
        *,
        backend: Backend | Literal["static"] = "native",
        weights: tuple[Path, ...] = (),
        facts: Mapping[str, Any] | None = None,
        mode: SimilarityMode = SimilarityMode.COSINE,
        on_truncation: OnTruncation = "warn",
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.engine = engine
        self.backend = backend
        self.weights = weights
        self.facts = dict(facts or {})
        self.mode = mode
        self.on_truncation = on_truncation

    def embed(self, texts: Sequence[str], prompt: str = "") -> Vectors:
        """Compute the vectors of texts; tokens and cuts are added to the call's report.

        Args:
            texts: Any number of texts.
            prompt: Put before each of them.

        Returns:
            ``(n, dim)`` float32, in order.

        Raises:
            InputTooLongError: A text is too long and cutting is forbidden; none is computed.
        """
        tokens = self.tokenizer.encode(texts, prompt)
        self.admit(texts, tokens)
        prompt_tokens = self.tokenizer.prompt_tokens(prompt)
        return self.engine.encode(tokens.ids, prompt_tokens=prompt_tokens)

    def admit(self, texts: Sequence[str], tokens: Tokens) -> None:
        """Count tokens and cuts, or refuse the cuts.

        Raises:
            InputTooLongError: A text was cut and cutting is forbidden.
        """
        cut = sum(tokens.cut)
        if cut and self.on_truncation == "error":
            self._refuse(texts, tokens.cut)
        count(
            tokens=sum(map(len, tokens.ids)),
            truncated_texts=sum(map(bool, tokens.cut)),
            truncated_tokens=cut,
        )

    @property
    def exposed(self) -> Any:
        """What users of ``_model`` see: an object with ``encode`` and ``similarity``."""
        return self

    def close(self) -> None:
        """Let go of what the model holds beyond memory: nothing, on most backends."""

    def encode(self, sentences: str | Sequence[str], *, prompt: str = "") -> Vector | Vectors:
        """Compute vectors, in the manner of sentence-transformers.

        Args:
            sentences: A text, or several.
            prompt: Put before each of them.

        Returns:
            ``(dim,)`` float32 for one text, ``(n, dim)`` for several.
        """
        if isinstance(sentences, str):
            vector: Vector = self.embed([sentences], prompt)[0]
            return vector
        return self.embed(sentences, prompt)

    def similarity(self, embeddings1: object, embeddings2: object) -> NDArray[np.float32]:
        """Compare vectors as the model was trained to compare them.

        Args:
            embeddings1: ``(n, dim)`` or ``(dim,)`` numbers, an array or lists.
            embeddings2: ``(m, dim)`` or ``(dim,)`` numbers.

        Returns:
            ``(n, m)`` float32; higher is nearer.
        """
        return similarity(embeddings1, embeddings2, self.mode)

    def _refuse(self, texts: Sequence[str], cut: Sequence[int]) -> None:
        number = int(np.flatnonzero(cut)[0])
        message = (
            f"Text {number} ({preview(texts[number])}) is {cut[number]:,} tokens longer than the "
            f"{self.tokenizer.max_tokens:,} {self.name} reads. Split it, or pass "
            "on_truncation='warn'."
        )
        raise InputTooLongError(message)
