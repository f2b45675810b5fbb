"""The last results of ``nearfield bench``, kept in the cache folder for the page to draw."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from nearfield.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "bench.json"
MAX_BYTES = 4 << 20


def keep_bench(results: Mapping[str, Any]) -> None:
    """Remember results, in place of the ones before.

    Args:
        results: What ``nearfield bench --json`` prints. A folder that cannot be written
            is no obstacle: they are not remembered then.
    """
    path = _path()
    draft = path.with_name(f"{FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(json.dumps(results, default=str), "utf-8")
        draft.replace(path)
    except OSError:
        return


def last_bench() -> dict[str, Any] | None:
    """Give the results remembered last; ``None`` when there are none that can be read."""
    path = _path()
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        results = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return results if isinstance(results, dict) and "models" in results else None


def _path() -> Path:
    return Settings.cache_dir / FILE
