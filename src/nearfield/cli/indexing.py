"""What the commands that write an index share: opening it, stopping, and telling what was done."""

from __future__ import annotations

import signal
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.output import print_json, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nearfield.cli.place import Place
    from nearfield.core.drafts import IngestReport
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.readers import PathReader
    from nearfield.core.schema import Metadata
    from nearfield.core.store import VectorStore


@contextmanager
def opened(path: Place, *, dry_run: bool) -> Iterator[VectorStore]:
    """Open the index to be written; a dry run makes none."""
    from nearfield.core.storage import open_store  # noqa: PLC0415

    in_memory = dry_run and not path.exists
    with closing(open_store("memory://") if in_memory else path.open(read_only=dry_run)) as store:
        yield store


def refuse_other_sizes(path: Place, index: VectorStoreIndex, sizes: Mapping[str, int]) -> None:
    """Refuse to cut an index's new nodes otherwise than its old ones.

    Args:
        path: Where the index is.
        index: The index.
        sizes: ``chunk_size`` and ``chunk_overlap``, those that were asked for.

    Raises:
        UsageError: The index was made with others; what the model reads at most counts as
            asked for when more was.
    """
    header = index.store.header
    if header is None or not sizes:
        return
    from nearfield.core.splitter import SentenceSplitter  # noqa: PLC0415

    fitted = SentenceSplitter.for_model(index.embed_model, **sizes)
    for name, size in sizes.items():
        made = header.facts.get(name)
        if made not in (size, getattr(fitted, name)):
            option = f"--{name.replace('_', '-')}"
            was = "another splitter" if made is None else f"{option} {made}"
            message = (
                f"{path} was made with {was}, not {size}, and "
                f"keeps it. Leave {option} out, or make a new index with --index FILE."
            )
            raise click.UsageError(message)


@contextmanager
def stopping() -> Iterator[threading.Event]:
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


def embed_by_ray(
    index: VectorStoreIndex,
    reader: PathReader,
    address: str,
    *,
    removable: Callable[[str, Metadata], bool] | None,
    stop: threading.Event,
) -> IngestReport:
    """Bring an index in step with files by the workers of a Ray cluster.

    Args:
        index: The index, open.
        reader: Of the files; the workers must see them under the same paths.
        address: The cluster's.
        removable: As for :meth:`~nearfield.core.writable.WritableIndex.ingest`.
        stop: Ends the work after the window at hand, once set.

    Returns:
        What was done.
    """
    from nearfield.core.embeddings.rebuild import name_of  # noqa: PLC0415
    from nearfield.distributed import embed_dataset  # noqa: PLC0415

    name = name_of(index.embed_model)
    if name is None:
        message = "--ray needs a model that has a name: each worker makes its own. Name it: --model"
        raise click.UsageError(message)
    return embed_dataset(
        reader,
        name,
        index.store,
        address=address,
        removable=removable,
        show_progress=True,
        stop=stop,
    )


def facts(report: IngestReport, reader: PathReader, index: Any) -> dict[str, Any]:
    """Give what was done as a record."""
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


def tell(done: dict[str, Any], index_path: Place, *, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        print_json({"index": str(index_path), **done})
        return
    for left in done["skipped"]:
        file, reason = left["file"], left["reason"]
        told = reason if reason.startswith(file) else f"{file}: {reason}"
        click.echo(f"Skipped {printable(told)}", err=True)
    changes = ", ".join(
        f"{done[name]} {name}" for name in ("added", "changed", "removed", "unchanged")
    )
    click.echo(f"{index_path}: {changes} documents; {done['nodes']} nodes by {done['model']}.")
    click.echo(
        f"{done['texts_embedded']} texts embedded in {done['seconds']:.1f} s"
        + (f", {len(done['skipped'])} files skipped" if done["skipped"] else "")
        + (f", {done['truncated_texts']} texts cut" if done["truncated_texts"] else "")
        + "."
    )
    if done.get("interrupted"):
        click.echo("Interrupted. Run the same command to go on from here.", err=True)
