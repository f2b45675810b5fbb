"""Work put aside to a thread; asyncio is imported only where something is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread, in this context, and leave the event loop free.

    Args:
        call: The function.
        args: What it is called with.
        kwargs: What else it is called with.

    Returns:
        What it gives.
    """
    # A fifth of the time that importing the index takes would go to asyncio.
    import asyncio  # noqa: PLC0415

    return await asyncio.to_thread(call, *args, **kwargs)
