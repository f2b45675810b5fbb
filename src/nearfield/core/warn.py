"""Warnings that point at the caller's line, not at one of ours."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, on the nearest line outside this package.

    Args:
        message: What happened, and what to do about it.
        category: The kind of warning.
    """
    package, level = __name__.partition(".")[0] + ".", 1
    frame = sys._getframe()  # noqa: SLF001 - there is no public way before Python 3.12
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
