"""Keeping within so many requests and tokens a minute: pure arithmetic over a clock handed in.

A limit is a bucket that fills evenly, at most one minute's worth. A request
takes its cost out at once, even below nothing, and is told how long to wait
until the bucket would have held it: so callers queue in the order they came.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MINUTE_S = 60.0
LONGEST_LEARNT_WAIT_S = 60.0
"""What a header may make us wait: a limit by the day is left to the service to enforce."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(slots=True)
class Bucket:
    """One limit.

    Attributes:
        capacity: The most that can be saved up.
        rate: How much comes in per second.
        level: How much there is; below 0 when spoken for in advance.
        at: When ``level`` was true, in seconds of the caller's clock.
    """

    capacity: float
    rate: float
    level: float
    at: float

    def take(self, cost: float, now: float) -> float:
        """Take out ``cost`` and give the seconds until it would have been there."""
        self._fill(now)
        # What costs more than a full bucket may go when the bucket is full.
        owed = min(cost, self.capacity) - self.level
        self.level -= cost
        return owed / self.rate if owed > 0 else 0.0

    def give(self, cost: float, now: float) -> None:
        """Put back what was taken but not used; take out more when negative."""
        self._fill(now)
        self.level = min(self.level + cost, self.capacity)

    def _fill(self, now: float) -> None:
        self.level = min(self.level + (now - self.at) * self.rate, self.capacity)
        self.at = now


@dataclass(slots=True)
class Pace:
    """The limits of one service, shared by all that send to it.

    Limits that were given hold for good; those not given are learnt from the
    answers' ``x-ratelimit-*`` headers.

    Args:
        requests_per_minute: Requests allowed per minute.
        tokens_per_minute: Tokens allowed per minute.

    Raises:
        ConfigError: A limit is not more than 0.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    _held_until: float = 0.0
    _in_flight: dict[str, float] = field(default_factory=lambda: {"requests": 0.0, "tokens": 0.0})
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Refuse limits that would let nothing through."""
        for name in ("requests_per_minute", "tokens_per_minute"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                message = f"{name} must be more than 0, not {limit!r}. Leave it out for no limit."
                raise ConfigError(message)

    def reserve(self, tokens: float, now: float) -> float:
        """Ask to send a request.

        Args:
            tokens: Its tokens, known or estimated.
            now: The time, in seconds of any steady clock.

        Returns:
            Seconds to wait before sending, 0 to send at once.
        """
        with self._lock:
            wait = max(self._held_until - now, 0.0)
            for name, cost in (("requests", 1.0), ("tokens", tokens)):
                self._in_flight[name] += cost
                bucket = self._bucket(name, now)
                if bucket is not None:
                    pause = bucket.take(cost, now)
                    wait = max(
                        wait, pause if self._given(name) else min(pause, LONGEST_LEARNT_WAIT_S)
                    )
            return wait

    def give_back(self, tokens: float, now: float) -> None:
        """Say that a reserved request will not be sent; it has yet to be settled.

        Args:
            tokens: The tokens it was reserved with.
            now: The time.
        """
        with self._lock:
            for name, cost in (("requests", 1.0), ("tokens", tokens)):
                if name in self._buckets:
                    self._buckets[name].give(cost, now)

    def settle(self, tokens: float) -> None:
        """Say that a request has ended, however it did.

        Args:
            tokens: The tokens it was reserved with.
        """
        with self._lock:
            self._in_flight["requests"] -= 1.0
            self._in_flight["tokens"] -= tokens

    def correct(self, reserved: float, used: float, now: float) -> None:
        """Say what a request really took, where that is known.

        Args:
            reserved: The tokens it was reserved with.
            used: The tokens it took.
            now: The time.
        """
        with self._lock:
            # What was learnt from headers counts real tokens already.
            if self.tokens_per_minute is not None and "tokens" in self._buckets:
                self._buckets["tokens"].give(reserved - used, now)

    def hold(self, seconds: float, now: float) -> None:
        """Let nobody send for a while: the service said so to one of us.

        Args:
            seconds: How long.
            now: The time.
        """
        with self._lock:
            self._held_until = max(self._held_until, now + seconds)

    def learn(self, headers: Mapping[str, str], tokens: float, now: float) -> None:
        """Take what an answer says of limits not given by hand.

        Args:
            headers: The answer's headers, names in lower case.
            tokens: The tokens its request was reserved with; that one is counted already.
            now: The time.
        """
        with self._lock:
            for name, own in (("requests", 1.0), ("tokens", tokens)):
                if self._given(name) is None:
                    self._learn(name, headers, own, now)

    def _learn(self, name: str, headers: Mapping[str, str], own: float, now: float) -> None:
        limit = _amount(headers.get(f"x-ratelimit-limit-{name}"))
        left = _amount(headers.get(f"x-ratelimit-remaining-{name}"))
        if not limit or left is None:
            return
        reset = duration_s(headers.get(f"x-ratelimit-reset-{name}"))
        # "Reset" is the time until the limit is whole again, so the missing part
        # comes in over that time.
        rate = (limit - left) / reset if reset and left < limit else limit / MINUTE_S
        # Other requests under way may not have reached the service's count yet.
        others = self._in_flight[name] - own
        self._buckets[name] = Bucket(limit, rate, min(left, limit) - others, now)

    def _given(self, name: str) -> float | None:
        return self.requests_per_minute if name == "requests" else self.tokens_per_minute

    def _bucket(self, name: str, now: float) -> Bucket | None:
        given = self._given(name)
        if given is not None and name not in self._buckets:
            self._buckets[name] = Bucket(given, given / MINUTE_S, given, now)
        return self._buckets.get(name)


def duration_s(text: str | None) -> float | None:
    """Read a duration as OpenAI writes it, such as ``"6m0s"``, ``"1.5s"`` or ``"20ms"``.

    Args:
        text: The header's value.

    Returns:
        Seconds; a bare number is seconds too; ``None`` when it is neither.
    """
    if not text:
        return None
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    return _amount(text)


def _amount(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
