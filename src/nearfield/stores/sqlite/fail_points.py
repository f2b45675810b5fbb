"""Named places where a test may interrupt the store.

A test sets :data:`hook`; outside tests it is ``None`` and a place costs nothing.
The names are part of the fault tests: ``begun``, ``removed``, ``documents``,
``vectors``, ``words``, ``committing``, ``committed``, ``snapshot-written``,
``snapshot-renamed``; and of a migration ``filled``, ``exchanged`` and ``cleared``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Tell the hook, if there is one, that a place was reached.

    Args:
        name: The place's name.
    """
    if hook is not None:
        hook(name)
