"""Keys, and headers that may hold some, that do not show."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Self

from nearfield.errors import ConfigError

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

    __slots__ = ("_last", "_value", "variable")

    def __init__(
        self, value: str | Callable[[], str] | None = None, variable: str | None = None
    ) -> None:
        self._value = value
        self.variable = variable
        self._last: str | None = None

    def reveal(self) -> str | None:
        """Give the key, without the line end of the file it may come from; ``None`` for none.

        Raises:
            ConfigError: It is not a text.
        """
        value = self._value() if callable(self._value) else self._value
        found = value or (os.environ.get(self.variable) if self.variable else None) or ""
        if not isinstance(found, str):
            message = f"A key must be a text or a function that gives one, not {type(found)!r}."
            raise ConfigError(message)
        self._last = found.strip() or None
        return self._last

    def hide(self, text: str) -> str:
        """Give a text with the key used last, and all that looks like one, blotted out."""
        key = self._last or self.reveal()
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

    Raises:
        ConfigError: One cannot be sent; the message names it and does not show its value.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        for name, value in self._values.items():
            if not (isinstance(value, str) and can_be_sent(value)):
                message = (
                    f"The header {name!r} cannot be sent: its value must be a text without "
                    "line ends and letters beyond ASCII."
                )
                raise ConfigError(message)

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


def can_be_sent(text: str) -> bool:
    """Say whether a text can be the value of a header.

    Args:
        text: A key, or a header's value.

    Returns:
        Whether HTTP has a way to write it. What refuses it later shows all of it.
    """
    return text.isascii() and text.isprintable()
