"""The index: documents in, answers out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nearfield.core.aside import in_thread
from nearfield.core.drafts import WINDOW_NODES
from nearfield.core.embeddings.rebuild import name_of
from nearfield.core.index_parts import closed_on_failure, metric_for, model_for, one_store
from nearfield.core.outlines import outlines
from nearfield.core.retriever import Retriever
from nearfield.core.search_options import DEFAULT_TOP_K
from nearfield.core.settings import Settings
from nearfield.core.storage import StorageContext, exists, open_store, save_store, shown_place
from nearfield.core.store import Header
from nearfield.core.vectors import SimilarityMode
from nearfield.core.writable import WritableIndex, stoppable, warn_of
from nearfield.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from threading import Event
    from types import TracebackType
    from typing import Self

    from nearfield.core.query_engine import QueryEngine
    from nearfield.core.schema import Document, Metadata, Node
    from nearfield.core.store import VectorStore


@dataclass(frozen=True, slots=True)
class RefDocInfo:
    """What the index has of a document.

    Attributes:
        node_ids: Its nodes, in order.
        metadata: Its facts.
    """

    node_ids: list[str] = field(default_factory=list)
    metadata: Metadata = field(default_factory=dict)


class VectorStoreIndex(WritableIndex):
    """Documents that can be searched by meaning.

    It is made by :meth:`from_documents`, opened by :meth:`open`, and closed by
    :meth:`close` or at the end of a ``with`` block.

    Args:
        nodes: Nodes to begin with.
        store: Where everything is kept; in memory by default.
        embed_model: The model, or a name for one; ``Settings.embed_model`` by default.
        similarity_mode: How vectors are compared, for a new store; what the model
            was trained for by default, which is nearly always cosine.
        transformations: A splitter, then functions from nodes to nodes; by default
            ``Settings.node_parser``, or a sentence splitter fitted to the model.
        storage_context: LlamaIndex's way to name the store.
        show_progress: Draw bars on stderr, on a terminal only.
        insert_batch_size: Nodes that are embedded and written together, about.
        check_model: Refuse a store that was made by another model. Turn it off only
            where two models give the same vectors, as one model does that is also
            served elsewhere.

    Raises:
        ConfigError: An argument makes no sense.
        ModelMismatchError: The store was made by another model.
    """

    def __init__(
        self,
        nodes: Sequence[Node] | None = None,
        *,
        store: VectorStore | None = None,
        embed_model: Any = None,
        similarity_mode: SimilarityMode | str | None = None,
        transformations: Sequence[Any] | None = None,
        storage_context: StorageContext | None = None,
        show_progress: bool = False,
        insert_batch_size: int = WINDOW_NODES,
        check_model: bool = True,
    ) -> None:
        if insert_batch_size < 1:
            message = f"insert_batch_size must be at least 1, not {insert_batch_size!r}."
            raise ConfigError(message)
        self.store = one_store(store, storage_context)
        self.embed_model = model_for(self.store.header, embed_model, check=check_model)
        self._check_model = check_model
        self._similarity_mode = metric_for(self.store.header, similarity_mode)
        self._show_progress = show_progress
        self._insert_batch_size = insert_batch_size
        self._facts: Metadata = {}
        self._split = self._make_split(transformations)
        if nodes:
            self.insert_nodes(nodes)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        path: str | os.PathLike[str] | None = None,
        store: VectorStore | None = None,
        storage_context: StorageContext | None = None,
        **options: Any,
    ) -> Self:
        """Index documents.

        Args:
            documents: Any iterable; a generator is streamed, in bounded memory.
            path: The file to keep the index in. If there is one already, only new
                and changed documents are embedded.
            store: Or any other store.
            storage_context: LlamaIndex's way to name the store.
            options: ``embed_model``, ``similarity_mode``, ``transformations``,
                ``show_progress``, ``insert_batch_size`` and ``check_model``, as for the class.

        Returns:
            The index; in memory when no place is named.

        Raises:
            ConfigError: More than one place is named, or an option makes no sense.
            ModelMismatchError: The index that is there was made by another model.
            NearfieldError: A document could not be embedded or written; those before
                it are in the index.
        """
        places = {"path": path, "store": store, "storage_context": storage_context}
        return cls._from_documents(documents, places | options)

    @classmethod
    def _from_documents(
        cls, documents: Iterable[Document], options: dict[str, Any], stop: Event | None = None
    ) -> Self:
        path = options.pop("path", None)
        if path is None:
            return cls._filled(documents, options, stop)
        if options.get("store") is not None or options.get("storage_context") is not None:
            message = "Pass path, store or storage_context, not several: an index has one place."
            raise ConfigError(message)
        with closed_on_failure(open_store(path)) as own:
            index = cls._filled(documents, options | {"store": own}, stop)
            if stop is not None and stop.is_set():
                own.close()  # nobody waits for the index any longer
            return index

    @classmethod
    def _filled(
        cls, documents: Iterable[Document], options: dict[str, Any], stop: Event | None
    ) -> Self:
        index = cls(**options)
        warn_of(index.ingest(documents, stop=stop), index.embed_model)
        return index

    @classmethod
    async def afrom_documents(cls, documents: Iterable[Document], **options: Any) -> Self:
        """Index documents, as :meth:`from_documents` does.

        When cancelled, the window at hand is still written, and a file that was opened is closed.
        """
        return await stoppable(cls._from_documents, documents, options)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        embed_model: Any = None,
        *,
        read_only: bool = False,
        **options: Any,
    ) -> Self:
        """Open an index that was made before.

        Args:
            path: Its file, or ``"name://..."`` for a registered store.
            embed_model: The model that made it. By default the one in the settings,
                if it made it, or else the one the index names, if it runs here.
            read_only: Refuse to change the index. A store in a file may still keep beside it
                what it derives for searching (a snapshot), where the folder allows that.
            options: As for the class.

        Returns:
            The index.

        Raises:
            StoreError: There is no index.
            CorruptStoreError: The file is damaged or something else.
            ModelMismatchError: Another model made it.
        """
        if not exists(path):
            message = (
                f"There is no index at {shown_place(path)!r}. "
                "Make one with VectorStoreIndex.from_documents(documents, path=...)."
            )
            raise StoreError(message)
        with closed_on_failure(open_store(path, read_only=read_only)) as store:
            return cls(store=store, embed_model=embed_model, **options)

    @classmethod
    def from_vector_store(
        cls, vector_store: VectorStore, embed_model: Any = None, **options: Any
    ) -> Self:
        """Give the index over a store.

        Args:
            vector_store: The store, new or filled.
            embed_model: As for :meth:`open`.
            options: As for the class.

        Returns:
            The index.

        Raises:
            ModelMismatchError: Another model made it.
        """
        return cls(store=vector_store, embed_model=embed_model, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole index to a file, which is replaced whole or not at all.

        Args:
            path: The file; an index that is there is replaced.

        Raises:
            ConfigError: Something else is there.
            StoreError: The file cannot be written, or documents were changed meanwhile.
        """
        save_store(self.store, path)

    async def asave(self, path: str | os.PathLike[str]) -> None:
        """Write the whole index to a file, as :meth:`save` does."""
        await in_thread(self.save, path)

    def as_retriever(
        self, similarity_top_k: int = DEFAULT_TOP_K, *, embed_model: Any = None, **options: Any
    ) -> Retriever:
        """Give a retriever; it sees later changes of the index too.

        Args:
            similarity_top_k: The most nodes per question, at least 1.
            embed_model: Another object of the index's model to embed questions with.
            options: ``mode``, ``filters``, ``doc_ids``, ``node_ids``, ``score_cutoff``,
                ``nodes_per_document``, ``mmr_threshold``, ``rerank``, ``rerank_candidates``: see
                :class:`~nearfield.core.search_options.SearchOptions`.

        Returns:
            The retriever.

        Raises:
            ConfigError: An option makes no sense.
            ModelMismatchError: ``embed_model`` is another model than the index's.
            NotSupportedError: The store cannot search by words.
            TypeError: An option is unknown.
        """
        model = self.embed_model
        if embed_model is not None:
            model = model_for(self.store.header, embed_model, check=self._check_model)
        return Retriever(self.store, model, similarity_top_k=similarity_top_k, **options)

    def as_query_engine(
        self,
        llm: Any = None,
        *,
        similarity_top_k: int = DEFAULT_TOP_K,
        response_mode: str = "auto",
        **options: Any,
    ) -> QueryEngine:
        """Give a query engine: questions in, answers with sources out.

        Args:
            llm: A chat model; ``Settings.llm`` by default. Without one, answers are
                sentences picked from the documents.
            similarity_top_k: How many nodes an answer is made from, at least 1.
            response_mode: See :class:`~nearfield.core.query_engine.QueryEngine`.
            options: As for :meth:`as_retriever`.

        Returns:
            The query engine.

        Raises:
            ConfigError: An option makes no sense.
            TypeError: An option is unknown.
        """
        from nearfield.core.query_engine import QueryEngine  # noqa: PLC0415 - not all ask

        retriever = self.as_retriever(similarity_top_k, **options)
        llm = Settings.llm if llm is None else llm
        return QueryEngine(retriever, llm, response_mode=response_mode)

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return self.store.count()

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """What the index has of each document, by document id."""
        return {
            name: RefDocInfo(of.node_ids, of.metadata) for name, of in outlines(self.store).items()
        }

    @property
    def storage_context(self) -> StorageContext:
        """The place of the index, as LlamaIndex spells it."""
        return StorageContext(self.store)

    def close(self) -> None:
        """Let go of the store; calling it twice is harmless."""
        self.store.close()

    def __enter__(self) -> Self:
        """Give the index itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the index."""
        self.close()

    def __repr__(self) -> str:
        """Name the store and the model."""
        return f"VectorStoreIndex(store={self.store!r}, embed_model={self.embed_model!r})"

    def _make_split(self, transformations: Sequence[Any] | None) -> Any:
        # Fetched when an index is made, not when the class is: it costs as much as the rest.
        from nearfield.core.splitter import SentenceSplitter  # noqa: PLC0415
        from nearfield.core.splitting import default_splitter, make_split  # noqa: PLC0415

        if transformations is None and Settings.node_parser is not None:
            transformations = [Settings.node_parser]
        if transformations is None:
            facts = self.store.header.facts if self.store.header else None
            transformations = [default_splitter(self.embed_model, facts)]
        splitter = transformations[0] if transformations else None
        if isinstance(splitter, SentenceSplitter):  # others count something else
            self._facts["chunk_size"] = splitter.chunk_size
            self._facts["chunk_overlap"] = splitter.chunk_overlap
        return make_split(transformations)

    def _header(self, dim: int) -> Header:
        model = self.embed_model
        metric = self._similarity_mode or model.similarity_mode
        facts = {"embed_model": name_of(model), **self._facts}
        return Header(model.fingerprint, dim, SimilarityMode(metric), model.model_name, facts)
