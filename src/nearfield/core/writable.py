"""What changes an index: documents and nodes put in, replaced and taken out."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from nearfield.core.aside import in_thread
from nearfield.core.drafts import Draft
from nearfield.core.ingest import Ingest
from nearfield.core.metadata import check_metadata
from nearfield.core.schema import DERIVED_ID, as_document, check_node, content_hash
from nearfield.core.warn import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nearfield.core.drafts import IngestReport
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.estimate import Estimate
    from nearfield.core.schema import Document, Metadata, Node
    from nearfield.core.store import Header, VectorStore

T = TypeVar("T")


class WritableIndex(ABC):
    """The writing half of an index; :class:`~nearfield.core.index.VectorStoreIndex` is the whole.

    Every method is safe to repeat: documents are known by id and content, so
    that nothing is stored twice and nothing unchanged is embedded again. Each
    has an async twin that leaves the event loop free.
    """

    store: VectorStore
    embed_model: BaseEmbedding
    _split: Callable[[Document], Sequence[Node]]
    _insert_batch_size: int
    _show_progress: bool

    @abstractmethod
    def _header(self, dim: int) -> Header:
        """Give the header of a new store."""

    def prepare(self) -> Header:
        """Give a new store its header before anything is written; check that of an old one.

        Returns:
            The header.

        Raises:
            ModelMismatchError: The store was made by another model.
        """
        header = self.store.header
        if header is None:
            model = self.embed_model
            dim = model.dim or model.encode(["a word to measure by"]).shape[1]
            header = self._header(dim)
            self.store.initialize(header)
        return header

    def _stream(self) -> Ingest:
        return Ingest(self.store, self.embed_model, self._header, self._insert_batch_size)

    # Many documents.

    def ingest(
        self,
        documents: Iterable[Document],
        *,
        removable: Callable[[str, Metadata], bool] | None = None,
        show_progress: bool | None = None,
        total: int | None = None,
        stop: threading.Event | None = None,
    ) -> IngestReport:
        """Bring the index in step with documents; only new and changed ones are embedded.

        A stream: documents are read, embedded and written at the same time, in
        bounded memory. Stopped at any point, what was written stays; run again,
        it goes on from there.

        Args:
            documents: Any iterable; a generator is run in a thread of its own.
            removable: Says of an indexed document, by id and facts, whether it is
                to be deleted if ``documents`` does not have it. By default none is.
            show_progress: Draw a bar on stderr, on a terminal only.
            total: How many documents there are, if known.
            stop: Once set, the stream ends after the window at hand.

        Returns:
            What was done. Skipped documents and cut texts are told here, not warned of.

        Raises:
            NearfieldError: The first failure; what was embedded before it is written.
            TypeError: Something is not a document.
        """
        return self._stream().documents(
            documents,
            self._split,
            removable=removable,
            show_progress=self._show_progress if show_progress is None else show_progress,
            total=total,
            stop=stop,
        )

    def estimate(
        self,
        documents: Iterable[Document],
        *,
        removable: Callable[[str, Metadata], bool] | None = None,
        total: int | None = None,
        show_progress: bool | None = None,
    ) -> Estimate:
        """Find out what :meth:`ingest` would do and embed, without doing it.

        Args:
            documents: As for :meth:`ingest`.
            removable: As for :meth:`ingest`.
            total: As for :meth:`ingest`.
            show_progress: As for :meth:`ingest`.

        Returns:
            Documents, nodes and tokens.

        Raises:
            TypeError: Something is not a document.
        """
        from nearfield.core.estimate import estimate  # noqa: PLC0415 - few ask

        return estimate(
            documents,
            store=self.store,
            model=self.embed_model,
            split=self._split,
            removable=removable,
            total=total,
            show_progress=self._show_progress if show_progress is None else show_progress,
        )

    async def aingest(
        self,
        documents: Iterable[Document],
        *,
        removable: Callable[[str, Metadata], bool] | None = None,
        show_progress: bool | None = None,
        total: int | None = None,
    ) -> IngestReport:
        """Bring the index in step with documents, as :meth:`ingest` does.

        When cancelled, the window at hand is still written.
        """
        return await stoppable(
            self.ingest,
            documents,
            removable=removable,
            show_progress=show_progress,
            total=total,
        )

    def refresh(self, documents: Sequence[Document]) -> list[bool]:
        """Insert the documents that are new or changed.

        Args:
            documents: Documents, each known by its id.

        Returns:
            For each, whether it was new or changed, and put in.

        Raises:
            NearfieldError: As for :meth:`ingest`.
        """
        return self._refresh(documents)

    async def arefresh(self, documents: Sequence[Document]) -> list[bool]:
        """Insert the documents that are new or changed, as :meth:`refresh` does.

        When cancelled, the window at hand is still written.
        """
        return await stoppable(self._refresh, documents)

    def _refresh(
        self, documents: Sequence[Document], stop: threading.Event | None = None
    ) -> list[bool]:
        some = [as_document(document) for document in documents]
        before = self.store.content_hashes([document.id for document in some])
        warn_of(self.ingest(some, stop=stop), self.embed_model)
        put_in, seen = [], set()
        for document in some:  # of one id the first counts, as in the stream
            changed = document.id not in seen and before.get(document.id) != document.hash
            put_in.append(changed)
            seen.add(document.id)
        return put_in

    def refresh_ref_docs(self, documents: Sequence[Document]) -> list[bool]:
        """Do as :meth:`refresh`, as LlamaIndex spells it."""
        return self.refresh(documents)

    async def arefresh_ref_docs(self, documents: Sequence[Document]) -> list[bool]:
        """Do as :meth:`refresh`, as LlamaIndex spells it."""
        return await self.arefresh(documents)

    # One document.

    def insert(self, document: Document) -> None:
        """Put a document in; an older version of it, by id, is replaced.

        Args:
            document: The document.

        Raises:
            NearfieldError: As for :meth:`ingest`.
        """
        warn_of(self.ingest([document], show_progress=False), self.embed_model)

    async def ainsert(self, document: Document) -> None:
        """Put a document in, as :meth:`insert` does."""
        await in_thread(self.insert, document)

    def update(self, document: Document) -> None:
        """Replace a document by a new version: the old one goes when the new one is embedded.

        Args:
            document: The new version, with the old one's id.

        Raises:
            NearfieldError: As for :meth:`ingest`.
        """
        self.insert(document)

    async def aupdate(self, document: Document) -> None:
        """Replace a document by a new version, as :meth:`update` does."""
        await self.ainsert(document)

    def update_ref_doc(self, document: Document) -> None:
        """Do as :meth:`update`, as LlamaIndex spells it."""
        self.update(document)

    async def aupdate_ref_doc(self, document: Document) -> None:
        """Do as :meth:`update`, as LlamaIndex spells it."""
        await self.aupdate(document)

    def delete(self, document_ids: Sequence[str] | str) -> int:
        """Take documents out, with all their nodes.

        Args:
            document_ids: One id or several; unknown ones are passed over.

        Returns:
            How many were there.
        """
        return self.store.delete(_ids(document_ids))

    async def adelete(self, document_ids: Sequence[str] | str) -> int:
        """Take documents out, as :meth:`delete` does."""
        return await in_thread(self.delete, document_ids)

    def delete_ref_doc(self, ref_doc_id: str, *, delete_from_docstore: bool = True) -> None:
        """Take a document out, as LlamaIndex spells it.

        Args:
            ref_doc_id: Its id.
            delete_from_docstore: Accepted for LlamaIndex's sake; texts and vectors
                are kept together, and go together.
        """
        del delete_from_docstore
        self.delete([ref_doc_id])

    async def adelete_ref_doc(self, ref_doc_id: str, *, delete_from_docstore: bool = True) -> None:
        """Take a document out, as :meth:`delete_ref_doc` does."""
        await in_thread(self.delete_ref_doc, ref_doc_id, delete_from_docstore=delete_from_docstore)

    # Nodes.

    def insert_nodes(self, nodes: Sequence[Node], *, show_progress: bool | None = None) -> None:
        """Put nodes in, as they are: they are not split.

        Nodes of a document that is there already join those it has, and replace those of the
        same id; what others write to it meanwhile stays. A node with an ``embedding`` keeps it.
        Nodes without an id of their own are told apart by document, place, text and facts.

        Args:
            nodes: The nodes.
            show_progress: Draw a bar on stderr, on a terminal only.

        Raises:
            DimensionMismatchError: A node's own embedding is of another length.
            StoreError: A node's id belongs to another document.
            NearfieldError: As for :meth:`ingest`.
            TypeError: Something is not a node, or its id, text or place are of the wrong type.
        """
        self._insert_nodes(nodes, show_progress=show_progress)

    async def ainsert_nodes(
        self, nodes: Sequence[Node], *, show_progress: bool | None = None
    ) -> None:
        """Put nodes in, as :meth:`insert_nodes` does.

        When cancelled, the window at hand is still written.
        """
        await stoppable(self._insert_nodes, nodes, show_progress=show_progress)

    def _insert_nodes(
        self,
        nodes: Sequence[Node],
        *,
        show_progress: bool | None,
        stop: threading.Event | None = None,
    ) -> None:
        show = self._show_progress if show_progress is None else show_progress
        report = self._stream().joining(self._drafts(nodes), show_progress=show, stop=stop)
        warn_of(report, self.embed_model)

    def delete_nodes(self, node_ids: Sequence[str] | str) -> int:
        """Take single nodes out; their documents stay known.

        Args:
            node_ids: One id or several; unknown ones are passed over.

        Returns:
            How many were there.
        """
        return self.store.delete_nodes(_ids(node_ids))

    async def adelete_nodes(self, node_ids: Sequence[str] | str) -> int:
        """Take single nodes out, as :meth:`delete_nodes` does."""
        return await in_thread(self.delete_nodes, node_ids)

    def _drafts(self, nodes: Sequence[Node]) -> list[Draft]:
        grouped: dict[str, dict[str, Node]] = {}
        for node in nodes:
            check_node(node)
            check_metadata(node.metadata, f"node {node.id!r}")
            own = grouped.setdefault(node.document_id, {})
            apart = _told_apart(node, own)
            own[apart.id] = apart
        known = self.store.content_hashes(list(grouped))
        drafts = []
        for name, own in grouped.items():
            content = content_hash("\x00".join(node.text for node in own.values()))
            drafts.append(Draft(name, content, list(own.values()), {}, replaces=name in known))
        return drafts


async def stoppable(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call in a thread what takes a ``stop`` event, which is set once nobody waits any longer.

    Args:
        call: What streams documents or nodes into a store.
        args: What it is called with.
        kwargs: What else it is called with.

    Returns:
        What it gives.
    """
    stop = threading.Event()
    try:
        return await in_thread(call, *args, stop=stop, **kwargs)
    finally:
        stop.set()


def warn_of(report: IngestReport, model: BaseEmbedding) -> None:
    """Warn of what a stream left out, where its report is not handed on.

    Args:
        report: What the stream did.
        model: The model, which may have been told not to warn of cut texts.
    """
    if report.skipped:
        first = report.skipped[0]
        warn(
            f"{len(report.skipped)} documents were left out; the first is "
            f"{first.document_id!r}: {first.reason}"
        )
    if report.truncated_texts and model.on_truncation == "warn":
        warn(
            f"{report.truncated_texts} nodes were longer than the {model.max_tokens} tokens "
            f"{model.model_name} reads; {report.truncated_tokens} tokens were left out. "
            "Use a smaller chunk_size, or on_truncation='ignore'."
        )


def _told_apart(node: Node, others: Mapping[str, Node]) -> Node:
    """Give a node that was given no id one that is not that of another node of the call."""
    name, nth = node.id, 1
    while name.startswith(DERIVED_ID) and others.get(node.id, node) != node:
        nth += 1
        node = replace(node, id=f"{name}-{nth}")
    return node


def _ids(ids: Sequence[str] | str) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)
