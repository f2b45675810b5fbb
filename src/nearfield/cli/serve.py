"""``nearfield serve``: models, an index and rerankers over HTTP."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield._extras import require
from nearfield.cli.place import PlaceType
from nearfield.errors import ConfigError
from nearfield.remote.secret import Secret
from nearfield.server.config import API_KEY_VARIABLE, DEFAULT_PORT, ServerConfig
from nearfield.server.config_file import read_config_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.cli.place import Place


@click.command("serve")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=SPEC",
    help="Serve a model by a name: 'minilm=bundled', 'bge=local:BAAI/bge-small-en-v1.5', ... "
    "The first is the default one. Without any, the index's model or the bundled one.",
)
@click.option(
    "--index",
    type=PlaceType(),
    help="Serve an index, for /v1/search and the page: a file, or the address of another store.",
)
@click.option(
    "--rerank",
    "rerankers",
    multiple=True,
    metavar="NAME=SPEC",
    help="Serve a cross-encoder by a name, for /v1/rerank.",
)
@click.option("--host", help="The address to listen at; 127.0.0.1 by default.")
@click.option("--port", type=int, help=f"The port; {DEFAULT_PORT} by default, 0 for a free one.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"A file whose first line is the key that clients must send; or set {API_KEY_VARIABLE}.",
)
@click.option(
    "--allow-host", "allowed_hosts", multiple=True, metavar="NAME", help="A Host to answer to."
)
@click.option(
    "--token-arrays",
    type=click.Choice(["cl100k", "model"]),
    help="Read arrays of numbers as OpenAI's tokens, or as the model's own.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with all of this, and the limits. Options go before it.",
)
def command(
    *,
    models: tuple[str, ...],
    index: Place | None,
    rerankers: tuple[str, ...],
    host: str | None,
    port: int | None,
    api_key_file: Path | None,
    allowed_hosts: tuple[str, ...],
    token_arrays: str | None,
    config_file: Path | None,
) -> int:
    """Serve embeddings to any client of OpenAI's API, and a page to look at an index.

    It listens at this machine's own address only, unless there is a key. Stop it with
    Ctrl-C or SIGTERM: requests under way are finished first.
    """
    given: dict[str, Any] = read_config_file(config_file) if config_file else {}
    options = {
        "models": _named("--model", models),
        "index": index and index.target,
        "rerankers": _named("--rerank", rerankers),
        "host": host,
        "port": port,
        "api_key_file": api_key_file,
        "allowed_hosts": allowed_hosts,
        "token_arrays": token_arrays,
    }
    if models:  # which says anew what is served, and which is the default one
        given = {name: given[name] for name in given.keys() - {"default_model", "dimensions"}}
    given |= {name: value for name, value in options.items() if value not in (None, (), {})}
    key_file = given.pop("api_key_file", None)
    if key_file is not None:
        given["api_key"] = Secret(_read_key(key_file), variable=API_KEY_VARIABLE)
    config = ServerConfig(**given)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    runner = require("nearfield.server.run", extra="server", purpose="nearfield serve")
    runner.run(config, on_ready=_tell)
    return 0


def _tell(address: str) -> None:
    click.echo(f"Serving at {address} (OpenAI's base URL: {address}/v1). Stop with Ctrl-C.")


def _named(option: str, pairs: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for pair in pairs:
        name, equals, spec = pair.partition("=")
        if not (name and equals and spec):
            message = f"{option} takes NAME=SPEC, not {pair!r}."
            raise click.UsageError(message)
        if name in named:
            message = f"{option} names {name!r} twice."
            raise click.UsageError(message)
        named[name] = spec
    return named


def _read_key(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"The file of the API key, {path}, cannot be read: {error}."
        raise ConfigError(message) from error
    if not lines or not lines[0].strip():
        message = f"The file of the API key, {path}, is empty."
        raise ConfigError(message)
    return lines[0].strip()
