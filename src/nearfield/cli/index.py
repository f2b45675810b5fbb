"""``nearfield index``: files and folders into an index, or an index brought up to date."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.dry_run import tell_estimate
from nearfield.cli.main import INTERRUPTED
from nearfield.cli.options import index_option, json_option, model_option
from nearfield.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nearfield.cli.place import Place
    from nearfield.core.drafts import IngestReport
    from nearfield.core.readers import PathReader
    from nearfield.core.store import VectorStore


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
@click.option("--chunk-size", type=int, metavar="TOKENS", help="Tokens per node, for a new index.")
@click.option(
    "--chunk-overlap", type=int, metavar="TOKENS", help="Tokens neighbours share, for a new index."
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done and what it costs; do nothing of it."
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
        _opened(index_path, given, dry_run=dry_run) as store,
        VectorStoreIndex(store=store, embed_model=model) as index,
        _stopping() as stop,
    ):
        if dry_run:
            removable = reader.covers if prune else None
            found = index.estimate(chain(first, documents), removable=removable, total=total)
            tell_estimate(found, index.embed_model, reader.skipped, index_path, as_json=as_json)
            return 0
        report = index.ingest(
            chain(first, documents),
            removable=reader.covers if prune else None,
            show_progress=True,
            total=total,
            stop=stop,
        )
        facts = _facts(report, reader, index)
    facts["interrupted"] = stop.is_set()
    _tell(facts, index_path, as_json=as_json)
    return INTERRUPTED if stop.is_set() else 0


@contextmanager
def _opened(path: Place, sizes: Mapping[str, int], *, dry_run: bool) -> Iterator[VectorStore]:
    """Open the index, and refuse to cut its new nodes otherwise than its old ones."""
    from nearfield.core.storage import open_store  # noqa: PLC0415

    in_memory = dry_run and not path.exists  # which makes no file
    store = open_store("memory://") if in_memory else path.open(read_only=dry_run)
    with closing(store):
        header = store.header
        for name, size in sizes.items():
            made = header.facts.get(name) if header else size
            if made != size:
                option = f"--{name.replace('_', '-')}"
                was = "another splitter" if made is None else f"{option} {made}"
                message = (
                    f"{path} was made with {was}, not {size}, and "
                    f"keeps it. Leave {option} out, or make a new index with --index FILE."
                )
                raise click.UsageError(message)
        yield store


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Let the first Ctrl-C end the work after the window at hand, and a second one at once."""
    stop = threading.Event()

    def heed(number: int, frame: Any) -> None:
        if stop.is_set():
            signal.default_int_handler(number, frame)
        stop.set()
        click.echo("Finishing what is begun; press Ctrl-C again to stop at once.", err=True)

    before = signal.signal(signal.SIGINT, heed)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _facts(report: IngestReport, reader: PathReader, index: Any) -> dict[str, Any]:
    return {
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "nodes_written": report.nodes,
        "texts_embedded": report.embedded,
        "truncated_texts": report.truncated_texts,
        "truncated_tokens": report.truncated_tokens,
        "skipped": [
            *({"file": failure.path, "reason": failure.reason} for failure in reader.skipped),
            *({"file": left.document_id, "reason": left.reason} for left in report.skipped),
        ],
        "seconds": round(report.seconds, 3),
        "engine_busy_share": round(report.busy_share, 3),
        "nodes": index.count,
        "model": index.embed_model.model_name,
        "engine": getattr(index.embed_model, "engine", None),
    }


def _tell(facts: dict[str, Any], index_path: Place, *, as_json: bool) -> None:
    if as_json:
        print_json({"index": str(index_path), **facts})
        return
    for left in facts["skipped"]:
        file, reason = left["file"], left["reason"]
        click.echo(
            f"Skipped {reason if reason.startswith(file) else f'{file}: {reason}'}", err=True
        )
    changes = ", ".join(
        f"{facts[name]} {name}" for name in ("added", "changed", "removed", "unchanged")
    )
    click.echo(f"{index_path}: {changes} documents; {facts['nodes']} nodes by {facts['model']}.")
    click.echo(
        f"{facts['texts_embedded']} texts embedded in {facts['seconds']:.1f} s"
        + (f", {len(facts['skipped'])} files skipped" if facts["skipped"] else "")
        + (f", {facts['truncated_texts']} texts cut" if facts["truncated_texts"] else "")
        + "."
    )
    if facts["interrupted"]:
        click.echo("Interrupted. Run the same command to go on from here.", err=True)
