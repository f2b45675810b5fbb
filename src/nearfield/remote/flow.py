"""One batch as one or more requests: cut to the service's limits, narrowed down to a refused text.

The flow is a generator that yields the numbers of the texts to send next and is
sent their vectors, or has the failure thrown in. It knows nothing of waiting or
of the network, so the blocking and the asynchronous driver are a few lines each.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.batching import preview
from nearfield.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from nearfield.core.vectors import Vectors

_SPLIT_STATUSES = frozenset({400, 413, 422})
_TOO_LARGE = 413
_REFUSED_BEFORE_GIVING_UP = 3
_NAMED_AT_MOST = 3


def embedding_flow(
    texts: Sequence[str],
    *,
    hopeless: Callable[[str], str | None],
    keep: Callable[[list[int], Vectors], None],
) -> Generator[list[int], Vectors, Vectors]:
    """Embed a batch whatever single texts are refused.

    A refused request of several texts is halved, and its halves are sent, until
    the refused texts stand alone; their number of requests is bounded. All
    others are embedded and kept; then the refused ones are named.

    Args:
        texts: The texts, at least one.
        hopeless: Says why a text need not be sent at all, ``None`` if it may be.
        keep: Takes vectors that must not be lost if the batch fails later.

    Yields:
        Numbers of the texts to send together.

    Returns:
        ``(n, dim)`` float32, in order.

    Raises:
        BadRequestError: Texts were refused, or the request as such.
    """
    refusals = _Refusals(texts, hopeless)
    vectors: dict[int, Vectors] = {}
    waiting = deque(part for part in [refusals.others()] if part)
    while waiting:
        part = waiting.popleft()
        try:
            rows = yield part
        except BadRequestError as error:
            waiting.extendleft(reversed(refusals.narrow(part, error, passed=bool(vectors))))
        else:
            vectors.update(zip(part, rows, strict=True))
            if len(part) < len(texts):
                keep(part, rows)
    if refusals.why:
        raise refusals.summary()
    return np.stack([vectors[number] for number in range(len(texts))])


class _Refusals:
    """The texts of a batch that were refused, and how they are found."""

    def __init__(self, texts: Sequence[str], hopeless: Callable[[str], str | None]) -> None:
        self.why = {n: why for n, text in enumerate(texts) if (why := hopeless(text)) is not None}
        self._texts = texts
        self._first: BadRequestError | None = None
        # Enough to find four texts in a full batch, or all in a batch of 10.
        self._spare = 8 + 8 * math.ceil(math.log2(max(len(texts), 2)))

    def others(self) -> list[int]:
        """Give the numbers of the texts worth sending."""
        return [number for number in range(len(self._texts)) if number not in self.why]

    def narrow(self, part: list[int], error: BadRequestError, *, passed: bool) -> list[list[int]]:
        """Give what to send instead of a refused part, or raise when it is not about the texts."""
        self._first = self._first or error
        if not _may_be_one_text(error):
            raise error
        if len(part) == 1:
            self.why[part[0]] = str(error)
            few = _REFUSED_BEFORE_GIVING_UP <= len(self.why) < len(self._texts)
            if few and not passed:
                raise self._first from None
            return []
        self._spare -= 2 if error.status != _TOO_LARGE else 0
        if self._spare < 0:
            raise error
        half = len(part) // 2
        return [part[:half], part[half:]]

    def summary(self) -> BadRequestError:
        """Give the error that names the refused texts."""
        refused = [self._texts[number] for number in sorted(self.why)]
        names = ", ".join(preview(text) for text in refused[:_NAMED_AT_MOST])
        left = len(refused) - _NAMED_AT_MOST
        more = f" and {left} more" if left > 0 else ""
        verb = "was" if len(refused) == 1 else "were"
        message = (
            f"{len(refused)} of {len(self._texts)} texts {verb} refused: {names}{more}. "
            f"{self.why[min(self.why)]}"
        )
        first = self._first
        return BadRequestError(
            message,
            status=first.status if first else None,
            code=first.code if first else None,
            param="input",
            request_id=first.request_id if first else None,
            texts=tuple(refused),
        )


def _may_be_one_text(error: BadRequestError) -> bool:
    """Say whether a refusal may be about one of several texts, not about the request."""
    about_input = error.param is None or "input" in error.param
    return error.status in _SPLIT_STATUSES and about_input
