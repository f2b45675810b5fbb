"""A store in Milvus: in a file of this machine (Milvus Lite), or on a server.

Only the embedded mode is tested. The same client speaks to servers and clusters.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.committed.place import server_of
from nearfield.core.committed.rows import Row, searchable
from nearfield.core.committed.store import CommittedStore
from nearfield.core.storage import shown_place
from nearfield.core.store import Capabilities
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.committed.state import State
    from nearfield.core.vectors import Vector

MAX_TEXT = 65_535
MAX_DIM = 12_000
MAX_ANSWER = 16_384
_NAME = re.compile(r"[A-Za-z_]\w{0,200}", re.ASCII)
_opened: Counter[Path] = Counter()
"""How many stores of this process have a file open: they share one server of Milvus Lite."""
_READ = [field.name for field in fields(Row) if field.name != "search"]


class MilvusStore(CommittedStore):
    """An index in Milvus.

    A document is replaced in one step: Milvus has no transactions, so one record
    decides which rows count (see :mod:`nearfield.core.committed.store`). One process
    writes at a time: a file is locked by Milvus Lite; a server is not.

    Filters are judged by nearfield on what Milvus returns, nearest first: one that few
    nodes satisfy reads many. A file is searched exactly; a server by its own index.
    A node takes at most 65,535 bytes with its facts, as JSON in plain ASCII.

    Args:
        place: A file; or a server, as ``host:port`` or ``https://host:port``.
        index: The name of the collection: letters, digits and underscores.
        token: The key of a server, or ``user:password``.
        read_only: Whether to refuse writing.
        timeout_s: How long a server may take to answer.

    Raises:
        MissingDependencyError: The client is not installed.
        ConfigError: Milvus takes no such name.
        StoreUnavailableError: The file is open elsewhere, or the server cannot be reached.
    """

    def __init__(
        self,
        place: str,
        *,
        index: str = "nearfield",
        token: str = "",
        read_only: bool = False,
        timeout_s: float = 30.0,
    ) -> None:
        engine = _Milvus(str(place), index, token, timeout_s=timeout_s)
        self.capabilities = Capabilities(
            persistent=True, exact=engine.exact, ann=not engine.exact, concurrent=False
        )
        super().__init__(engine, f"milvus://{engine.shown}#{index}", read_only=read_only)


class _Milvus:
    """Rows of one collection, and states in another, of which the newest counts."""

    def __init__(self, place: str, index: str, token: str, *, timeout_s: float) -> None:
        if not place or not _NAME.fullmatch(index):
            message = (
                "A Milvus store needs a file or a server, and a name of ASCII letters, digits "
                f"and underscores, not {index!r} at {shown_place(place)!r}."
            )
            raise ConfigError(message)
        self._library = require("pymilvus", extra="milvus", purpose="The Milvus store")
        self._rows, self._states = index, f"{index}_state"
        url = server_of(place)
        self._file = None if url else Path(place)
        self.exact = url is None
        self.shown = shown_place(url or place)
        if self._file is not None:
            if self._file.suffix != ".db":
                message = f"The file of a Milvus store ends in .db; {place!r} does not."
                raise ConfigError(message)
            self._file.parent.mkdir(parents=True, exist_ok=True)
        options = {"token": token, "timeout": timeout_s} if url else {}
        try:
            self._client = self._library.MilvusClient(url or place, **options)
        except Exception as error:  # its exceptions have no root in common
            message = f"Milvus at {self.shown} cannot be opened: {error}"
            raise StoreUnavailableError(message) from error
        self._closed = False
        if self._file is not None:
            _opened[self._file.absolute()] += 1
        for name in (self._rows, self._states):
            if self._ask("has_collection", name):
                self._load(name)  # those of an earlier process are not

    def read_state(self) -> str | None:
        if not self._ask("has_collection", self._states):
            return None
        found = self._ask(
            "query", self._states, filter="id >= 0", output_fields=["id", "state"], limit=100
        )
        return max(found, key=lambda row: row["id"])["state"] if found else None

    def write_state(self, state: str) -> None:
        _refuse_long("The state of the index", state)
        types = self._library.DataType
        if not self._ask("has_collection", self._states):
            columns = {"id": types.INT64, "state": types.VARCHAR}
            self._create(self._states, columns, 2, "L2")
        change = json.loads(state)["change"]
        # Never replaced in place: until the new one is there, the old one counts.
        row = {"id": change, "state": state, "search": [0.0, 0.0]}
        self._ask("insert", self._states, [row])
        self._ask("flush", self._states)
        self._ask("delete", self._states, filter=f"id < {int(change)}")

    def create(self, dim: int, metric: SimilarityMode) -> None:
        if dim > MAX_DIM:
            message = f"Milvus takes vectors of up to {MAX_DIM} numbers here, not {dim}."
            raise ConfigError(message)
        types = self._library.DataType
        columns = {
            "number": types.INT64, "kind": types.VARCHAR, "key": types.VARCHAR,
            "owner": types.INT64, "data": types.VARCHAR, "vector": types.VARCHAR,
            "safe": types.BOOL,
        }  # fmt: skip
        # Cosine is the dot product of unit vectors, which are what is sent.
        euclidean = metric is SimilarityMode.EUCLIDEAN
        if not self._ask("has_collection", self._rows):
            self._create(self._rows, columns, dim, "L2" if euclidean else "IP")

    def put(self, rows: Sequence[Row]) -> None:
        records = []
        for row in rows:
            _refuse_long(f"A {row.kind} with its facts", row.data)
            values = {name: getattr(row, name) for name in _READ}
            values["search"] = list(row.search) or [0.0] * self._dim()
            records.append(values)
        self._ask("insert", self._rows, records)
        self._ask("flush", self._rows)

    def remove(self, ranges: Sequence[tuple[int, int | None]]) -> None:
        doomed = " or ".join(f"({_numbered(*some)})" for some in ranges)
        self._ask("delete", self._rows, filter=doomed)

    def between(self, kind: str, first: int, end: int) -> list[Row]:
        return self._selected(f'{_numbered(first, end)} and kind == "{kind}"')

    def having(self, kind: str, name: str, values: Sequence[Any]) -> list[Row]:
        # Numbers, and hexadecimal digits: JSON of these is Milvus's own form.
        return self._selected(f'{name} in {json.dumps(list(values))} and kind == "{kind}"')

    def unsafe(self) -> list[Row]:
        return self._selected('safe == false and kind == "node"')

    def nearest(self, query: Vector, limit: int, state: State) -> list[tuple[Row, float]]:
        metric = SimilarityMode((state.header or {})["metric"])
        search, _ = searchable(query[None], metric)
        hidden = "".join(f" and not ({_numbered(*some)})" for some in state.hidden)
        (found,) = self._ask(
            "search",
            self._rows,
            data=[search[0].tolist()],
            anns_field="search",
            filter=f'kind == "node" and safe == true and number < {state.next}{hidden}',
            limit=limit,
            output_fields=_READ,
            consistency_level="Strong",
        )
        euclidean = metric is SimilarityMode.EUCLIDEAN  # told squared
        return [
            (
                _row(hit["entity"]),
                -(max(hit["distance"], 0.0) ** 0.5) if euclidean else hit["distance"],
            )
            for hit in found
        ]

    def size_bytes(self) -> int:
        if self._file is None:
            return 0
        if self._file.is_dir():
            return sum(file.stat().st_size for file in self._file.rglob("*") if file.is_file())
        return self._file.stat().st_size if self._file.exists() else 0

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._client.close()
        if self._file is not None:
            path = self._file.absolute()
            _opened[path] -= 1
            if not _opened[path]:  # or its server would hold the file until the process ends
                lite = require("milvus_lite.server_manager", extra="milvus")
                lite.server_manager_instance.release_server(str(path))

    def _create(self, name: str, columns: dict[str, Any], dim: int, metric: str) -> None:
        types = self._library.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        for place, (column, kind) in enumerate(columns.items()):
            options = {"max_length": MAX_TEXT} if kind == types.VARCHAR else {}
            schema.add_field(column, kind, is_primary=place == 0, **options)
        schema.add_field("search", types.FLOAT_VECTOR, dim=dim)
        index = self._client.prepare_index_params()
        kind = "FLAT" if self.exact else "AUTOINDEX"
        index.add_index(field_name="search", index_type=kind, metric_type=metric)
        self._ask(
            "create_collection", name, schema=schema, index_params=index,
            consistency_level="Strong",
        )  # fmt: skip

    def _dim(self) -> int:
        told = self._ask("describe_collection", self._rows)
        (column,) = (one for one in told["fields"] if one["name"] == "search")
        return int(column["params"]["dim"])

    def _selected(self, condition: str, first: int = 0, end: int = 1 << 62) -> list[Row]:
        """Give all rows of a condition, in order: an answer holds some thousand, in any order."""
        narrowed = f"({condition}) and {_numbered(first, end)}"
        found = self._ask(
            "query", self._rows, filter=narrowed, output_fields=_READ, limit=MAX_ANSWER,
            consistency_level="Strong",
        )  # fmt: skip
        rows = sorted(map(_row, found), key=lambda row: row.number)
        if len(rows) < MAX_ANSWER:
            return rows
        middle = rows[len(rows) // 2].number
        return self._selected(condition, first, middle) + self._selected(condition, middle, end)

    def _load(self, name: str) -> None:
        """Load a collection; without its index files, where a kill left one of them torn."""
        try:
            self._ask("load_collection", name)
        except StoreError:
            # Milvus Lite writes them in place; it makes them anew from the rows.
            derived = [] if self._file is None else list(self._file.rglob("*.idx"))
            if not derived:
                raise
            for path in derived:
                path.unlink()
            self._ask("load_collection", name)

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call the client, and turn its errors into ours."""
        try:
            return getattr(self._client, method)(*arguments, **options)
        except Exception as error:  # its exceptions have no root in common
            message = f"Milvus at {self.shown} failed ({type(error).__name__}: {error})."
            raise StoreError(message) from error


def _row(values: dict[str, Any]) -> Row:
    return Row(**{name: values[name] for name in _READ})


def _numbered(first: int, end: int | None) -> str:
    upto = "" if end is None else f" and number < {int(end)}"
    return f"number >= {int(first)}{upto}"


def _refuse_long(what: str, said: str) -> None:
    if len(said) > MAX_TEXT:
        message = (
            f"{what} takes {len(said)} bytes; Milvus keeps at most {MAX_TEXT}. Split texts smaller "
            "or keep fewer facts, or choose another store."
        )
        raise ConfigError(message)
