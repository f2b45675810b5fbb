"""``nearfield watch``: an index kept in step with files and folders, as they change."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield._extras import require
from nearfield.cli.indexing import facts, opened, stopping, tell
from nearfield.cli.options import index_option, json_option, model_option
from nearfield.errors import ProviderError, ReadError, StoreLockedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from nearfield.cli.place import Place
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.readers import PathReader

LOOKED_AFTER_S = 0.2
TOGETHER_AT_MOST_S = 10.0


@click.command("watch")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=False),
    metavar="PATH...",
)
@index_option
@click.option("--ext", "extensions", multiple=True, metavar=".md", help="Only files ending so.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files that match.")
@click.option(
    "--hidden", is_flag=True, help="Also read files and folders whose names begin with a dot."
)
@click.option("--encoding", metavar="NAME", help="The files' encoding; found out by default.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0.05, max=3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="How long nothing must change before the index is brought up to date.",
)
@model_option
@json_option
def command(
    *,
    paths: tuple[Path, ...],
    index_path: Place,
    extensions: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    encoding: str | None,
    settle: float,
    model: str | None,
    as_json: bool,
) -> int:
    """Index every PATH, and again whenever something below it changes, until Ctrl-C.

    Only what is new or changed is embedded; files that are gone are forgotten.
    """
    require("watchfiles", extra="watch", purpose="nearfield watch")
    from nearfield.core import VectorStoreIndex  # noqa: PLC0415
    from nearfield.core.readers import PathReader  # noqa: PLC0415

    # What is skipped is told each time, by name; the log would tell it again.
    logging.getLogger("nearfield.readers").addHandler(logging.NullHandler())

    def reader() -> PathReader:
        return PathReader(
            paths,
            relative_to=index_path.home,
            required_exts=extensions or None,
            exclude=exclude or None,
            exclude_hidden=not hidden,
            encoding=encoding,
            leave_out=index_path.path,
            allow_empty=True,
        )

    watched = reader()  # which refuses a path that is not there before an index is made
    with (
        opened(index_path, dry_run=False) as store,
        VectorStoreIndex(store=store, embed_model=model) as index,
        stopping() as stop,
    ):
        before: list[Any] | None = None  # what was skipped the last time
        for _ in _changes(paths, watched, settle, stop):
            try:
                done = _brought_up_to_date(index, reader(), stop)
            except (ReadError, StoreLockedError, ProviderError) as error:
                if before is None:
                    raise
                click.echo(f"Error: {error} The next change is the next try.", err=True)
                continue
            if done["skipped"] != before or done["added"] + done["changed"] + done["removed"]:
                _tell(done, index_path, as_json=as_json)
            if before is None:
                shown = ", ".join(map(str, paths))
                click.echo(f"Watching {shown}. Press Ctrl-C to end.", err=True)
            before = done["skipped"]
    return 0


def _brought_up_to_date(
    index: VectorStoreIndex, reader: PathReader, stop: threading.Event
) -> dict[str, Any]:
    report = index.ingest(
        reader.iter_data(), removable=reader.covers, show_progress=True, stop=stop
    )
    return facts(report, reader, index)


def _tell(done: dict[str, Any], index_path: Place, *, as_json: bool) -> None:
    if as_json:  # a line each time, for who reads them as they come
        click.echo(json.dumps({"index": str(index_path), **done}))
    else:
        tell(done, index_path, as_json=False)


def _changes(
    paths: Sequence[Path], reader: PathReader, settle: float, stop: threading.Event
) -> Iterator[None]:
    """Say when to read the paths: at once, and after every change, until it is to stop."""
    from watchfiles import watch  # noqa: PLC0415

    # A file may be replaced by another one of its name: its folder is watched in its place.
    folders = {(path if path.is_dir() else path.parent).resolve() for path in paths}
    begun = False
    for changes in watch(
        *folders,
        watch_filter=lambda _, path: reader.concerns(path),
        step=round(settle * 1000),
        debounce=round(max(settle, TOGETHER_AT_MOST_S) * 1000),
        rust_timeout=round(LOOKED_AFTER_S * 1000),
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        # The first time is when it watches: nothing that changes from here on is missed.
        if changes or not begun:
            begun = True
            yield None
