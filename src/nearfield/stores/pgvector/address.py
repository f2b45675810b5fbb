"""Where an index is: a server, a database, and a schema in it; told without the password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from nearfield._extras import require
from nearfield.errors import ConfigError

DEFAULT_INDEX = "nearfield"
MAX_NAME_BYTES = 63
_TAKEN = frozenset({"public", "information_schema"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where an index is.

    Attributes:
        conninfo: What the client connects with; may hold a password.
        index: The schema that holds the index.
        shown: The address for messages, without a password.
        password: What must never be shown; empty when there is none.
    """

    conninfo: str = field(repr=False)
    index: str
    shown: str
    password: str = field(default="", repr=False)

    def hide(self, text: str) -> str:
        """Give a text without the password."""
        return text.replace(self.password, "***") if self.password else text


def parse_address(uri: str, index: str | None = None) -> Address:
    """Read the address of an index.

    Args:
        uri: ``postgresql://user:password@host/database?index=name``, with or without
            its scheme; all that libpq understands may stand in it.
        index: The index's name; it wins over that of the address.

    Returns:
        The address.

    Raises:
        ConfigError: It is no address, or the name cannot be one of a schema.
    """
    _, found, rest = uri.partition("://")
    try:
        parts = urlsplit(f"postgresql://{rest if found else uri}")
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _no_address() from None  # the cause may quote the password
    named = [value for key, value in asked if key == "index"]
    name = index or (named[-1] if named else DEFAULT_INDEX)
    _check_name(name)
    kept = urlencode([pair for pair in asked if pair[0] != "index"], quote_via=quote)
    conninfo = urlunsplit(parts._replace(query=kept))
    if not parts.netloc:  # urlunsplit leaves out an empty host, libpq wants its slashes
        conninfo = f"postgresql://{parts.path}" + (f"?{kept}" if kept else "")
    psycopg: Any = require("psycopg", extra="pgvector", purpose="The pgvector store")
    try:
        facts = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.Error:
        raise _no_address() from None
    user = f"{quote(facts['user'])}@" if facts.get("user") else ""
    port = f":{facts['port']}" if facts.get("port") else ""
    place = f"{user}{quote(facts.get('host') or '', safe=':,')}{port}"
    shown = f"postgresql://{place}/{quote(facts.get('dbname') or '')}?index={quote(name)}"
    return Address(conninfo, name, shown, facts.get("password") or "")


def _no_address() -> ConfigError:
    return ConfigError(
        "That is no address of a PostgreSQL database. Write "
        "postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME, with %-signs for odd characters."
    )


def _check_name(name: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= MAX_NAME_BYTES or "\x00" in name:
        message = f"The name of an index in PostgreSQL has 1 to {MAX_NAME_BYTES} bytes of UTF-8."
        raise ConfigError(message)
    if name in _TAKEN or name.startswith("pg_"):
        message = (
            f"{name!r} is a schema of PostgreSQL's own. Give the index another name: ?index=NAME."
        )
        raise ConfigError(message)
