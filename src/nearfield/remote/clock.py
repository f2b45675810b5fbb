"""The passing of time, as a value that tests can replace."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from and how it is waited for.

    Attributes:
        now: Seconds of a steady clock.
        date: Seconds since 1970.
        sleep: Waits, blocking the thread.
        asleep: Waits, not blocking the event loop.
        chance: A random number, 0 to 1, to spread retries.
    """

    now: Callable[[], float] = time.monotonic
    date: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


REAL_CLOCK = Clock()
"""The clock on the wall."""
