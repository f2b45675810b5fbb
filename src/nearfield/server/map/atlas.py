"""The map of a store that may change: drawn in the background, kept while it holds."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfield.errors import NearfieldError
from nearfield.server.map.picture import finish, sketch

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearfield.core.store import VectorStore
    from nearfield.server.map.picture import Picture

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a map is.

    Attributes:
        state: ``"building"`` (nothing to see yet), ``"pca"``, ``"layout"`` (all is there)
            or ``"failed"``.
        stage: What is being done; empty when nothing is.
        share: Which part of it is done, 0 to 1.
        version: Names the picture: another one, another name.
        error: Why it failed.
    """

    state: str = "building"
    stage: str = "reading"
    share: float = 0.0
    version: str = ""
    error: str = ""


class Atlas:
    """Keeps the map of a store.

    Nothing is drawn before :meth:`look` is called. The map is drawn again when the store
    has been written to since; until then the old one is given.

    Args:
        store: The store.
        wanted: Asked while drawing whether to go on; the store may be closed once it says no.
    """

    def __init__(self, store: VectorStore, wanted: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._wanted = wanted
        self._lock = threading.Lock()
        self._key: tuple[object, ...] | None = None
        self._work: _Work | None = None
        self._picture: Picture | None = None
        self._progress = Progress()

    def look(self) -> tuple[Progress, Picture | None]:
        """Give the map as it is now, and begin to draw it if it is not there or too old.

        Returns:
            How far it is, and the picture, if there is one already.
        """
        info = self._store.info()
        key = (info.documents, info.nodes, info.changed_at)
        with self._lock:
            if key != self._key:
                if self._work is not None:
                    self._work.stop.set()
                self._key = key
                self._progress = Progress()
                self._work = _Work(self, "-".join(map(str, key)))
                self._work.start()
            return self._progress, self._picture

    def seen(self) -> tuple[Progress, Picture | None]:
        """Give the map as it is now, and begin nothing."""
        with self._lock:
            return self._progress, self._picture

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Stop drawing, and wait until it has stopped.

        Args:
            timeout_s: How long to wait at most.
        """
        with self._lock:
            work, self._work, self._key = self._work, None, None
        if work is not None:
            work.stop.set()
            work.join(timeout_s)

    def _note(self, work: _Work, progress: Progress, picture: Picture | None = None) -> None:
        with self._lock:
            if self._work is not work:
                return  # a newer one is under way
            self._progress = progress
            if picture is not None:
                self._picture = picture


class _StoppedError(Exception):
    """The map is not wanted any more."""


class _Work(threading.Thread):
    """Draws one map."""

    def __init__(self, atlas: Atlas, version: str) -> None:
        super().__init__(name="nearfield-map", daemon=True)
        self.stop = threading.Event()
        self._atlas = atlas
        self._version = version
        self._shown = Progress()

    def run(self) -> None:
        """Draw the map: first quickly, then well."""
        try:
            picture = sketch(self._atlas._store, report=self._report)  # noqa: SLF001 - one unit
            self._show(Progress("pca", "neighbours", 0.0, f"{self._version}-pca"), picture)
            picture = finish(picture, report=self._report)
            self._show(Progress("layout", "", 1.0, f"{self._version}-layout"), picture)
        except _StoppedError:
            return
        except NearfieldError as error:
            if self._is_unwanted():
                return
            self._show(Progress("failed", error=str(error)))
        except Exception:
            if self._is_unwanted():
                return  # the store was closed under the work
            logger.exception("The map could not be drawn.")
            self._show(Progress("failed", error="The map could not be drawn; see the log."))

    def _report(self, stage: str, share: float) -> None:
        if self._is_unwanted():
            raise _StoppedError
        shown = self._shown
        self._show(Progress(shown.state, stage, share, shown.version))

    def _is_unwanted(self) -> bool:
        return self.stop.is_set() or not self._atlas._wanted()  # noqa: SLF001 - one unit

    def _show(self, progress: Progress, picture: Picture | None = None) -> None:
        self._shown = progress
        self._atlas._note(self, progress, picture)  # noqa: SLF001 - one unit
