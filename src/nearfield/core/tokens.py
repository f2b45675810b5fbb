"""How many tokens a text has, and where each begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class TokenMeasure(Protocol):
    """The part of a tokenizer that splitting needs.

    Attributes:
        special_tokens: Tokens the model adds to every text.
        exact: Whether the counts are the model's own, or an estimate never below them.
    """

    special_tokens: int
    exact: bool

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the place of every token of every text, specials left out.

        Args:
            texts: Any number of texts.

        Returns:
            For each text ``(tokens, 2)`` int32: first character and one past the
            last, in order. Nothing is cut, however long the text.
        """
