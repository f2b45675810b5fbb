"""``nearfield index``: files and folders into an index, or an index brought up to date."""

from __future__ import annotations

import logging
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearfield.cli.dry_run import tell_estimate
from nearfield.cli.indexing import (
    embed_by_ray,
    facts,
    opened,
    refuse_other_sizes,
    stopping,
    tell,
)
from nearfield.cli.main import INTERRUPTED
from nearfield.cli.options import index_option, json_option, model_option

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("index")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=False),
    metavar="PATH...",
)
@index_option
@click.option(
    "--prune", is_flag=True, help="Also forget files under the given paths that are gone."
)
@click.option("--ext", "extensions", multiple=True, metavar=".md", help="Only files ending so.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files that match.")
@click.option(
    "--hidden", is_flag=True, help="Also read files and folders whose names begin with a dot."
)
@click.option("--encoding", metavar="NAME", help="The files' encoding; found out by default.")
@click.option("--strict", is_flag=True, help="Stop at the first file that cannot be read.")
@click.option(
    "--chunk-size",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Tokens per node, for a new index.",
)
@click.option(
    "--chunk-overlap",
    type=click.IntRange(min=0),
    metavar="TOKENS",
    help="Tokens neighbours share, for a new index.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done and what it costs; do nothing of it."
)
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Embed by the workers of a Ray cluster: HOST:6379, ray://HOST:10001, auto, or local.",
)
@model_option
@json_option
def command(
    *,
    paths: tuple[Path, ...],
    index_path: Place,
    prune: bool,
    extensions: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    encoding: str | None,
    strict: bool,
    chunk_size: int | None,
    chunk_overlap: int | None,
    dry_run: bool,
    address: str | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Index every PATH, a file or a folder with all below it.

    Run again, it embeds only what is new or changed. It may be interrupted at
    any moment: what was done stays, and the next run goes on from there.
    """
    from nearfield.core import Settings, VectorStoreIndex  # noqa: PLC0415
    from nearfield.core.readers import PathReader  # noqa: PLC0415

    # What is skipped is told at the end, by name; the log would tell it again.
    logging.getLogger("nearfield.readers").addHandler(logging.NullHandler())
    reader = PathReader(
        paths,
        # Ids stay the same wherever the command is run, and when all is moved together.
        relative_to=index_path.home,
        required_exts=extensions or None,
        exclude=exclude or None,
        exclude_hidden=not hidden,
        encoding=encoding,
        raise_on_error=strict,
        leave_out=index_path.path,
        allow_empty=prune,  # all may be gone, and is to be forgotten
    )
    total = reader.count()
    documents = reader.iter_data()
    first = list(islice(documents, 1))  # where there is nothing to read, no index is made
    sizes = {"chunk_size": chunk_size, "chunk_overlap": chunk_overlap}
    given = {name: value for name, value in sizes.items() if value is not None}
    with (
        Settings.override(**given),
        opened(index_path, dry_run=dry_run) as store,
        VectorStoreIndex(store=store, embed_model=model) as index,
        stopping() as stop,
    ):
        refuse_other_sizes(index_path, index, given)
        if dry_run:
            removable = reader.covers if prune else None
            found = index.estimate(chain(first, documents), removable=removable, total=total)
            tell_estimate(found, index.embed_model, reader.skipped, index_path, as_json=as_json)
            return 0
        removable = reader.covers if prune else None
        if address is not None:
            report = embed_by_ray(index, reader, address, removable=removable, stop=stop)
        else:
            report = index.ingest(
                chain(first, documents),
                removable=removable,
                show_progress=True,
                total=total,
                stop=stop,
            )
        done = facts(report, reader, index)
    done["interrupted"] = stop.is_set()
    tell(done, index_path, as_json=as_json)
    return INTERRUPTED if stop.is_set() else 0
