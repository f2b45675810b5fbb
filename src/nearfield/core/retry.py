"""When a failed request is sent again, and how long before: pure arithmetic, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FINAL_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
    }
)
"""Causes that waiting does not heal, whatever the status."""

_TRANSIENT_STATUSES = frozenset({408, 409, 429})
_SERVER_ERROR = 500


def is_transient(status: int | None, code: str | None = None) -> bool:
    """Say whether the same request may succeed later.

    Args:
        status: The HTTP status, or ``None`` when the connection failed.
        code: The service's name of the cause.

    Returns:
        ``True`` for a lost connection, 408, 409, 429 and 5xx, save for causes
        that waiting does not heal.
    """
    if code in FINAL_CODES:
        return False
    return status is None or status in _TRANSIENT_STATUSES or status >= _SERVER_ERROR


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long a service asks to be left alone.

    Args:
        headers: The answer's headers, names in lower case.
        now: Seconds since 1970, to which a date is compared.

    Returns:
        Seconds, at least 0; ``None`` when it does not say, or not in a way that makes sense.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is.

    Attributes:
        max_retries: Requests sent again, at most, after the first.
        unreached_retries: The same, as long as the service has never answered:
            a wrong address should be said soon.
        first_wait_s: The wait before the first retry; it doubles each time.
        longest_wait_s: Where the doubling ends.
        longest_asked_wait_s: The longest wait a service may ask for; beyond it the call fails.
        total_wait_s: All waits of one request together.

    Raises:
        ConfigError: ``max_retries`` is not a whole number of at least 0.
    """

    max_retries: int = 10
    unreached_retries: int = 2
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    longest_asked_wait_s: float = 120.0
    total_wait_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse a number of retries that makes no sense."""
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            message = f"max_retries must be a whole number of at least 0, not {self.max_retries!r}."
            raise ConfigError(message)

    def wait(
        self,
        failures: int,
        *,
        asked_s: float | None = None,
        waited_s: float = 0.0,
        unreached: bool = False,
        chance: float = 0.5,
    ) -> float | None:
        """Give the wait before the next try.

        The doubling wait is scaled by a half to one, so that clients that failed
        together do not come back together.

        Args:
            failures: Failed tries so far, at least 1.
            asked_s: What the service asked for.
            waited_s: Seconds waited for this request already.
            unreached: Whether the service could not be reached, now or ever before.
            chance: A random number, 0 to 1.

        Returns:
            Seconds, or ``None`` to give up.
        """
        allowed = min(self.max_retries, self.unreached_retries) if unreached else self.max_retries
        if failures > allowed:
            return None
        doubled = self.first_wait_s * 2.0 ** min(failures - 1, 60)
        pause = min(doubled, self.longest_wait_s) * (0.5 + chance / 2)
        if asked_s:  # "at once", or a date that is past by our clock, says nothing of how long
            if asked_s > self.longest_asked_wait_s:
                return None
            # A little later than asked, and not all at the same moment. What is asked for may be
            # short: kept once, it must not use up all tries within moments.
            asked = asked_s + chance * min(self.first_wait_s, asked_s)
            pause = asked if failures == 1 else max(asked, pause)
        return pause if waited_s + pause <= self.total_wait_s else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
