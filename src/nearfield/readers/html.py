"""The main text of a web page by trafilatura, where that is installed."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

LONGEST_PAGE = 2_000_000
"""Longer pages are left to our own reader, whose time is linear in the page."""

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
    return str(text).strip() if text else None


@cache
def _extract() -> Any:
    if find_spec("trafilatura") is None:
        return None
    import trafilatura  # noqa: PLC0415 - costs a second

    return trafilatura.extract
