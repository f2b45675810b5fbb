"""What is loaded, and the one way to it: models, an index, rerankers, behind the batchers."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nearfield.core.embeddings import BaseEmbedding, resolve_embed_model
from nearfield.core.index import VectorStoreIndex
from nearfield.core.rerank import resolve_reranker
from nearfield.core.storage import exists, open_store, shown_place
from nearfield.errors import ConfigError, StoreError, UnknownModelError
from nearfield.server.batcher import Batcher
from nearfield.server.lane import lane_of
from nearfield.server.metrics import Metrics
from nearfield.server.refusal import unavailable
from nearfield.server.schedule import Room

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Sequence

    from nearfield.core.embeddings import InputType
    from nearfield.core.rerank import Reranker
    from nearfield.core.vectors import Vectors
    from nearfield.server.config import ServerConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of a request, and what they took.

    Attributes:
        vectors: ``(n, dim)`` float32, in the order of the texts.
        tokens: Tokens the model read.
        cut: Tokens that were left out, for being over the model's limit.
    """

    vectors: Vectors
    tokens: int
    cut: int


class Service:
    """What the server has loaded.

    Nothing is loaded until :meth:`load`; :meth:`close` ends what was begun.

    Args:
        config: What to load.

    Attributes:
        config: As given.
        models: By name; empty before loading.
        index: The index served, if any.
        default_model: The name of the model of those who name none.
        index_model: The name of the index's model.
        rerankers: By name.
        metrics: What is counted.
        ready: Whether all is loaded and requests are taken.
        started: When the service was made, in seconds of the monotonic clock.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.models: dict[str, BaseEmbedding] = {}
        self.default_model = ""
        self.index_model = ""
        self.index: VectorStoreIndex | None = None
        self.rerankers: dict[str, Reranker] = {}
        self.metrics = Metrics()
        self.ready = False
        self.started = time.monotonic()
        self._room = Room(config.limits.queue_requests, config.limits.queue_texts)
        self._batchers: dict[str, Batcher] = {}
        self._own_index = False

    def load(self) -> None:
        """Load all that is configured; it may take a while.

        Raises:
            NearfieldError: Something is not there, is damaged, or does not fit together.
        """
        for name, given in self.config.models.items():
            self.models[name] = resolve_embed_model(given)
        if self.config.index is not None:
            self._open_index(self.config.index)
        if not self.models:
            model = resolve_embed_model()
            self.models[model.model_name] = model
        self.default_model = self.config.default_model or next(iter(self.models))
        self._check_names()
        for name, given in self.config.rerankers.items():
            self.rerankers[name] = resolve_reranker(given)
        for name, model in self.models.items():
            self._batchers[name] = Batcher(
                lane_of(model), self.config.limits, self._room, self.metrics.of_model(name)
            )
        self.metrics.watch(self._room)
        self.ready = True

    async def embed(
        self, texts: Sequence[str], *, model: str | None = None, input_type: InputType = "document"
    ) -> Vectors:
        """Give the vectors of texts, computed together with those of other requests.

        Args:
            texts: Any number of texts.
            model: The name of a model; the default one when not given.
            input_type: ``"document"`` or ``"query"``.

        Returns:
            ``(n, dim)`` float32, in order: bit for bit what the library gives.

        Raises:
            UnknownModelError: No model has the name.
            QueueFullError: Too much is waiting already.
            EmbeddingError: A text could not be embedded.
        """
        return (await self.embed_with_facts(texts, model=model, input_type=input_type)).vectors

    async def embed_with_facts(
        self,
        texts: Sequence[Any],
        *,
        model: str | None = None,
        input_type: InputType = "document",
    ) -> Embedded:
        """Give the vectors of texts, and what they took; see :meth:`embed`.

        Args:
            texts: Texts, or lists of the model's own token numbers.
            model: As for :meth:`embed`.
            input_type: As for :meth:`embed`.
        """
        work = await self._batcher(model).run(texts, input_type)
        return Embedded(work.vectors, work.tokens, work.cut)

    @asynccontextmanager
    async def place(self, texts: int = 1) -> AsyncIterator[None]:
        """Be one of the requests that the queue has room for, as long as one may take.

        Args:
            texts: How many texts are worked on.

        Raises:
            Refusal: There is no room (429), or it took too long (503).
        """
        self._room.enter(texts, self.retry_after_s)
        try:
            async with asyncio.timeout(self.config.limits.request_timeout_s) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise unavailable("The request took too long.") from None
        finally:
            self._room.leave(texts)

    async def aside(self, call: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread, in a place of the queue.

        Args:
            call: The function.
            args: What it is called with.

        Returns:
            What it gives.

        Raises:
            Refusal: As :meth:`place`.
        """
        async with self.place():
            return await asyncio.to_thread(call, *args)

    def stats(self) -> dict[str, Any]:
        """Give what was counted since the start.

        Returns:
            ``queue_requests``, ``queue_texts`` (waiting or computed now), ``requests``,
            ``texts``, ``tokens``, ``truncated_tokens``, and by model ``cache``: its hits
            and misses, or ``None`` without a cache.
        """
        counted = self.metrics.totals()
        caches = {
            name: {
                "hits": model.totals.cache_hits,
                "misses": model.totals.computed,
            }
            if model.cache is not None
            else None
            for name, model in self.models.items()
        }
        return {
            "queue_requests": self._room.requests,
            "queue_texts": self._room.texts,
            **counted,
            "cache": caches,
        }

    def retry_after_s(self) -> int:
        """Estimate in how many seconds the queue will have room again, at least 1."""
        waits = [batcher.backlog_s for batcher in self._batchers.values()]
        return max(1, round(max(waits, default=1)))

    def expire(self) -> None:
        """Fail the requests that have waited too long."""
        for batcher in self._batchers.values():
            batcher.expire()

    def close(self) -> None:
        """Take no more work, end the threads, and close what was opened."""
        self.ready = False
        for batcher in self._batchers.values():
            batcher.close()
        if self.index is not None and self._own_index:
            self.index.close()

    def _batcher(self, model: str | None) -> Batcher:
        batcher = self._batchers.get(model or self.default_model)
        if batcher is None:
            message = f"The model {model!r} does not exist. There are: {', '.join(self.models)}."
            raise UnknownModelError(message)
        return batcher

    def _check_names(self) -> None:
        """Refuse what the configuration says of models that are not there, or not so long."""
        for name in (self.default_model, *self.config.dimensions):
            if name not in self.models:
                message = f"There is no model {name!r} among {', '.join(self.models)}."
                raise ConfigError(message)
        for name, shorter in self.config.dimensions.items():
            own = self.models[name].dim
            if own is not None and max(shorter, default=0) > own:
                message = (
                    f"The model {name!r} gives {own} numbers a vector; dimensions cannot be "
                    f"{max(shorter)}."
                )
                raise ConfigError(message)

    def _open_index(self, index: str | os.PathLike[str] | VectorStoreIndex) -> None:
        if isinstance(index, VectorStoreIndex):
            self.index = index
        else:
            self._own_index = True
            self.index = self._opened(index)
        model = self.index.embed_model
        known = next((name for name, one in self.models.items() if one is model), None)
        self.index_model = known or model.model_name
        if known is None and self.index_model in self.models:
            message = (
                f"The index was made by another model {self.index_model!r} than the one served "
                "by that name. Serve that one by another name."
            )
            raise ConfigError(message)
        self.models[self.index_model] = model

    def _opened(self, path: str | os.PathLike[str]) -> VectorStoreIndex:
        if not exists(path):
            place = shown_place(path)
            message = (
                f"There is no index at {place!r}. Make one: nearfield index FOLDER --index {place}"
            )
            raise StoreError(message)
        store = open_store(path, read_only=True)
        try:
            made_by = store.header.fingerprint if store.header else None
            same = (one for one in self.models.values() if one.fingerprint == made_by)
            return VectorStoreIndex(store=store, embed_model=next(same, None))
        except BaseException:
            store.close()
            raise
