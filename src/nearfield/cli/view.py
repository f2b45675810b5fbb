"""``nearfield view``: an index of one's own, on a page."""

from __future__ import annotations

import logging
import webbrowser
from typing import TYPE_CHECKING

import click

from nearfield._extras import require
from nearfield.cli.opening import check_there
from nearfield.cli.options import DEFAULT_INDEX
from nearfield.cli.place import PlaceType
from nearfield.server.config import ServerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.cli.place import Place


@click.command("view")
@click.argument("index", type=PlaceType(), default=DEFAULT_INDEX)
@click.option("--port", type=int, default=0, help="The port; a free one by default.")
@click.option(
    "--model",
    metavar="NAME",
    help="The index's model: 'local:NAME', ... Without it, the one the index was made with.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME",
    help="Another model, to compare sentences by: 'bundled', 'local:NAME', ... May be repeated.",
)
@click.option(
    "--rerank",
    "rerankers",
    multiple=True,
    metavar="NAME",
    help="A cross-encoder to rerank results by. May be repeated.",
)
@click.option("--browser/--no-browser", default=True, help="Open the page, or only serve it.")
def command(
    *,
    index: Place,
    port: int,
    model: str | None,
    also: tuple[str, ...],
    rerankers: tuple[str, ...],
    browser: bool,
) -> int:
    """Look at INDEX (nearfield.index by default) on a page: search, compare, map, speed, health.

    The page is served to this machine alone. Stop it with Ctrl-C.
    """
    check_there(index)
    config = ServerConfig(
        models=_named((*([model] if model else ()), *also)),
        index=index.target,
        rerankers=_named(rerankers),
        port=port,
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")

    def tell(address: str) -> None:
        click.echo(f"Showing {index} at {address}/ - stop with Ctrl-C.")
        if browser and not webbrowser.open(f"{address}/"):
            click.echo("No browser was found; open the address in one.", err=True)

    runner = require("nearfield.server.run", extra="server", purpose="nearfield view")
    runner.run(config, on_ready=tell)
    return 0


def _named(specs: Sequence[str]) -> dict[str, str]:
    """Give models short names: without the folders they lie in, where that is clear."""
    named: dict[str, str] = {}
    for spec in specs:
        provider, colon, name = spec.rpartition(":")
        short = provider + colon + name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        named[spec if short in named else short] = spec
    return named
