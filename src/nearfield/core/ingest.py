"""From documents to stored vectors: one stream, its stages overlapping, its memory bounded.

One thread reads and splits, the caller's embeds, a third writes. What passes
between them is a window: whole documents, about ``WINDOW_NODES`` nodes or
``WINDOW_CHARACTERS`` characters of them. A window is one call of the model and
one transaction of the store. At any moment at most five windows are in memory
(one being read, one waiting, one being embedded, one waiting, one being
written), whatever the size of the corpus; a document larger than a window is
one of its own, embedded in slices and written whole. Besides, the ids and
content hashes of the documents are held, some 200 bytes each.

A stream may stop anywhere, by an error, by Ctrl-C or by a kill: the windows
written stay, and the next run skips their documents by id and content hash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence, Sized
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nearfield.core.channel import AbandonedError, Channel
from nearfield.core.drafts import WINDOW_NODES, IngestReport, make_drafts, pack
from nearfield.core.other_files import warn_of_other_files
from nearfield.core.progress import progress
from nearfield.core.schema import Document, as_document
from nearfield.core.store import Entry
from nearfield.core.upserts import upsert_joining, upsert_replacing
from nearfield.core.vectors import as_matrix
from nearfield.errors import DimensionMismatchError, InvalidVectorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np

    from nearfield.core.drafts import Draft, Window
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.schema import Metadata, Node
    from nearfield.core.store import Header, VectorStore
    from nearfield.core.vectors import Vector, Vectors
else:
    from nearfield.core.arrays import np

FEW_DOCUMENTS = 1000
DELETED_AT_ONCE = 1000
TRUNCATION_FACTS = ("truncated_texts", "truncated_tokens")
"""Facts of the header: what the model did not read, in all since the index was made."""


class _Batch(NamedTuple):
    """What is written together: documents, and what to add to the facts of the header."""

    entries: list[Entry]
    tally: dict[str, int]


@dataclass(slots=True)
class Ingest:
    """The stream into one store by one model.

    Attributes:
        store: Where to.
        model: What embeds.
        header: Gives the header of a new store, for the length of its vectors.
        window_nodes: Nodes that are embedded and written together, about.
    """

    store: VectorStore
    model: BaseEmbedding
    header: Callable[[int], Header]
    window_nodes: int = WINDOW_NODES

    def documents(
        self,
        documents: Iterable[Document],
        split: Callable[[Document], Sequence[Node]],
        *,
        removable: Callable[[str, Metadata], bool] | None = None,
        show_progress: bool = False,
        total: int | None = None,
        stop: threading.Event | None = None,
    ) -> IngestReport:
        """Bring the store in step with documents; only new and changed ones are embedded.

        Args:
            documents: Any iterable; a generator is run in a thread of its own.
            split: Gives the nodes of a document.
            removable: Says of a stored document, by id and facts, whether it is to
                be deleted if ``documents`` does not have it. By default none is.
            show_progress: Draw a bar on stderr, on a terminal only.
            total: How many documents there are, if known.
            stop: Once set, the stream ends after the window at hand.

        Returns:
            What was done.

        Raises:
            NearfieldError: The first failure of any stage, after what was
                embedded before it was written.
            TypeError: Something is not a document.
        """
        if isinstance(documents, Document):
            message = "Expected documents, got a single one. Put it into a list, or use insert."
            raise TypeError(message)
        report = IngestReport()
        if total is None and isinstance(documents, Sized):
            total = len(documents)
        with _timing(report):
            known = self._known(documents)
            seen: dict[str, str] = {}
            drafts = make_drafts(documents, split, known, seen, report)
            self._run(drafts, report, show_progress=show_progress, total=total, stop=stop)
            if removable is not None and not (stop and stop.is_set()):
                report.removed = self._remove(removable, seen)
        return report

    def joining(
        self,
        drafts: Iterable[Draft],
        *,
        show_progress: bool = False,
        stop: threading.Event | None = None,
    ) -> IngestReport:
        """Embed nodes that are split already, and have them join those of their documents.

        Args:
            drafts: Documents with the nodes that are new; a generator is run in a thread of
                its own.
            show_progress: Draw a bar on stderr, on a terminal only.
            stop: Once set, the stream ends after the window at hand.

        Returns:
            What was done.

        Raises:
            NearfieldError: As for :meth:`documents`.
        """
        report = IngestReport()
        with _timing(report):
            self._run(drafts, report, show_progress=show_progress, stop=stop, put=upsert_joining)
        return report

    def _known(self, documents: Iterable[Document]) -> dict[str, str]:
        """Give the stored content hashes: of these documents if they are few, else of all."""
        if isinstance(documents, Sequence) and len(documents) <= FEW_DOCUMENTS:
            return self.store.content_hashes([as_document(item).id for item in documents])
        return self.store.content_hashes()

    def _run(
        self,
        drafts: Iterable[Draft | None],
        report: IngestReport,
        *,
        show_progress: bool = False,
        total: int | None = None,
        stop: threading.Event | None = None,
        put: Callable[..., None] = upsert_replacing,
    ) -> None:
        windows: Channel[Window] = Channel()
        batches: Channel[_Batch] = Channel()
        # Left from the last line up: reading stops, what is embedded is written, the bar ends.
        with (
            suppress(AbandonedError),  # the writer's own error, raised below, says why
            progress(total, "Indexing", show=show_progress) as bar,
            _thread("write", _write, batches, put, self.store),
            _afterwards(batches.finish),
            _thread("read", windows.feed, pack(drafts, self.window_nodes)),
            _afterwards(windows.abandon),
        ):
            for window in windows:
                if window.drafts:
                    batches.put(self._embed(window.drafts, report))
                    report.tally(window.drafts)
                bar.advance(window.seen)
                if stop is not None and stop.is_set():
                    break
        batches.check()

    def _embed(self, drafts: Sequence[Draft], report: IngestReport) -> _Batch:
        warn_of_other_files(self.store, drafts)
        before = _truncation(report)
        nodes = [node for draft in drafts for node in draft.nodes]
        matrix = self._vectors(nodes, self._reusable(drafts), report)
        if self.store.header is None:
            self.store.initialize(self.header(matrix.shape[1]))
        made, end = [], 0
        for draft in drafts:
            begin, end = end, end + len(draft.nodes)
            its = nodes[begin:end], matrix[begin:end]
            made.append(Entry(draft.document_id, draft.content_hash, *its, draft.metadata))
        more = zip(TRUNCATION_FACTS, before, _truncation(report), strict=True)
        return _Batch(made, {name: now - then for name, then, now in more if now > then})

    def _reusable(self, drafts: Sequence[Draft]) -> dict[str, Vector]:
        """Find vectors of nodes that a new version of a document shares with the old one."""
        texts = {node.id: node.text for draft in drafts if draft.replaces for node in draft.nodes}
        if not texts:
            return {}
        stored = self.store.nodes(list(texts))
        return {node.id: vector for node, vector in stored if texts[node.id] == node.text}

    def _vectors(
        self, nodes: Sequence[Node], stored: Mapping[str, Vector], report: IngestReport
    ) -> Vectors:
        """Give the vectors of nodes: their own, those stored, and the rest computed."""
        ready: dict[int, Any] = {}
        for number, node in enumerate(nodes):
            vector = stored.get(node.id) if node.embedding is None else node.embedding
            if vector is not None:
                ready[number] = vector
        missing = [number for number in range(len(nodes)) if number not in ready]
        began = time.perf_counter()
        computed = self._compute([nodes[number].text for number in missing], report)
        report.embedding_s += time.perf_counter() - began
        if missing and not ready:
            return computed
        matrix = np.empty((len(nodes), computed.shape[1] or self._dim(ready)), np.float32)
        if missing:
            matrix[missing] = computed
        for number, vector in ready.items():
            matrix[number] = _own_vector(vector, nodes[number], matrix.shape[1])
        return matrix

    def _compute(self, texts: Sequence[str], report: IngestReport) -> Vectors:
        """Embed texts, a slice at a time, and count what it took."""
        matrix = np.zeros((0, 0), np.float32)
        for start in range(0, len(texts), self.window_nodes):
            part, counts = self.model.encode_with_report(texts[start : start + self.window_nodes])
            report.embedded += counts.computed
            report.truncated_texts += counts.truncated_texts
            report.truncated_tokens += counts.truncated_tokens
            if len(part) == len(texts):
                return part
            if not start:
                matrix = np.empty((len(texts), part.shape[1]), np.float32)
            matrix[start : start + len(part)] = part
        return matrix

    def _dim(self, ready: Mapping[int, Any]) -> int:
        """Find out how long vectors are when none had to be computed."""
        if self.store.header is not None:
            return self.store.header.dim
        if ready:
            return len(next(iter(ready.values())))
        dim: int = self.model.dim or self.model.encode(["a word to measure by"]).shape[1]
        return dim

    def _remove(self, removable: Callable[[str, Metadata], bool], seen: Mapping[str, str]) -> int:
        gone = [
            name
            for name, facts in self.store.documents()
            if name not in seen and removable(name, facts)
        ]
        return sum(
            self.store.delete(gone[start : start + DELETED_AT_ONCE])
            for start in range(0, len(gone), DELETED_AT_ONCE)
        )


def _write(
    batches: Channel[_Batch],
    put: Callable[[VectorStore, Sequence[Entry], Mapping[str, int]], None],
    store: VectorStore,
) -> None:
    try:
        for entries, tally in batches:
            put(store, entries, tally)
    except BaseException as error:  # noqa: BLE001 - goes to the thread that waits for it
        batches.abandon(error)


def _truncation(report: IngestReport) -> tuple[int, int]:
    return report.truncated_texts, report.truncated_tokens


def _own_vector(vector: Any, node: Node, dim: int) -> Vector:
    """Check a vector that a node brought along."""
    try:
        row: Vector = as_matrix([vector])[0]
    except InvalidVectorsError as error:
        message = f"The embedding of node {node.id!r} cannot be used: {error}"
        raise InvalidVectorsError(message) from error
    if len(row) != dim:
        message = (
            f"The embedding of node {node.id!r} has {len(row)} numbers, the others have {dim}. "
            "Embed all nodes with one model."
        )
        raise DimensionMismatchError(message)
    return row


@contextmanager
def _timing(report: IngestReport) -> Iterator[None]:
    began = time.perf_counter()
    yield
    report.seconds = time.perf_counter() - began


@contextmanager
def _thread(name: str, run: Callable[..., None], *args: object) -> Iterator[None]:
    """Run something in a thread, in this context, and wait for its end."""
    # A daemon, so that a second Ctrl-C need not wait for a reader that hangs.
    thread = threading.Thread(
        target=copy_context().run, args=(run, *args), name=f"nearfield-{name}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def _afterwards(call: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        call()
