"""``nearfield view``: an index of one's own, on a page."""

from __future__ import annotations

import logging
import re
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from nearfield._extras import require
from nearfield.cli.opening import check_there
from nearfield.cli.options import DEFAULT_INDEX
from nearfield.cli.place import PlaceType
from nearfield.server.config import ServerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.cli.place import Place
    from nearfield.core.embeddings import BaseEmbedding


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
    metavar="[BACKEND=]NAME",
    help="Another model, to compare sentences by: 'bundled', 'local:NAME', ... or a model on "
    "a backend: 'openvino=bundled', 'torch=FOLDER'. May be repeated.",
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
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")

    def tell(address: str) -> None:
        click.echo(f"Showing {index} at {address}/ - stop with Ctrl-C.")
        if browser:  # aside: one that runs in this terminal is waited for, and asks the server
            Thread(target=_show, args=(f"{address}/",), daemon=True).start()

    runner = require("nearfield.server.run", extra="server", purpose="nearfield view")
    with TemporaryDirectory(prefix="nearfield-view-") as scratch:
        config = ServerConfig(
            models=_loaded((*([model] if model else ()), *also), Path(scratch)),
            index=index.target,
            rerankers=_named(rerankers),
            port=port,
        )
        runner.run(config, on_ready=tell)
    return 0


def _show(address: str) -> None:
    """Open a browser."""
    if not webbrowser.open(address):
        click.echo("No browser was found; open the address in one.", err=True)


def _loaded(specs: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Give models by short names; those on a backend of their own are loaded at once."""
    return {name: _on_backend(spec, scratch) or spec for name, spec in _named(specs).items()}


def _on_backend(spec: str, scratch: Path) -> BaseEmbedding | None:
    """Load what ``BACKEND=NAME`` names; ``None`` when no backend is named."""
    from nearfield.cli.bench.candidates import LIBRARIES, candidates  # noqa: PLC0415

    backend, equals, name = spec.partition("=")
    if not equals or backend not in LIBRARIES:
        return None
    from nearfield.core.embeddings.resolve import resolve_embed_model  # noqa: PLC0415
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding  # noqa: PLC0415

    folder = scratch / str(len(list(scratch.iterdir())))
    folder.mkdir()
    (found,) = candidates(name, [backend], folder)
    if found.provider != "local":
        return resolve_embed_model(name)  # the bundled model on the engine it is made for
    return HuggingFaceEmbedding(found.name, backend=found.backend)


def _named(specs: Sequence[str]) -> dict[str, str]:
    """Give models short names: without the folders they lie in, where that is clear."""
    named: dict[str, str] = {}
    for spec in specs:
        # 'local:/a/folder/name' is 'local:name', and 'torch=owner/name' is 'torch=name'.
        short = re.sub(r"^((?:[\w-]+[:=])*).*[/\\](?=.)", r"\1", spec.rstrip("/\\"))
        named[spec if short in named else short] = spec
    return named
