"""Where an engine is that runs in this process or on a server: a path, or an address."""

from __future__ import annotations

import re

from nearfield.core.storage import shown_place
from nearfield.errors import ConfigError

_SERVER = re.compile(r"([^/@]*@)?(\[[\da-fA-F:]+\]|[\w.-]+):\d+([/?].*)?")


def server_of(place: str) -> str | None:
    """Give the URL of the server that a place names.

    Args:
        place: A path; or ``host:port``, or ``http://...`` and the like.

    Returns:
        The URL, of ``http`` where none is said; ``None`` for a path.

    Raises:
        ConfigError: The address has a part after ``?``, which no engine here reads.
    """
    if "://" not in place and not _SERVER.fullmatch(place):
        return None
    url = place if "://" in place else f"http://{place}"
    if "?" in url:
        message = (
            f"{shown_place(url)}: such an address has no part after '?'. "
            "Keys are given when the store is made in Python: api_key, or token."
        )
        raise ConfigError(message)
    return url
