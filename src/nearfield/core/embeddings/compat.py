"""The rule for classes written like LlamaIndex's: coroutine hooks filed under their own names.

The class of the LlamaIndex page defines ``_get_query_embedding`` twice, the
second time as ``async def``: the second definition would silently replace the
first. A class body read through :class:`HookNamespace` keeps both.
"""

from __future__ import annotations

import abc
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SYNC_HOOKS = ("_get_query_embedding", "_get_text_embedding", "_get_text_embeddings")
"""The sync hooks a class may define in LlamaIndex's style."""

ASYNC_TWIN = {name: name.replace("_get_", "_aget_") for name in SYNC_HOOKS}
"""The coroutine hook that belongs to each sync hook."""


def overrides(cls: type, name: str, other: str) -> bool:
    """Say whether a method is defined further down the class tree than another.

    Args:
        cls: The class at the foot of the tree.
        name: The method.
        other: The other.

    Returns:
        Whether; not where one class defines both.
    """
    for owner in cls.__mro__:
        if other in vars(owner):
            return False
        if name in vars(owner):
            return True
    return False


class HookNamespace(dict[str, Any]):
    """A class body that files ``async def _get_x`` as ``_aget_x``.

    Args:
        owner: The class being made, for the warning.
    """

    def __init__(self, owner: str) -> None:
        super().__init__()
        self._owner = owner
        self._explicit: set[str] = set()
        self._warned = False

    def __setitem__(self, name: str, value: Any) -> None:
        """Store a name of the class body, or its coroutine under the twin's name."""
        if name in ASYNC_TWIN and inspect.iscoroutinefunction(value):
            self._file_as_twin(name, value)
            return
        if name in ASYNC_TWIN.values():
            self._explicit.add(name)
        super().__setitem__(name, value)

    def _file_as_twin(self, name: str, value: Any) -> None:
        twin = ASYNC_TWIN[name]
        used = twin not in self._explicit
        if used:
            super().__setitem__(twin, value)
        if not self._warned:
            self._warned = True
            fate = f"it is used as {twin}" if used else f"it is left out, as {twin} is there too"
            warnings.warn(
                f"{self._owner} defines {name} as a coroutine; {fate}. "
                f"Name it {twin}, or leave it out: the sync hook is then run in a thread.",
                stacklevel=3,
            )


if TYPE_CHECKING:
    _Meta = abc.ABCMeta
else:
    _Meta = type(Protocol)  # an ABCMeta, and the one that lets a protocol be mixed in


class EmbeddingMeta(_Meta):
    """An ``ABCMeta`` whose class bodies are read through :class:`HookNamespace`."""

    # No class of ours is a protocol: the plain checks are right, and faster.
    __instancecheck__ = abc.ABCMeta.__instancecheck__
    __subclasscheck__ = abc.ABCMeta.__subclasscheck__

    @classmethod
    def __prepare__(
        cls, name: str, bases: tuple[type, ...], /, **kwargs: Any
    ) -> MutableMapping[str, object]:
        """Give the mapping in which the class body is run."""
        super().__prepare__(name, bases, **kwargs)
        return HookNamespace(name)

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any
    ) -> EmbeddingMeta:
        """Make the class from a plain copy of its body."""
        return super().__new__(mcs, name, bases, dict(namespace), **kwargs)
