"""A store in Qdrant: in a folder of this machine, or on a server.

Only the embedded mode is tested. The same client speaks to servers and clusters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.committed.place import server_of
from nearfield.core.committed.rows import NODE, Row, searchable
from nearfield.core.committed.store import CommittedStore
from nearfield.core.storage import shown_place
from nearfield.core.store import Capabilities
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, StoreError, StoreLockedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.committed.state import State
    from nearfield.core.vectors import Vector

VECTOR = "search"


class QdrantStore(CommittedStore):
    """An index in Qdrant.

    A document is replaced in one step: Qdrant has no transactions, so one record
    decides which points count (see :mod:`nearfield.core.committed.store`). One process
    writes at a time: an embedded folder is locked by the client; a server is not.

    Filters are judged by nearfield on what Qdrant returns, nearest first: one that few
    nodes satisfy reads many. A folder is searched exactly, by the client itself, and
    loads whole into memory; a server by its own HNSW index unless ``exact`` is set.

    Args:
        place: A folder; or a server, as ``host:port`` or ``https://host:port``.
        index: The name of the collection.
        api_key: The key of a server.
        exact: Whether a server compares with every vector.
        read_only: Whether to refuse writing.
        timeout_s: How long a server may take to answer.

    Raises:
        MissingDependencyError: The client is not installed.
        StoreLockedError: Another process has the folder open.
        StoreUnavailableError: The server cannot be reached.
    """

    def __init__(
        self,
        place: str,
        *,
        index: str = "nearfield",
        api_key: str | None = None,
        exact: bool = False,
        read_only: bool = False,
        timeout_s: float = 30.0,
    ) -> None:
        engine = _Qdrant(str(place), index, api_key, exact=exact, timeout_s=timeout_s)
        self.capabilities = Capabilities(
            persistent=True, exact=engine.exact, ann=not engine.exact, concurrent=False
        )
        super().__init__(engine, f"qdrant://{engine.shown}#{index}", read_only=read_only)


class _Qdrant:
    """Points of one collection, and the state in another."""

    def __init__(
        self, place: str, index: str, api_key: str | None, *, exact: bool, timeout_s: float
    ) -> None:
        if not place:
            message = "A Qdrant store needs a folder, or a server as host:port."
            raise ConfigError(message)
        library = require("qdrant_client", extra="qdrant", purpose="The Qdrant store")
        self._models = library.models
        self._rows, self._states = index, f"{index}_state"
        self._folder: Path | None = None
        url = server_of(place)
        self.shown = shown_place(url or place)
        self.exact = exact or url is None
        # An embedded one is always exact, and warns of being told so.
        how = library.models.SearchParams(exact=exact)
        self._how: dict[str, Any] = {} if url is None else {"search_params": how}
        if url is not None:
            self._client = library.QdrantClient(
                url=url, api_key=api_key, timeout=int(timeout_s), check_compatibility=False
            )
        else:
            self._folder = Path(place)
            try:
                # The store's own lock keeps threads apart.
                self._client = library.QdrantClient(
                    path=place, force_disable_check_same_thread=True
                )
            except RuntimeError as error:
                message = f"{place} is open in another process. Close it there, or use a server."
                raise StoreLockedError(message) from error

    def read_state(self) -> str | None:
        if not self._ask("collection_exists", self._states):
            return None
        found = self._ask("retrieve", self._states, ids=[0], with_payload=True)
        return found[0].payload["state"] if found else None

    def write_state(self, state: str) -> None:
        if not self._ask("collection_exists", self._states):
            self._ask("create_collection", self._states, vectors_config={})
        point = self._models.PointStruct(id=0, vector={}, payload={"state": state})
        self._ask("upsert", self._states, points=[point], wait=True)

    def create(self, dim: int, metric: SimilarityMode) -> None:
        if self._ask("collection_exists", self._rows):
            return
        # Cosine is the dot product of unit vectors, which are what is sent.
        euclidean = metric is SimilarityMode.EUCLIDEAN
        distance = self._models.Distance.EUCLID if euclidean else self._models.Distance.DOT
        params = self._models.VectorParams(size=dim, distance=distance)
        self._ask("create_collection", self._rows, vectors_config={VECTOR: params})
        if self._folder is None:  # the embedded client scans, and would warn
            kinds = {"number": "integer", "owner": "integer", "kind": "keyword"}
            for name, kind in {**kinds, "key": "keyword", "safe": "bool"}.items():
                self._ask("create_payload_index", self._rows, name, field_schema=kind)

    def put(self, rows: Sequence[Row]) -> None:
        points = [
            self._models.PointStruct(
                id=row.number,
                vector={VECTOR: list(row.search)} if row.kind == NODE else {},
                payload={
                    "number": row.number, "kind": row.kind, "key": row.key, "owner": row.owner,
                    "data": row.data, "vector": row.vector, "safe": row.safe,
                },
            )
            for row in rows
        ]  # fmt: skip
        self._ask("upsert", self._rows, points=points, wait=True)

    def remove(self, ranges: Sequence[tuple[int, int | None]]) -> None:
        doomed = self._models.Filter(should=[self._numbered(*some) for some in ranges])
        selector = self._models.FilterSelector(filter=doomed)
        self._ask("delete", self._rows, points_selector=selector, wait=True)

    def between(self, kind: str, first: int, end: int) -> list[Row]:
        return self._selected(self._numbered(first, end, kind), end - first)

    def having(self, kind: str, name: str, values: Sequence[Any]) -> list[Row]:
        wanted = self._models.MatchAny(any=list(values))
        matches = self._models.FieldCondition(key=name, match=wanted)
        return self._selected(self._models.Filter(must=[matches, self._equal("kind", kind)]))

    def unsafe(self) -> list[Row]:
        odd = [self._equal("safe", False), self._equal("kind", NODE)]  # noqa: FBT003 - a value
        return self._selected(self._models.Filter(must=odd))

    def nearest(self, query: Vector, limit: int, state: State) -> list[tuple[Row, float]]:
        metric = SimilarityMode((state.header or {})["metric"])
        search, _ = searchable(query[None], metric)
        hidden = [self._numbered(first, end) for first, end in state.hidden]
        count = self._models.Filter(
            must=[self._numbered(0, state.next), self._equal("safe", True)],  # noqa: FBT003
            must_not=hidden,
        )
        found = self._ask(
            "query_points",
            self._rows,
            query=search[0].tolist(),
            using=VECTOR,
            query_filter=count,
            limit=limit,
            with_payload=True,
            **self._how,
        ).points
        sign = -1.0 if metric is SimilarityMode.EUCLIDEAN else 1.0
        return [(Row(**point.payload), sign * point.score) for point in found]

    def size_bytes(self) -> int:
        if self._folder is None:
            return 0
        return sum(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())

    def close(self) -> None:
        self._client.close()

    def _equal(self, name: str, value: Any) -> Any:
        match = self._models.MatchValue(value=value)
        return self._models.FieldCondition(key=name, match=match)

    def _numbered(self, first: int, end: int | None, kind: str | None = None) -> Any:
        span = self._models.Range(gte=first, lt=end)
        conditions = [self._models.FieldCondition(key="number", range=span)]
        if kind is not None:
            conditions.append(self._equal("kind", kind))
        return self._models.Filter(must=conditions)

    def _selected(self, condition: Any, at_once: int = 1_000) -> list[Row]:
        rows: list[Row] = []
        offset = None
        while True:
            found, offset = self._ask(
                "scroll", self._rows, scroll_filter=condition, limit=at_once, offset=offset,
                with_payload=True,
            )  # fmt: skip
            rows += [Row(**point.payload) for point in found]
            if offset is None:
                return sorted(rows, key=lambda row: row.number)

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call the client, and turn its errors into ours."""
        try:
            return getattr(self._client, method)(*arguments, **options)
        except (OSError, RuntimeError, ValueError) as error:
            message = f"Qdrant at {self.shown} failed: {error}"
            raise StoreError(message) from error
        except Exception as error:  # its transports have errors of their own, unrelated
            status = getattr(error, "status_code", None)
            words = f"Qdrant at {self.shown} failed ({type(error).__name__}: {error})."
            if status is not None and status < 500:  # noqa: PLR2004 - our own fault below
                raise StoreError(words) from error
            words += " Try again."
            raise StoreUnavailableError(words) from error
