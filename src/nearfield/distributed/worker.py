"""What runs on a worker: documents read, split and embedded; nothing is written here.

A piece of work is read, split and embedded by core's own stream, into a tray
instead of a store: so that ids, nodes and vectors are those of one process.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.ingest import Ingest
from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Document
from nearfield.core.settings import Settings
from nearfield.core.splitting import default_splitter, make_split
from nearfield.distributed.cluster import ray
from nearfield.errors import NearfieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nearfield.core.drafts import IngestReport
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.readers.discovery import SkippedFile
    from nearfield.core.store import Entry, Header

WORK, DONE = "work", "done"
"""The columns of what goes to a worker and of what comes back."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a job is told.

    Attributes:
        model: The model's name, or what makes it.
        threads: How many threads a worker computes with.
        header: The index's.
        known: In a list of one, where the content hashes of the index are; a reference.
    """

    model: str | Callable[[], BaseEmbedding]
    threads: int
    header: Header
    known: list[Any]


@dataclass(slots=True)
class Done:
    """What came of one piece of work.

    Attributes:
        entries: Documents with their vectors, not written yet.
        report: What was done.
        seen: The ids of all documents looked at.
        skipped: Files that could not be read.
        failure: What ended the piece early.
    """

    entries: list[Entry] = field(default_factory=list)
    report: IngestReport | None = None
    seen: list[str] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    failure: BaseException | None = None


def make_model(model: str | Callable[[], BaseEmbedding], threads: int | None) -> BaseEmbedding:
    """Make a model.

    Args:
        model: Its name, or what makes it.
        threads: How many threads it computes with; as the settings say when ``None``.
    """
    if threads is None:
        return model() if callable(model) else resolve_embed_model(model)
    with Settings.override(threads=threads):
        return model() if callable(model) else resolve_embed_model(model)


class Worker:
    """An actor of Ray Data: holds the model, takes pieces of work.

    Args:
        task: What every worker of the job is told.
    """

    def __init__(self, task: Task) -> None:
        # What a library of the model starts by itself keeps to the cores of this actor.
        os.environ["NEARFIELD_THREADS"] = str(task.threads)
        self._header = task.header
        self._known: dict[str, str] = ray().get(task.known[0])
        self._model = make_model(task.model, task.threads)
        self._split = make_split([default_splitter(self._model, task.header.facts)])

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[bytes]]:
        """Do the work of a batch.

        Args:
            batch: Pieces of work, as bytes in the column ``"work"``; or a document a row,
                in the columns ``"id"``, ``"text"`` and others, which are its metadata.

        Returns:
            One :class:`Done` per piece, as bytes.
        """
        if WORK not in batch:
            return {DONE: [pickle.dumps(self._do(_documents(batch)), protocol=5)]}
        made = []
        for data in batch[WORK]:
            part = pickle.loads(data)  # noqa: S301 - made by the driver
            done = self._do(part.iter_data())
            done.skipped = part.skipped
            made.append(pickle.dumps(done, protocol=5))
        return {DONE: made}

    def _do(self, documents: Iterable[Document]) -> Done:
        tray, done = _Tray(self._known), Done()
        tray.initialize(self._header)
        stream = Ingest(tray, self._model, lambda _: self._header)

        def noted() -> Iterator[Document]:
            for document in documents:
                done.seen.append(document.id)
                yield document

        try:
            done.report = stream.documents(noted(), self._split)
        except NearfieldError as error:
            done.failure = error
        done.entries = tray.entries
        return done


class _Tray(MemoryStore):
    """Takes what the stream writes, to be sent back; knows what the index has."""

    def __init__(self, known: dict[str, str]) -> None:
        super().__init__()
        self._known = known
        self.entries: list[Entry] = []

    def content_hashes(self, document_ids: Sequence[str] | None = None) -> dict[str, str]:
        if document_ids is None:
            return self._known
        return {name: self._known[name] for name in document_ids if name in self._known}

    def upsert(self, entries: Sequence[Entry]) -> None:
        self.entries += entries


def _documents(batch: Mapping[str, Sequence[Any]]) -> Iterator[Document]:
    names = [name for name in batch if name not in {"id", "text"}]
    for number, text in enumerate(batch["text"]):
        facts = {name: _plain(batch[name][number]) for name in names}
        name = str(batch["id"][number]) if "id" in batch else None
        yield Document(str(text), facts, name)


def _plain(value: Any) -> Any:
    """Give a value of a column as JSON knows it."""
    return value.tolist() if hasattr(value, "tolist") else value
