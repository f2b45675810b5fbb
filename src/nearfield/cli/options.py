"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.place import PlaceType

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_INDEX = "nearfield.index"

index_option = click.option(
    "--index",
    "--store",
    "index_path",
    type=PlaceType(),
    default=DEFAULT_INDEX,
    show_default=True,
    envvar=None,
    help="The index file, or the address of another store: lance://FOLDER, postgresql://...",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

model_option = click.option(
    "--model",
    metavar="NAME",
    help="The embedding model: 'local:NAME', 'openai:MODEL', ... (nearfield models lists them). "
    "Without it, the model the index was made with, or the bundled one.",
)

rerank_option = click.option(
    "--rerank",
    metavar="MODEL",
    help="A cross-encoder, folder or name, that reads the best 50 passages with the question and "
    "has the last word on their order.",
)

top_k_option = click.option(
    "-k", "--top-k", type=int, default=5, show_default=True, help="How many passages."
)


def mode_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--mode`` to a command."""
    return click.option(
        "--mode",
        type=click.Choice(["vector", "text", "hybrid"]),
        default="vector",
        show_default=True,
        help="Search by meaning, by words (BM25), or by both.",
    )(function)
