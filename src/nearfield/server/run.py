"""Running the server in this process until it is told to stop."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.errors import ConfigError
from nearfield.server.app import create_app
from nearfield.server.protocol import PatientProtocol, check_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uvicorn import Config, Server

    from nearfield.server.config import ServerConfig
else:
    _uvicorn = require("uvicorn", extra="server", purpose="The server")
    Config, Server = _uvicorn.Config, _uvicorn.Server

BACKLOG = 2048
_TICKS = 10  # uvicorn's, of a tenth of a second each


def run(config: ServerConfig, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first.

    Args:
        config: What is served.
        on_ready: Called with the address, such as ``"http://127.0.0.1:8000"``, when all is
            loaded.

    Raises:
        ConfigError: The address cannot be listened at.
        NearfieldError: What is to be served cannot be loaded.
    """
    with listen(config) as listener:
        where = address(listener, config.host)
        server = make_server(config, on_ready=partial(on_ready, where) if on_ready else None)
        server.run(sockets=[listener])
    if server.failure is not None:
        raise server.failure


@contextmanager
def serving(config: ServerConfig) -> Iterator[str]:
    """Serve in a thread of this process until the end of the block.

    Args:
        config: What is served; port 0 takes a free one.

    Yields:
        The address, such as ``"http://127.0.0.1:8000"``, once all is loaded.

    Raises:
        ConfigError: The address cannot be listened at.
        NearfieldError: What is to be served cannot be loaded.
    """
    with listen(config) as listener:
        settled = threading.Event()
        server = make_server(config, on_ready=settled.set)

        def serve() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                settled.set()

        thread = threading.Thread(target=serve, name="nearfield-server", daemon=True)
        thread.start()
        try:
            settled.wait()
            if server.failure is not None:
                raise server.failure
            yield address(listener, config.host)
        finally:
            server.should_exit = True
            thread.join()


def listen(config: ServerConfig) -> socket.socket:
    """Listen at the configured address.

    Args:
        config: What is served.

    Returns:
        The socket.

    Raises:
        ConfigError: It is taken, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        message = (
            f"Cannot listen at {config.host}, port {config.port}: {error.strerror or error}. "
            "Choose another with --port or --host; --port 0 takes a free one."
        )
        raise ConfigError(message) from error


def address(listener: socket.socket, host: str) -> str:
    """Give the address a client uses.

    Args:
        listener: A listening socket.
        host: What it was told to listen at.
    """
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(
    config: ServerConfig, *, on_ready: Callable[[], None] | None = None
) -> StoppableServer:
    """Make the uvicorn server of a configuration.

    Args:
        config: What is served.
        on_ready: Called when all is loaded.
    """
    server: StoppableServer | None = None

    def fail(error: Exception) -> None:
        if server is not None:
            server.failure = error
            server.should_exit = True

    limits = config.limits
    app = create_app(config, on_ready=on_ready, on_failure=fail)
    http: Any = partial(PatientProtocol, limits=limits)
    server = StoppableServer(
        Config(
            app,
            http=http,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=limits.max_connections,
            timeout_keep_alive=round(limits.keep_alive_s),
            timeout_graceful_shutdown=round(limits.drain_s),
        )
    )
    return server


class StoppableServer(Server):  # type: ignore[misc] # optional: Any
    """Uvicorn's server: it closes silent connections, and being told to stop is no failure.

    Attributes:
        failure: Why it stopped by itself.
    """

    failure: Exception | None = None

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second."""
        if counter % _TICKS == 0:
            check_all(self.server_state.connections)
        stop: bool = await super().on_tick(counter)
        return stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear SIGINT and SIGTERM, and do not raise them again afterwards."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()
