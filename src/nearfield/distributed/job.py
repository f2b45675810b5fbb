"""The driver of a job: what is to be done, and committing it, window by window.

Files go to the workers in parts of about 64,000 tokens of text; Ray Data hands
them out, holds back when results wait, and gives the part of a lost worker to
another one. What comes back is gathered into windows, each one commit of the
store. A document is known by its id and content hash: run again, a job does
what is not committed yet, and nothing twice.
"""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.drafts import IngestReport, Skipped
from nearfield.core.index import VectorStoreIndex
from nearfield.core.ingest import TRUNCATION_FACTS
from nearfield.core.progress import progress
from nearfield.core.readers import PathReader
from nearfield.core.settings import Settings
from nearfield.core.storage import open_store
from nearfield.core.store import tallied
from nearfield.distributed.cluster import joined
from nearfield.distributed.worker import DONE, WORK, Done, Task, Worker, make_model
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.readers.discovery import SkippedFile
    from nearfield.core.readers.reading import Reading
    from nearfield.core.schema import Metadata
    from nearfield.core.store import Entry, VectorStore

PART_BYTES = 1 << 18
LEAST_PART_BYTES = 1 << 14
PARTS_OF_A_WORKER = 16
MOST_PARTS = 50_000
ROWS_OF_A_PART = 256
WINDOW_NODES = 8192


def embed_dataset(
    source: Sequence[str | os.PathLike[str]] | Reading | Any,
    model: str | Callable[[], BaseEmbedding] | None = None,
    out: str | VectorStore = "lance://nearfield.lance",
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    window_nodes: int = WINDOW_NODES,
    removable: Callable[[str, Metadata], bool] | None = None,
    show_progress: bool = False,
    stop: threading.Event | None = None,
) -> IngestReport:
    """Embed a corpus with many workers into one index; only what is new or changed.

    Stopped at any moment, what was committed stays; run again, the job goes on from there.

    Args:
        source: Files and folders, which the workers must see under the same paths; or a
            reader of them; or a ``ray.data.Dataset`` with a document a row: ``"text"``,
            its ``"id"``, and its metadata.
        model: The model's name, or a function that makes it on a worker;
            ``Settings.embed_model``'s name by default.
        out: The index: ``"lance://..."``, or an open store.
        address: The cluster: ``"ray://HOST:10001"``, ``"HOST:6379"``, ``"auto"``; one of this
            machine alone by default.
        workers: How many; as many as the cluster has room for by default.
        cpus_per_worker: Cores of a worker: the threads it computes with.
        gpus_per_worker: GPUs of a worker; a part of one may be shared.
        window_nodes: Nodes that are committed together, about.
        removable: Says of an indexed document, by id and facts, whether it is to be
            deleted if ``source`` does not have it. By default none is.
        show_progress: Draw a bar on stderr, on a terminal only.
        stop: Once set, the job ends after the window at hand.

    Returns:
        What was done.

    Raises:
        ConfigError: An argument makes no sense.
        ModelMismatchError: The index was made by another model.
        MissingDependencyError: Ray is not installed.
        NearfieldError: The first failure; what was embedded before it is committed.
    """
    _check_sizes(workers, cpus_per_worker, gpus_per_worker, window_nodes)
    began = time.perf_counter()
    chosen = _name_of_default() if model is None else model
    store = open_store(out) if isinstance(out, str) else out
    try:
        driver = make_model(chosen, None)
        index = VectorStoreIndex(store=store, embed_model=driver)
        header = index.prepare()
        with joined(address) as module:
            known = store.content_hashes()
            threads = max(1, int(cpus_per_worker))
            task = Task(chosen, threads, header, [module.put(known)])
            most = workers or _room(module, cpus_per_worker, gpus_per_worker)
            results, parts = _results(source, task, most, cpus_per_worker, gpus_per_worker)
            committer = Committer(store, known, window_nodes)
            with progress(parts, "Embedding", show=show_progress) as bar:
                for done in results:
                    committer.take(done)
                    bar.advance()
                    if stop is not None and stop.is_set():
                        break
            committer.finish()
            if removable is not None and not (stop and stop.is_set()):
                committer.remove(removable)
        optimize = getattr(store, "optimize", None)
        if optimize is not None:
            optimize()
    finally:
        if store is not out:
            store.close()
    committer.report.seconds = time.perf_counter() - began
    committer.raise_failure()
    if isinstance(source, PathReader):
        source.skipped = committer.skipped
    return committer.report


