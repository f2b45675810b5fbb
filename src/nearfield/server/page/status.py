"""What is served, and how it fares: the page's health strip."""

from __future__ import annotations

import os
import time
from collections import Counter
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nearfield.server.page.records import sendable

if TYPE_CHECKING:
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.store import StoreInfo, VectorStore
    from nearfield.server.service import Service

SAMPLED_DOCUMENTS = 20_000
MOST_FIELDS = 60


class Fields:
    """The names of the facts that documents have, read once for each version of a store.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._version: tuple[float | None, int] | None = None
        self._names: list[str] = []

    def of(self, store: VectorStore, info: StoreInfo) -> list[str]:
        """Give the names, the commonest first, from the first 20,000 documents.

        Args:
            store: The store.
            info: What it holds.
        """
        version_ = (info.changed_at, info.documents)
        with self._lock:
            if version_ != self._version:
                counted: Counter[str] = Counter()
                for _, facts in islice(store.documents(), SAMPLED_DOCUMENTS):
                    counted.update(facts.keys())
                self._names = [sendable(name) for name, _ in counted.most_common(MOST_FIELDS)]
                self._version = version_
            return self._names


def status(service: Service, fields: Fields) -> dict[str, Any]:
    """Give what the page shows of the server.

    Args:
        service: What is loaded.
        fields: The names of metadata.

    Returns:
        JSON-able facts.
    """
    stats = service.stats()
    return {
        "version": version("nearfield"),
        "models": [_model(name, model) for name, model in service.models.items()],
        "default_model": service.default_model,
        "index_model": service.index_model or None,
        "rerankers": list(service.rerankers),
        "index": None if service.index is None else _index(service.index, fields),
        "cache": _cache(stats.get("cache")),
        "counts": {name: value for name, value in stats.items() if isinstance(value, (int, float))},
        "memory_bytes": memory_bytes(),
        "uptime_s": time.monotonic() - service.started,
    }


def memory_bytes() -> int | None:
    """Give the memory this process holds now; ``None`` where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _model(name: str, model: BaseEmbedding) -> dict[str, Any]:
    prompts = getattr(model, "applied_prompts", None)
    totals = model.totals
    return {
        "name": name,
        "dim": model.dim,
        "max_tokens": model.max_tokens,
        "backend": getattr(model, "backend", "remote" if model.is_remote else "python"),
        "fingerprint": model.fingerprint,
        "prompts": {"query": prompts.query, "document": prompts.document} if prompts else {},
        "metric": model.similarity_mode.value,
        "remote": model.is_remote,
        "texts": totals.texts,
        "tokens": totals.tokens,
        "truncated_texts": totals.truncated_texts,
    }


def _index(index: VectorStoreIndex, fields: Fields) -> dict[str, Any]:
    info = index.store.info()
    header = info.header
    facts = {} if header is None else header.facts
    cut = facts.get("truncated_texts", 0)
    return {
        "name": sendable(Path(info.path).name) if info.path else type(index.store).__name__,
        "documents": info.documents,
        "nodes": info.nodes,
        "dim": header.dim if header else None,
        "metric": header.metric.value if header else None,
        "model": header.model_name if header else None,
        "fingerprint": header.fingerprint if header else None,
        "chunk_size": facts.get("chunk_size"),
        "chunk_overlap": facts.get("chunk_overlap"),
        "truncated_percent": 100 * cut / info.nodes if info.nodes else 0.0,
        "size_bytes": info.size_bytes,
        "last_change": info.changed_at,
        "text_search": index.store.capabilities.text_search,
        "fields": fields.of(index.store, info),
    }


def _cache(caches: Any) -> dict[str, int] | None:
    """Add up the caches of all models; ``None`` when no model has one."""
    counted = [cache for cache in (caches or {}).values() if cache is not None]
    if not counted:
        return None
    return {name: sum(cache[name] for cache in counted) for name in ("hits", "misses")}
