"""Cross-encoders of Hugging Face, run on this machine: native or torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.aside import in_thread
from nearfield.core.batching import preview
from nearfield.core.embeddings.names import check_texts
from nearfield.core.report import count
from nearfield.core.settings import Settings
from nearfield.core.warn import warn
from nearfield.errors import ConfigError, InputTooLongError, InvalidVectorsError
from nearfield.runtime.backends import check_max_length
from nearfield.runtime.cross_encoder import (
    NativeScorer,
    TorchScorer,
    activation_name,
    check_cross_encoder,
    not_native,
)
from nearfield.runtime.fingerprint import (
    file_digest,
    fingerprint,
    tokenizer_digest,
    tokenizer_settings,
)
from nearfield.runtime.hub import find_model
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.options import Choice, Options, choose_by_keywords
from nearfield.runtime.pairs import PairTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nearfield.core.vectors import Vector
    from nearfield.runtime.cross_encoder import Scorer
    from nearfield.runtime.local_model import OnTruncation
    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.pairs import Pairs

DEFAULT_MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"
OWNER = "cross-encoder"
BACKENDS = ("native", "torch")


class HuggingFaceReranker:
    """A cross-encoder, from a folder or the hub: question and text in, one score out.

    Args:
        model_name: A folder, or a name on the hub; without an owner ``cross-encoder``'s.
        backend: ``"native"``, ``"torch"``, or ``"auto"``: native where the model allows it.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; never silently another one.
        max_length: Tokens read of each pair, in place of the model's own limit.
        on_truncation: ``"warn"``, ``"error"`` or ``"ignore"`` pairs the model cannot read
            whole; they are cut where they are longest.
        threads: Threads to compute with; ``Settings.threads`` by default.
        cache_folder: The folder of fetched models, in place of ``HF_HUB_CACHE``.
        revision: A branch, tag, commit or ``"refs/pr/N"``.
        token: As huggingface_hub takes it; ``HF_TOKEN`` by default.
        local_files_only: Never ask the hub.
        trust_remote_code: Run code and pickles that come with the model; torch only.

    Attributes:
        choice: The backend, and why it was chosen.
        max_tokens: Tokens the model reads of a pair, specials included; ``None`` without a limit.

    Raises:
        UnknownModelError: There is no such folder or model.
        ModelLoadError: The model is not here and cannot be fetched, is damaged, or is no
            cross-encoder with one score.
        ConfigError: An argument does not fit the model or the machine.
        MissingDependencyError: The backend's library is not installed.
    """

    def __init__(
        self,
        model_name: str = DEFAULT_MODEL,
        *,
        backend: str = "auto",
        device: str | None = None,
        max_length: int | None = None,
        on_truncation: OnTruncation = "warn",
        threads: int | None = None,
        cache_folder: Path | str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        # Kept, but for the token, to load the model anew where this is unpickled.
        self._settings: dict[str, Any] = {
            "model_name": str(model_name),
            "backend": backend,
            "device": device,
            "max_length": max_length,
            "on_truncation": on_truncation,
            "threads": threads,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
            "trust_remote_code": trust_remote_code,
        }
        self.model_name = str(model_name)
        self.on_truncation = on_truncation
        options = Options(
            backend=backend,
            device=device,
            max_length=max_length,
            on_truncation=on_truncation,
            threads=Settings.threads if threads is None else threads,
            trust_remote_code=trust_remote_code,
        )
        self.found = find_model(
            self.model_name,
            revision=revision,
            cache_folder=cache_folder,
            token=token,
            local_files_only=local_files_only,
            code=trust_remote_code,
            owner=OWNER,
        )
        self._folder = read_folder(self.found.path)
        check_cross_encoder(self._folder)
        check_max_length(self._folder, options)
        self.choice = _choose(self._folder, options)
        self._pairs = PairTokenizer.of_folder(
            self._folder, max_tokens=max_length, threads=options.threads
        )
        self.max_tokens = self._pairs.max_tokens
        self._scorer: Scorer = (
            NativeScorer(self._folder, options.threads)
            if self.choice.backend == "native"
            else TorchScorer(
                self._folder,
                device=device,
                max_tokens=self.max_tokens,
                trust_remote_code=trust_remote_code,
            )
        )

    _fingerprint: str | None = None

    @property
    def backend(self) -> str:
        """What computes: ``"native"`` or ``"torch"``."""
        return self.choice.backend

    @property
    def fingerprint(self) -> str:
        """What tells this model's scores from any other's; weights are hashed when first asked."""
        if self._fingerprint is None:
            folder = self._folder
            self._fingerprint = fingerprint(
                {
                    "reranker": [file_digest(p, Settings.cache_dir) for p in folder.weight_files],
                    "tokenizer": tokenizer_digest(folder, Settings.cache_dir),
                    **tokenizer_settings(folder),
                    # These two settle whether the model is told which tokens are the text's.
                    "typed": [
                        folder.tokenizer_config.get(name)
                        for name in ("model_input_names", "tokenizer_class")
                    ],
                    "config": dict(folder.config),
                    "activation": activation_name(folder),
                    "max_tokens": self.max_tokens,
                    "prompt": folder.prompts.get(folder.default_prompt_name or ""),
                }
            )
        return self._fingerprint

    def rerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts by how well they answer a question.

        Args:
            query: The question.
            texts: Any number of texts.

        Returns:
            ``(n,)`` float32 in the order of ``texts``; higher is better.

        Raises:
            TypeError: ``query`` is not a string, or ``texts`` is one or holds something else.
            InputTooLongError: A pair is too long and cutting is forbidden; none is scored.
            InvalidVectorsError: The model gave something that is not a finite number.
        """
        if not isinstance(query, str):
            message = f"Expected a question as text, got {type(query).__name__}."
            raise TypeError(message)
        check_texts([query])
        check_texts(texts)
        pairs = self._pairs.encode(query, texts)
        self._admit(texts, pairs)
        scores = self._scorer.score(query, texts, pairs)
        odd = np.flatnonzero(~np.isfinite(scores))
        if len(odd):
            message = (
                f"{self.model_name} gave {scores[odd[0]]} for text {odd[0]} "
                f"({preview(texts[odd[0]])}). Its weights may be damaged."
            )
            raise InvalidVectorsError(message)
        return scores

    async def arerank(self, query: str, texts: Sequence[str]) -> Vector:
        """Score texts without blocking the event loop, as :meth:`rerank` does."""
        return await in_thread(self.rerank, query, texts)

    def _admit(self, texts: Sequence[str], pairs: Pairs) -> None:
        """Count tokens and cuts, warn of cuts, or refuse them."""
        cuts = np.array(pairs.cut, np.int64)
        first = int(cuts.argmax()) if cuts.any() else None
        if first is not None and self.on_truncation == "error":
            message = (
                f"Text {first} ({preview(texts[first])}) is with its question {cuts[first]:,} "
                f"tokens longer than the {self.max_tokens:,} {self.model_name} reads. Split it, "
                "or pass on_truncation='warn'."
            )
            raise InputTooLongError(message)
        count(
            tokens=sum(map(len, pairs.ids)),
            truncated_texts=int((cuts > 0).sum()),
            truncated_tokens=int(cuts.sum()),
        )
        if first is not None and self.on_truncation == "warn":
            warn(
                f"{(cuts > 0).sum()} of {len(texts)} texts were, with their question, longer than "
                f"the {self.max_tokens} tokens {self.model_name} reads; {cuts.sum()} tokens were "
                "left out. Split the texts, or pass on_truncation='ignore'."
            )

    def __repr__(self) -> str:
        """Name the model, the backend, and why it was chosen."""
        why = f" ({self.choice.why})" if self.choice.why else ""
        return (
            f"{type(self).__name__}(model_name={self.model_name!r}, "
            f"backend={self.backend!r}{why}, max_tokens={self.max_tokens})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights behind when pickled or copied."""
        return self._settings

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the model anew, fetched again if its folder is not there."""
        self.__init__(**state)  # type: ignore[misc]


def _choose(folder: ModelFolder, options: Options) -> Choice:
    choice = choose_by_keywords(options)
    if choice is None:
        reason = not_native(folder)
        choice = Choice("native") if reason is None else Choice("torch", reason)
    if choice.backend not in BACKENDS:
        message = (
            f"A reranker runs on {' or '.join(map(repr, BACKENDS))}, not on {choice.backend!r}."
        )
        raise ConfigError(message)
    return choice
