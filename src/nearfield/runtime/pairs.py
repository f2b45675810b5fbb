"""Pairs of texts into tokens, as a cross-encoder reads them: framed, typed, cut longest first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.tokenize import TextTokenizer
from nearfield.runtime.tokenizer_files import folder_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.runtime.model_folder import ModelFolder


@dataclass(frozen=True, slots=True)
class Pairs:
    """A question with each of several texts, as the model reads them.

    Attributes:
        ids: For each pair its token numbers, specials included, cut to the model's limit.
        types: For each pair the type of each token: 0 in the question, mostly 1 in the text.
        cut: For each pair how many tokens were left out, of both parts.
    """

    ids: list[list[int]]
    types: list[list[int]]
    cut: list[int]


class PairTokenizer:
    """A model's tokenizer, reading pairs.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``; its truncation and padding are switched off.
        max_tokens: Tokens the model reads of a pair, specials included; ``None`` without a limit.
        options: What else :class:`~nearfield.runtime.tokenize.TextTokenizer` takes.

    Raises:
        ModelLoadError: The limit leaves no room for a pair, or the tokenizer does something
            else than putting tokens before, between and after the two texts.
    """

    def __init__(self, tokenizer: Any, *, max_tokens: int | None = None, **options: Any) -> None:
        self.max_tokens = max_tokens
        self._texts = TextTokenizer(tokenizer, specials=False, **options)
        self._frame = _frame_of(tokenizer)
        self.special_tokens = sum(len(part) for part in self._frame.specials)
        if max_tokens is not None and max_tokens < self.special_tokens + 2:
            message = (
                f"A limit of {max_tokens} tokens leaves no room for a pair beside the "
                f"{self.special_tokens} the model adds. Raise max_length."
            )
            raise ModelLoadError(message)

    @classmethod
    def of_folder(
        cls, folder: ModelFolder, *, max_tokens: int | None = None, threads: int | None = None
    ) -> PairTokenizer:
        """Make the tokenizer of a model folder.

        Args:
            folder: The folder.
            max_tokens: A limit in place of the folder's own.
            threads: 1 keeps the work on the calling thread.

        Raises:
            ModelLoadError: The folder has no usable tokenizer.
        """
        return cls(
            folder_tokenizer(folder),
            max_tokens=max_tokens or folder.max_tokens,
            config=folder.tokenizer_config,
            lower_case=folder.lower_case,
            threads=threads,
        )

    def encode(self, query: str, texts: Sequence[str]) -> Pairs:
        """Turn a question and each of several texts into what the model reads.

        Args:
            query: The first part of every pair.
            texts: The second parts.

        Returns:
            The pairs, in order.
        """
        (first,) = self._texts.encode([query]).ids
        frame, pairs = self._frame, Pairs([], [], [])
        for second in self._texts.encode(texts).ids:
            parts = [first, second]
            keep = self._room(len(first), len(second))
            if self._texts.cuts_left:
                parts = [p[len(p) - size :] for p, size in zip(parts, keep, strict=True)]
            else:
                parts = [p[:size] for p, size in zip(parts, keep, strict=True)]
            pairs.ids.append(frame.around(*parts))
            pairs.types.append(frame.types(*keep))
            pairs.cut.append(len(first) + len(second) - sum(keep))
        return pairs

    def _room(self, first: int, second: int) -> tuple[int, int]:
        """Give how many tokens of each part are read: the longer one is cut first."""
        if self.max_tokens is None or first + second + self.special_tokens <= self.max_tokens:
            return first, second
        room = self.max_tokens - self.special_tokens
        # The odd token goes to the longer part, and to the second of two equally long ones.
        shorter = min(first, second, room // 2)
        return (room - shorter, shorter) if first > second else (shorter, room - shorter)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands around two texts: tokens before, between and after, and types of all five."""

    specials: tuple[list[int], ...]
    special_types: tuple[list[int], ...]
    text_types: tuple[int, ...]

    def around(self, first: list[int], second: list[int]) -> list[int]:
        before, between, after = self.specials
        return [*before, *first, *between, *second, *after]

    def types(self, first: int, second: int) -> list[int]:
        before, between, after = self.special_types
        one, other = self.text_types
        return [*before, *[one] * first, *between, *[other] * second, *after]


def _frame_of(tokenizer: Any) -> _Frame:
    """Find what a tokenizer puts around a pair, from how it reads one."""
    whole = tokenizer.encode("a", "a")
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    owners: list[int | None] = whole.sequence_ids
    if bare and 0 in owners and 1 in owners:
        first, second = owners.index(0), owners.index(1)
        bounds = [0, first, first + len(bare), second, second + len(bare), len(whole.ids)]
        parts = [slice(*bound) for bound in pairwise(bounds)]
        ids = [whole.ids[part] for part in parts]
        types = [whole.type_ids[part] for part in parts]
        if bounds == sorted(bounds) and ids[1] == ids[3] == bare:
            return _Frame(tuple(ids[::2]), tuple(types[::2]), (types[1][0], types[3][0]))
    message = (
        "The tokenizer does not simply put tokens before, between and after two texts. "
        "Use backend='torch'."
    )
    raise ModelLoadError(message)
