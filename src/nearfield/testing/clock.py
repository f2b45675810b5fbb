"""A clock that tests wind by hand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeClock:
    """Stands in for :class:`nearfield.remote.clock.Clock`: waiting takes no time.

    Attributes:
        time: What it shows, in seconds since 1970 as well as of a steady clock.
        sleeps: All waits so far, in seconds.
    """

    time: float = 1_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> float:
        """Give the time."""
        return self.time

    def date(self) -> float:
        """Give the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Wind the clock on."""
        self.sleeps.append(seconds)
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        """Wind the clock on."""
        self.sleep(seconds)

    def chance(self) -> float:
        """Give no luck either way."""
        return 0.5
