"""Keys, and headers that may hold some, that do not show."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|pk|key)-[\w*.-]{6,}")


class Secret:
    """A key from an argument or from the environment.

    It never appears in ``repr``, in a pickle or in a copy's state: an unpickled
    secret reads the environment variable of the machine it wakes up on.

    Args:
        value: The key, or a function that gives one each time it is needed.
        variable: The environment variable to read when there is no value.
    """

    __slots__ = ("_value", "variable")

    def __init__(
        self, value: str | Callable[[], str] | None = None, variable: str | None = None
    ) -> None:
        self._value = value
        self.variable = variable

    def reveal(self) -> str | None:
        """Give the key, or ``None`` when there is none."""
        value = self._value() if callable(self._value) else self._value
        return value or (os.environ.get(self.variable) if self.variable else None) or None

    def hide(self, text: str) -> str:
        """Give a text with the key, and all that looks like one, blotted out."""
        key = self.reveal()
        if key and len(key) > 3:  # noqa: PLR2004 - a shorter one is no secret, and common in words
            text = text.replace(key, "[key]")
        return _LOOKS_LIKE_A_KEY.sub("[key]", text)

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Secret(...)"

    def __reduce__(self) -> tuple[type[Secret], tuple[None, str | None]]:
        """Leave the key behind when pickled."""
        return Secret, (None, self.variable)

    def __copy__(self) -> Self:
        """Share the secret with copies in the same process."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """Share the secret with copies in the same process."""
        return self


class SecretHeaders:
    """Headers whose values may be keys: not in ``repr``, not in a pickle, shared by copies.

    Args:
        values: The headers, by name.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def reveal(self) -> dict[str, str]:
        """Give the headers."""
        return dict(self._values)

    def __repr__(self) -> str:
        """Show nothing of them."""
        return "SecretHeaders(...)"

    def __reduce__(self) -> tuple[type[SecretHeaders], tuple[()]]:
        """Leave the headers behind when pickled."""
        return SecretHeaders, ()

    def __copy__(self) -> Self:
        """Share the headers with copies in the same process."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """Share the headers with copies in the same process."""
        return self
