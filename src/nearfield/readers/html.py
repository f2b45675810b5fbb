"""The main text of a web page by trafilatura, where that is installed."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib.util import find_spec
from typing import Any

LONGEST_PAGE = 2_000_000
"""Longer pages are left to our own reader, whose time is linear in the page."""

_CODE = re.compile(r"((?<!\\)`[^`]*`)")
_FENCE = re.compile(r"`{3,}")
_ESCAPES = re.compile(r"(?<!\\)(\\++)(?=[*_`~\[\]<|])")  # linear in any line
_NO_LIST = re.compile(r"^(\s*(?:- |\d+\. )?\d*)\\(?=[#>+\-.)])")

_log = logging.getLogger("nearfield.readers")


def main_text(page: str) -> str | None:
    """Give the main text of a page, headings marked with ``#``.

    Args:
        page: HTML, well formed or not.

    Returns:
        The text; ``None`` where trafilatura is not installed or finds none.
    """
    extract = _extract()
    if extract is None or len(page) > LONGEST_PAGE:
        return None
    try:
        text = extract(page, output_format="markdown", include_comments=False, fast=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, our own reader is there
        _log.info("trafilatura failed: %s: %s", type(error).__name__, error)
        return None
    return _as_it_stood(str(text).strip()) if text else None


def _as_it_stood(text: str) -> str:
    """Take back the backslashes that Markdown wants before signs that mean something in it."""
    lines, fence = [], ""
    for line in text.split("\n"):
        opening = _FENCE.match(line)
        if fence:
            fence = "" if line.rstrip() == fence else fence
        elif opening:
            fence = opening.group()
        lines.append(line if fence or opening else _without_escapes(line))
    return "\n".join(lines)


def _without_escapes(line: str) -> str:
    parts = _CODE.split(_NO_LIST.sub(r"\1", line))
    # Backslashes of the page itself were doubled, and one set before the sign.
    parts[::2] = [_ESCAPES.sub(lambda run: "\\" * (len(run[1]) // 2), one) for one in parts[::2]]
    return "".join(parts)


@cache
def _extract() -> Any:
    if find_spec("trafilatura") is None:
        return None
    import trafilatura  # noqa: PLC0415 - costs a second

    return trafilatura.extract
