"""One request's retries: the policy of ``core.retry``, run by tenacity."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.report import count
from nearfield.errors import ProviderError

if TYPE_CHECKING:
    from nearfield.core.pacing import Pace
    from nearfield.core.retry import RetryPolicy
    from nearfield.remote.clock import Clock

_log = logging.getLogger("nearfield.remote")


class Patience:
    """Decides, after each failure of one request, whether and when it is sent again.

    Args:
        policy: How patient to be.
        clock: The time.
        pace: Told when the service asks to be left alone.
        reached: Whether the service has ever answered.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock, pace: Pace, *, reached: bool) -> None:
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self._reached = reached
        self._began = clock.now()
        self._wait_s = 0.0
        self.tries = 0

    def arguments(self) -> dict[str, Any]:
        """Give what ``tenacity.Retrying`` and ``AsyncRetrying`` are made with, save their sleep."""
        tenacity = require("tenacity", extra="openai")
        return {
            "retry": self._again,
            "wait": lambda _: self._wait_s,
            "stop": tenacity.stop_never,
            "before_sleep": self._note,
            "reraise": True,
        }

    def _again(self, state: Any) -> bool:
        self.tries = state.attempt_number
        error = state.outcome.exception()
        if not isinstance(error, ProviderError) or not error.retryable:
            return False
        self._reached = self._reached or error.status is not None
        wait_s = self._policy.wait(
            state.attempt_number,
            asked_s=error.retry_after_s,
            waited_s=self._clock.now() - self._began,
            unreached=not self._reached,
            chance=self._clock.chance(),
        )
        if wait_s is None:
            return False
        if error.retry_after_s is not None:
            self._pace.hold(error.retry_after_s, self._clock.now())
        self._wait_s = wait_s
        return True

    def _note(self, state: Any) -> None:
        error = state.outcome.exception()
        _log.info(
            "retry %d in %.1f s after %s (status %s, request %s)",
            state.attempt_number,
            self._wait_s,
            type(error).__name__,
            error.status,
            error.request_id,
        )
        count(retries=1, waited_s=self._wait_s)

    def outcome(self, error: ProviderError) -> ProviderError:
        """Give the error to raise in the end: it says how often was tried.

        Args:
            error: The last try's.

        Returns:
            The same, with the count in its message where there was more than one try.
        """
        if self.tries > 1:
            elapsed = self._clock.now() - self._began
            error.args = (f"{error} Gave up after {self.tries} tries in {elapsed:.0f} s.",)
        return error
