"""The cache remote models share by default: what was paid for once is not paid for again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nearfield.core.cache import EmbeddingCache
from nearfield.core.settings import Settings
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.vectors import Vector, Vectors

CACHE_NAME = "embeddings.sqlite3"

_log = logging.getLogger("nearfield.cache")


class DefaultCache(EmbeddingCache):
    """A cache nobody asked for by name: where it cannot be used, work goes on without it.

    It holds vectors and hashes of texts, never texts.
    """

    def __init__(self) -> None:
        # What cannot be kept is told here, and then it is not even looked for.
        super().__init__(Settings.cache_dir / CACHE_NAME, required=True)
        self._usable = True

    def get_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str]
    ) -> dict[str, Vector]:
        """Find the vectors of texts, as :meth:`EmbeddingCache.get_many` does."""
        if self._usable:
            try:
                return super().get_many(fingerprint, input_type, texts)
            except (StoreError, OSError) as error:
                self._give_up(error)
        return {}

    def put_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str], vectors: Vectors
    ) -> None:
        """Keep the vectors of texts, as :meth:`EmbeddingCache.put_many` does."""
        if self._usable:
            try:
                super().put_many(fingerprint, input_type, texts, vectors)
            except (StoreError, OSError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        _log.warning("embeddings are not cached: %s", error)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open anew in the other process."""
        EmbeddingCache.__init__(self, **state)  # type: ignore[arg-type]
        self._usable = True