class Committer:
    """Gathers what workers give into windows, and writes each in one commit.

    Args:
        store: The index's store.
        known: The content hashes it has.
        window_nodes: Nodes of a window, about.

    Attributes:
        report: What was done so far.
        skipped: Files that could not be read.
    """

    def __init__(self, store: VectorStore, known: dict[str, str], window_nodes: int) -> None:
        self.report = IngestReport()
        self.skipped: list[SkippedFile] = []
        self._store, self._window_nodes = store, window_nodes
        self._known, self._written = known, dict[str, str]()
        self._seen: set[str] = set()
        self._window: list[Entry] = []
        self._failure: BaseException | None = None

    def take(self, done: Done) -> None:
        """Take what came of one part.

        Raises:
            NearfieldError: The store cannot be written.
        """
        self.skipped += done.skipped
        self._seen.update(done.seen)
        self._failure = self._failure or done.failure
        if done.report is not None:
            self._add_up(done.report)
        for entry in done.entries:
            before = self._written.get(entry.document_id)
            if before is None:
                self._written[entry.document_id] = entry.content_hash
                self._window.append(entry)
            elif before != entry.content_hash:
                reason = "Another document with the same id, but other content, came before it."
                self.report.skipped.append(Skipped(entry.document_id, reason))
            else:
                self.report.unchanged += 1
        if sum(len(entry.nodes) for entry in self._window) >= self._window_nodes:
            self._commit()

    def finish(self) -> None:
        """Write what is left, and how many texts were cut."""
        self._commit()
        header = self._store.header
        if header is not None and self.report.truncated_texts:
            tally = {name: getattr(self.report, name) for name in TRUNCATION_FACTS}
            self._store.update_facts(tallied(header.facts, tally))

    def remove(self, removable: Callable[[str, Metadata], bool]) -> None:
        """Delete documents that the source does not have any more; none after a failure.

        Args:
            removable: Says of a document whether it may be deleted.
        """
        if self._failure is None:
            gone = [
                name
                for name, facts in self._store.documents()
                if name not in self._seen and removable(name, facts)
            ]
            self.report.removed = self._store.delete(gone)

    def raise_failure(self) -> None:
        """Raise what ended a part early, now that the rest is written.

        Raises:
            NearfieldError: A worker failed.
        """
        if self._failure is not None:
            raise self._failure

    def _commit(self) -> None:
        window, self._window = self._window, []
        if not window:
            return
        self._store.upsert(window)
        changed = sum(entry.document_id in self._known for entry in window)
        self.report.changed += changed
        self.report.added += len(window) - changed
        self.report.nodes += sum(len(entry.nodes) for entry in window)

    def _add_up(self, done: IngestReport) -> None:
        report = self.report
        report.unchanged += done.unchanged
        report.skipped += done.skipped
        report.embedded += done.embedded
        report.truncated_texts += done.truncated_texts
        report.truncated_tokens += done.truncated_tokens
        report.embedding_s += done.embedding_s


def _results(
    source: Any, task: Task, workers: int, cpus: float, gpus: float
) -> tuple[Iterator[Done], int | None]:
    """Start the job; give what comes of it, as it comes, and how many parts there are."""
    data = _data()
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    pool = data.ActorPoolStrategy(size=workers)
    options = {"compute": pool, "num_cpus": cpus, "fn_constructor_args": (task,)}
    if gpus:
        options["num_gpus"] = gpus
    parts: int | None = None
    if isinstance(source, data.Dataset):
        dataset = source.map_batches(
            Worker, batch_size=ROWS_OF_A_PART, batch_format="numpy", **options
        )
    else:
        reader = source if hasattr(source, "parts") else PathReader(_listed(source))
        work = [pickle.dumps(part, protocol=5) for part in _parts(reader, workers)]
        parts = len(work)
        items = data.from_items(
            [{WORK: piece} for piece in work], override_num_blocks=min(max(parts, 1), MOST_PARTS)
        )
        dataset = items.map_batches(Worker, batch_size=1, batch_format="numpy", **options)
    return _taken(dataset), parts


def _taken(dataset: Any) -> Iterator[Done]:
    for batch in dataset.iter_batches(batch_size=None, prefetch_batches=1, batch_format="numpy"):
        for data in batch[DONE]:
            yield pickle.loads(data)  # noqa: S301 - made by our own workers


def _parts(reader: Any, workers: int) -> list[Any]:
    """Cut the work so fine that, at the end, nobody waits long for another one's last part."""
    size = PART_BYTES
    while True:
        parts = list(reader.parts(size))
        if len(parts) >= PARTS_OF_A_WORKER * workers or size <= LEAST_PART_BYTES:
            return parts
        size //= 4


def _room(module: Any, cpus: float, gpus: float) -> int:
    """Give how many workers there is room for; where the cluster grows by itself, name them."""
    room = module.cluster_resources()
    most = int(room.get("CPU", 1) / cpus) if cpus else int(room.get("GPU", 1) / gpus)
    if gpus:
        most = min(most, int(room.get("GPU", 0) / gpus))
    return max(1, most)


def _data() -> Any:
    return require("ray.data", extra="ray", purpose="nearfield.distributed")


def _listed(source: Any) -> list[Any]:
    return [source] if isinstance(source, str) or hasattr(source, "__fspath__") else list(source)


def _name_of_default() -> str:
    from nearfield.core.embeddings.rebuild import name_of  # noqa: PLC0415

    name = name_of(Settings.embed_model)
    if name is None:
        message = "Name the model, or pass a function that makes it: each worker makes its own."
        raise ConfigError(message)
    return name


def _check_sizes(workers: int | None, cpus: float, gpus: float, window_nodes: int) -> None:
    if workers is not None and workers < 1:
        message = f"workers must be at least 1, not {workers!r}."
        raise ConfigError(message)
    if cpus < 0 or gpus < 0 or cpus + gpus == 0:
        message = f"A worker needs cores or GPUs, not {cpus!r} and {gpus!r}."
        raise ConfigError(message)
    if window_nodes < 1:
        message = f"window_nodes must be at least 1, not {window_nodes!r}."
        raise ConfigError(message)
