"""Plain ASCII text into BERT's word pieces, word by word, each word read once.

BERT's tokenizers part text at blanks and punctuation and read every word by itself, so
that what a word becomes can be kept. On plain text this takes a tenth of the time the
tokenizers library takes; all other text is left to the library.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS_KEPT = 1 << 16
# What BERT calls a word in ASCII; and what it removes, where the library is left to do it.
_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class WordPieces(dict[str, tuple[int, ...]]):
    """Token numbers by word, found when first asked for, and a bounded number kept.

    Args:
        read_word: Gives the token numbers of a word.
        lower_case: Whether texts are lower-cased first.
        openers: Characters with which the tokenizer's special words begin; a text that
            holds one is left to the library.
    """

    def __init__(
        self, read_word: Callable[[str], list[int]], *, lower_case: bool, openers: str
    ) -> None:
        super().__init__()
        self._read_word = read_word
        self._lower_case = lower_case
        self._odd = (
            re.compile(f"{_CONTROLS.pattern}|[{re.escape(openers)}]") if openers else _CONTROLS
        )

    def __missing__(self, word: str) -> tuple[int, ...]:
        """Read a word and keep what it became."""
        if len(self) >= WORDS_KEPT:
            self.clear()
        found = self[word] = tuple(self._read_word(word))
        return found

    def read(self, text: str) -> list[int] | None:
        """Give the token numbers of a text, specials left out.

        Args:
            text: Any text.

        Returns:
            The numbers; ``None`` for a text that is for the library to read.
        """
        if not text.isascii() or self._odd.search(text):
            return None
        words = _WORDS.findall(text.lower() if self._lower_case else text)
        return list(chain.from_iterable(map(self.__getitem__, words)))


def word_pieces(tokenizer: Any) -> WordPieces | None:
    """Give the quick way to a tokenizer's numbers.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``, as it will be used.

    Returns:
        What reads plain text as it does, or ``None`` when it is not one of BERT's kind.
    """
    from tokenizers import models, normalizers, pre_tokenizers  # noqa: PLC0415 - with its use

    parts = (
        (tokenizer.model, models.WordPiece),
        (tokenizer.normalizer, normalizers.BertNormalizer),
        (tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer),
    )
    if not all(isinstance(part, kind) for part, kind in parts):
        return None
    added = tokenizer.get_added_tokens_decoder().values()
    openers = "".join({token.content[:1] for token in added})
    if not tokenizer.normalizer.clean_text or any(map(str.isalnum, openers)):
        return None

    def read_word(word: str) -> list[int]:
        ids: list[int] = tokenizer.encode(word, add_special_tokens=False).ids
        return ids

    return WordPieces(read_word, lower_case=tokenizer.normalizer.lowercase, openers=openers)
