"""Texts into tokens: the model's own tokenizer, its limit, and the count of what is cut.

The tokenizer is kept without truncation or padding, and texts are cut here:
so one object both measures whole texts and prepares them for the model, from
any number of threads, and what was cut is known without reading a text twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nearfield.errors import ModelLoadError
from nearfield.runtime.tokenizer_files import folder_tokenizer, read_tokenizer
from nearfield.runtime.word_pieces import word_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.runtime.model_folder import ModelFolder

# The library's own records of a text are large: kept for few texts at a time, they stay
# in the processor's cache, which was measured to cost a quarter less.
BLOCK_TEXTS = 512
FEW_TEXTS = 4  # so few are read one by one: waking the tokenizer's threads costs more
_BERT_OPTIONS = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "tokenize_chinese_chars",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Texts as the model reads them.

    Attributes:
        ids: For each text its token numbers, specials included, cut to the model's limit.
        cut: For each text how many tokens were left out.
    """

    ids: list[list[int]]
    cut: list[int]


class TextTokenizer:
    """A Hugging Face tokenizer with a limit; it is a :class:`~nearfield.core.tokens.TokenMeasure`.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``; its truncation and padding are switched off.
        max_tokens: Tokens the model reads of a text, specials included; ``None`` without a limit.
        config: ``tokenizer_config.json``, whose word on lower case and accents wins.
        lower_case: Lower-case every text first.
        specials: Whether the tokens that frame a text are part of it.
        left_out: The number of a token the model leaves out of texts, so that it takes no room
            under the limit.
        threads: 1 keeps the work on the calling thread; more, or ``None``, leave it to the library.

    Attributes:
        cuts_left: Whether a text over the limit loses its beginning instead of its end.

    Raises:
        ModelLoadError: The limit leaves no room for a text, or the tokenizer does something
            else than putting tokens before and after a text.
    """

    exact = True

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_tokens: int | None = None,
        config: Mapping[str, Any] | None = None,
        lower_case: bool = False,
        specials: bool = True,
        left_out: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.max_tokens = max_tokens
        self._left_out = left_out
        self.threads = threads
        self.cuts_left = (config or {}).get("truncation_side") == "left"
        self._tokenizer = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        normalizer = _normalizer(tokenizer.normalizer, config or {}, lower_case=lower_case)
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        self._words = word_pieces(tokenizer)
        self._head, self._tail = _specials(tokenizer) if specials else ([], [])
        self.special_tokens = len(self._head) + len(self._tail)
        if max_tokens is not None and max_tokens <= self.special_tokens:
            message = (
                f"A limit of {max_tokens} tokens leaves no room beside the "
                f"{self.special_tokens} the model adds to every text. Raise max_length."
            )
            raise ModelLoadError(message)

    @classmethod
    def of_file(cls, path: Path, **options: Any) -> TextTokenizer:
        """Make the tokenizer that a ``tokenizer.json`` describes.

        Args:
            path: The file.
            options: As for the class.

        Raises:
            ModelLoadError: The file is damaged, or of a newer kind than the library reads.
        """
        return cls(read_tokenizer(path), **options)

    @classmethod
    def of_folder(
        cls, folder: ModelFolder, *, max_tokens: int | None = None, threads: int | None = None
    ) -> TextTokenizer:
        """Make the tokenizer of a model folder.

        Args:
            folder: The folder.
            max_tokens: A limit in place of the folder's own.
            threads: As for the class.

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

    def encode(self, texts: Sequence[str], prompt: str = "") -> Tokens:
        """Turn texts into the token numbers the model reads.

        Args:
            texts: Any number of texts.
            prompt: Put before each text.

        Returns:
            The tokens, cut to the limit, and the count of what was cut.
        """
        room = None if self.max_tokens is None else self.max_tokens - self.special_tokens
        ids: list[list[int]] = []
        cut: list[int] = []
        for start in range(0, len(texts), BLOCK_TEXTS):
            block = texts[start : start + BLOCK_TEXTS]
            for whole in self._numbers([prompt + text for text in block] if prompt else block):
                inner, over = self._fitted(whole, room)
                ids.append([*self._head, *inner, *self._tail])
                cut.append(over)
        return Tokens(ids, cut)

    def _fitted(self, whole: list[int], room: int | None) -> tuple[list[int], int]:
        """Give the tokens there is room for, and how many there were beyond."""
        if room is not None and len(whole) > room and self._left_out is not None:
            whole = [number for number in whole if number != self._left_out]
        if room is None or len(whole) <= room:
            return whole, 0
        over = len(whole) - room
        return whole[over:] if self.cuts_left else whole[:room], over

    def framed(self, tokens: Iterable[int]) -> list[list[int]]:
        """Give each token as a text of its own, between the tokens that frame a text."""
        return [[*self._head, token, *self._tail] for token in tokens]

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the place of every token of every text; see ``TokenMeasure.offsets``."""
        encodings = self._encodings(texts, places=True)
        return [np.array(e.offsets, np.int32).reshape(-1, 2) for e in encodings]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def spellings(self) -> list[str]:
        """Give every token as the vocabulary spells it, by its number; ``""`` where none has it."""
        return [self._tokenizer.id_to_token(number) or "" for number in range(self.vocabulary)]

    def save(self, path: Path) -> None:
        """Write the tokenizer as it is used here, as a ``tokenizer.json``."""
        self._tokenizer.save(str(path))

    def prompt_tokens(self, prompt: str) -> int:
        """Count the first tokens of every text that belong to a prompt, specials included."""
        if not prompt:
            return 0
        return len(self._head) + len(self._encodings([prompt])[0].ids)

    def _numbers(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token numbers of texts, specials left out."""
        if self._words is None:
            return [encoding.ids for encoding in self._encodings(texts)]
        found = [self._words.read(text) for text in texts]
        others = [number for number, ids in enumerate(found) if ids is None]
        if others:
            encodings = self._encodings([texts[number] for number in others])
            for number, encoding in zip(others, encodings, strict=True):
                found[number] = encoding.ids
        return cast("list[list[int]]", found)

    def _encodings(self, texts: Sequence[str], *, places: bool = False) -> list[Any]:
        try:
            return self._read(texts, places=places)
        except (TypeError, UnicodeEncodeError):
            # Half a character pair, as cut-up JSON has it, is no text to the library.
            # One character stands for one, so that offsets keep their meaning.
            return self._read([_SURROGATE.sub("\ufffd", t) for t in texts], places=places)

    def _read(self, texts: Sequence[str], *, places: bool) -> list[Any]:
        if self.threads == 1 or len(texts) <= FEW_TEXTS:
            return [self._tokenizer.encode(text, add_special_tokens=False) for text in texts]
        read = self._tokenizer.encode_batch if places else self._tokenizer.encode_batch_fast
        found: list[Any] = read(list(texts), add_special_tokens=False)
        return found


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Find the tokens put before and after every text."""
    whole = tokenizer.encode("a")
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    before = len(list(takewhile(bool, whole.special_tokens_mask)))
    after = before + len(bare)
    if whole.ids[before:after] != bare or not all(whole.special_tokens_mask[after:]):
        message = (
            "The tokenizer does not simply put tokens before and after a text. Use backend='torch'."
        )
        raise ModelLoadError(message)
    return whole.ids[:before], whole.ids[after:]


def _normalizer(normalizer: Any, config: Mapping[str, Any], *, lower_case: bool) -> Any:
    """Give the normalizer that transformers would use, which heeds the tokenizer's config."""
    from tokenizers import normalizers  # noqa: PLC0415 - as above

    if isinstance(normalizer, normalizers.BertNormalizer):
        for ours, theirs in _BERT_OPTIONS.items():
            if theirs in config:
                setattr(normalizer, ours, config[theirs])
    state = "" if normalizer is None else normalizer.__getstate__().decode()
    if lower_case and '"Lowercase"' not in state and '"lowercase":true' not in state:
        parts = [normalizers.Lowercase(), *([normalizer] if normalizer else [])]
        return normalizers.Sequence(parts)
    return normalizer
