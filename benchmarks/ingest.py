"""Is the model the limit of indexing? The share of the wall time in which it is at work.

    python -m benchmarks.ingest FOLDER [--ext .py] [--exclude GLOB] [--files N] [--model NAME]

FOLDER is any folder of texts: the documentation of Python's standard library, or, without
one, the library's own files. What each stage of the stream does is noted from outside, by
wrapping what it calls: the model's ``_encode`` (tokens and the engine), the reading of
files, the splitter, and the store's writes. Reading and writing have threads of their own
and go on beside the model; what is not the model is the time nothing hides.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe_machine, source_revision
from nearfield import VectorStoreIndex
from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.readers import PathReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Watch:
    """Adds up the time spent in some calls, on the wall and of their own thread's processor."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.last = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of a block."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.last = time.perf_counter()
            self.wall += self.last - wall
            self.cpu += time.thread_time() - cpu

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Give a call that is counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.running():
                return call(*args, **kwargs)

        return counted

    def through(self, items: Iterator[Any]) -> Iterator[Any]:
        """Give items on, counting the time each takes to come."""
        while True:
            with self.running():
                item = next(items, None)
            if item is None:
                return
            yield item


def main() -> None:
    """Index a folder, and print where the time went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=sysconfig.get_path("stdlib"))
    parser.add_argument("--ext", action="append", help="only files ending so; may be repeated")
    parser.add_argument("--exclude", action="append", help="leave out files that match")
    parser.add_argument("--files", type=int, default=1000, help="the first so many files")
    parser.add_argument("--model", help="any model; the bundled one if not given")
    parser.add_argument("--in", dest="place", type=Path, help="where the index is made")
    options = parser.parse_args()
    figures = measure(
        PathReader(
            [options.folder],
            required_exts=options.ext,
            exclude=options.exclude or ["site-packages/**", "test/**", "**/test/**"],
        ),
        options.files,
        options.model,
        options.place,
    )
    for name, value in figures.items():
        print(f"{name:40} {value:12.3f}")
    about = {"machine": describe_machine(), "revision": source_revision()}
    print(json.dumps({**about, "date": datetime.now(UTC).isoformat(), "figures": figures}))


def measure(
    reader: PathReader, files: int, model_name: str | None, place: Path | None
) -> dict[str, float]:
    """Index what a reader gives, and tell the time of each stage."""
    model: Any = resolve_embed_model(model_name or "default")
    model.encode(["A first text, for all that is loaded but once."])
    model.cache = None
    at_work, planning, reading, splitting, writing = (Watch() for _ in range(5))
    with (
        tempfile.TemporaryDirectory(dir=place) as folder,
        VectorStoreIndex.from_documents(
            [], embed_model=model, path=Path(folder, "bench.index")
        ) as index,
    ):
        model._encode = at_work.around(model._encode)  # noqa: SLF001 - from outside
        model.encode_with_report = planning.around(model.encode_with_report)
        index._split = splitting.around(index._split)  # noqa: SLF001 - from outside
        index.store.upsert = writing.around(index.store.upsert)  # type: ignore[method-assign]
        documents = reading.through(islice(reader.iter_data(), files))
        began, used = time.perf_counter(), time.process_time()
        report = index.ingest(documents, show_progress=False)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "documents": report.added,
        "nodes": report.nodes,
        "wall, s": wall,
        "CPU of all threads, s": cpu,
        "model at work, share of wall": at_work.wall / wall,
        "model at work, s": at_work.wall,
        "planning and checking around it, s": planning.wall - at_work.wall,
        "waiting for texts or the writer, s": wall - planning.wall - (began + wall - at_work.last),
        "after the last text, s": began + wall - at_work.last,
        "beside it: reading, CPU s": reading.cpu,
        "beside it: splitting, CPU s": splitting.cpu,
        "beside it: writing, CPU s": writing.cpu,
        "beside it: reading, wall s": reading.wall,
        "beside it: splitting, wall s": splitting.wall,
        "beside it: writing, wall s": writing.wall,
    }


if __name__ == "__main__":
    main()
