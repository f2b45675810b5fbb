"""A Ray cluster to work on: one that is there, or one of this machine alone."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.settings import available_cores
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL_OBJECTS_BYTES = 256 << 20
PATIENCE_S = 10.0


def ray() -> Any:
    """Import Ray."""
    return require("ray", extra="ray", purpose="nearfield.distributed")


@contextmanager
def joined(address: str | None) -> Iterator[Any]:
    """Work on a cluster within the block.

    Args:
        address: ``"ray://HOST:10001"``, ``"HOST:6379"`` or ``"auto"``; a cluster of this
            machine, which ends with the block, when ``None``. A cluster that this process
            has joined already is used as it is, and not left.

    Yields:
        The module ``ray``.

    Raises:
        StoreError: There is no cluster at the address.
    """
    module = ray()
    if module.is_initialized():
        yield module
        return
    options: dict[str, Any] = {"logging_level": "WARNING", "log_to_driver": False}
    if address is None or address == "local":
        # Said in so many words, for Ray would join whatever cluster it finds a trace of.
        options |= {"address": "local", "num_cpus": available_cores(), "include_dashboard": False}
        options["object_store_memory"] = LOCAL_OBJECTS_BYTES
    else:
        options["address"] = address
    try:
        _knock(address)
        module.init(**options)
    except (OSError, ValueError, RuntimeError) as error:
        message = f"No Ray cluster answers at {address!r}: {error}. Start one: ray start --head"
        raise StoreError(message) from error
    try:
        yield module
    finally:
        module.shutdown()


def _knock(address: str | None) -> None:
    """Find out at once that nobody listens; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").partition(":")
    if port:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
