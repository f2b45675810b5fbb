"""How a model is driven by the server: reading texts and computing vectors, as two steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from nearfield.core.settings import available_cores
from nearfield.core.tokens import EstimatedMeasure, count_tokens
from nearfield.errors import ConfigError, InputTooLongError
from nearfield.runtime.cut import CutEngine
from nearfield.runtime.local_embedding import LocalEmbedding
from nearfield.runtime.local_model import LocalModel
from nearfield.runtime.native import NativeEngine

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from nearfield.core.embeddings import BaseEmbedding, InputType


@dataclass(frozen=True, slots=True)
class Reading:
    """Texts as a model takes them.

    Attributes:
        payloads: What :meth:`Lane.compute` takes, one a text.
        tokens: The length of each text.
        cut: How many tokens of each were left out.
    """

    payloads: Sequence[Any]
    tokens: Sequence[int]
    cut: Sequence[int]


class Lane(Protocol):
    """A model in two steps, each of which may run in several threads at once.

    Attributes:
        parallel: How many calls of :meth:`compute` are worth running at once.
    """

    parallel: int

    def read(self, texts: Sequence[Any], input_type: InputType) -> Reading:
        """Make texts ready.

        Args:
            texts: Texts, or lists of the model's token numbers.
            input_type: Query or document.
        """

    def group(self, input_type: InputType) -> Hashable:
        """Give what texts must share to be computed together."""

    def compute(self, payloads: Sequence[Any], group: Any, *, threads: int) -> object:
        """Compute the vectors of texts.

        Args:
            payloads: What :meth:`read` gave, of one group.
            group: The group.
            threads: How many of the :attr:`parallel` threads this call may use.

        Returns:
            Rows of numbers, in order.
        """


def lane_of(model: BaseEmbedding) -> Lane:
    """Give the best way to drive a model.

    Args:
        model: Any model.
    """
    runner = getattr(model, "_runner", None)
    plain = (
        isinstance(model, LocalEmbedding)
        and isinstance(runner, LocalModel)
        and type(model)._encode is LocalEmbedding._encode  # noqa: SLF001 - is it overridden?
        and type(runner).embed is LocalModel.embed
        and model.cache is None
    )
    return TokenLane(model) if plain and isinstance(model, LocalEmbedding) else TextLane(model)


class TokenLane:
    """A local model: its tokenizer, then its engine, without the steps between.

    The native engine gives a text the same bits in any batch, at any number of threads.

    Args:
        model: The model.
    """

    def __init__(self, model: LocalEmbedding) -> None:
        self._model = model
        runner = model._runner  # noqa: SLF001 - the two steps of its embed(), taken apart
        self._tokenizer, self._engine = runner.tokenizer, runner.engine
        whole = self._engine.whole if isinstance(self._engine, CutEngine) else self._engine
        self._takes_threads = isinstance(whole, NativeEngine)
        self.parallel = _threads(model) if self._takes_threads else 1
        self._refuses_cuts = runner.on_truncation == "error"
        self._totals = model.totals  # which its own encode() would keep
        # A prompt never changes, and finding its length costs as much as a short text.
        self.group = lru_cache(self._prompt_tokens)

    def read(self, texts: Sequence[Any], input_type: InputType) -> Reading:
        """Turn texts into token numbers, cut to the model's limit."""
        if not isinstance(texts[0], str):
            return self._framed(texts, input_type)
        read = self._tokenizer.encode(texts, self._model.applied_prompts.of(input_type))
        return self._checked(read.ids, read.cut)

    def compute(self, payloads: Sequence[Any], group: Any, *, threads: int) -> object:
        """Compute the vectors of token numbers."""
        options: dict[str, Any] = {"threads": threads} if self._takes_threads else {}
        return self._engine.encode(payloads, prompt_tokens=group, **options)

    def _prompt_tokens(self, input_type: InputType) -> int:
        return self._tokenizer.prompt_tokens(self._model.applied_prompts.of(input_type))

    def _framed(self, texts: Sequence[Sequence[int]], input_type: InputType) -> Reading:
        """Put the model's own token numbers between what frames a text."""
        frame = self._tokenizer.framed([-1])[0]
        place = frame.index(-1)
        head, tail = frame[:place], frame[place + 1 :]
        prompt = self._model.applied_prompts.of(input_type)
        before = self._tokenizer.encode([prompt]).ids[0] if prompt else frame[:place] + tail
        before = before[: len(before) - len(tail)]
        limit = self._tokenizer.max_tokens
        ids, cut = [], []
        for text in texts:
            inner = list(text)
            if len(inner) >= len(frame) - 1 and inner[:place] == head and _ends(inner, tail):
                inner = inner[place : len(inner) - len(tail)]  # framed by the client already
            room = len(inner) if limit is None else max(0, limit - len(before) - len(tail))
            ids.append([*before, *inner[:room], *tail])
            cut.append(max(0, len(inner) - room))
        return self._checked(ids, cut)

    def _checked(self, ids: list[list[int]], cut: list[int]) -> Reading:
        if self._refuses_cuts and any(cut):
            number = next(number for number, over in enumerate(cut) if over)
            message = (
                f"A text is {cut[number]:,} tokens longer than the {self._tokenizer.max_tokens:,} "
                "the model reads. Split it."
            )
            raise InputTooLongError(message)
        tokens = [len(each) for each in ids]
        self._totals.add(
            texts=len(ids),
            computed=len(ids),
            tokens=sum(tokens),
            truncated_texts=sum(map(bool, cut)),
            truncated_tokens=sum(cut),
        )
        return Reading(ids, tokens, cut)


class TextLane:
    """Any other model, by its public ``encode``; lengths may be estimates.

    Args:
        model: The model.
    """

    parallel = 1

    def __init__(self, model: BaseEmbedding) -> None:
        self._model = model
        self._measure = model.measure or EstimatedMeasure()
        self.parallel = model.num_workers or 1

    def read(self, texts: Sequence[Any], input_type: InputType) -> Reading:  # noqa: ARG002 - Lane's
        """Count the texts' tokens."""
        if not isinstance(texts[0], str):
            message = (
                f"{self._model.model_name} takes no token numbers here. Send texts: set "
                "check_embedding_ctx_length=False."
            )
            raise ConfigError(message)
        tokens = count_tokens(self._measure, texts)
        limit = self._model.max_tokens
        cut = [0 if limit is None else max(0, length - limit) for length in tokens]
        return Reading(texts, [n - over for n, over in zip(tokens, cut, strict=True)], cut)

    def group(self, input_type: InputType) -> InputType:
        """Queries with queries, documents with documents."""
        return input_type

    def compute(self, payloads: Sequence[Any], group: Any, *, threads: int) -> object:  # noqa: ARG002
        """Compute the vectors of texts, with as many threads as the model itself takes."""
        return self._model.encode_with_report(payloads, input_type=group)[0]


def _threads(model: object) -> int:
    """Give how many threads a model was told to compute with."""
    options = getattr(model, "options", None)
    return getattr(options, "threads", None) or available_cores()


def _ends(ids: list[int], tail: list[int]) -> bool:
    return not tail or ids[-len(tail) :] == tail
