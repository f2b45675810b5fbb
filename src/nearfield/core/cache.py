"""Vectors kept between calls and processes, in one SQLite file.

A vector is found again only by the same model (its fingerprint), the same
input type and the same text: the key is a hash of all three. Processes may
share the file; it is bounded, and the least recently used vectors go first.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfield.core.fork_lock import ForkLock
from nearfield.core.sqlite_files import keep_a_log, primary_code
from nearfield.core.warn import warn
from nearfield.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.vectors import Vector, Vectors

DEFAULT_MAX_BYTES = 1 << 30
KEYS_PER_QUERY = 500
HOUR_S = 3600
KEPT_AFTER_EVICTION = 0.9
TIMEOUT_S = 30
"""How long to wait for another process."""
_DELETE = "Delete it: it is made again."
_NEXT_STEPS: dict[int | None, str] = {
    sqlite3.SQLITE_FULL: "Free some space on its disk.",
    sqlite3.SQLITE_BUSY: "Another process holds it: try again when that is done.",
    sqlite3.SQLITE_LOCKED: "Another process holds it: try again when that is done.",
    sqlite3.SQLITE_CORRUPT: _DELETE,
    sqlite3.SQLITE_NOTADB: _DELETE,
    sqlite3.SQLITE_ERROR: _DELETE,  # it has other tables than ours
    None: _DELETE,  # Python could not decode what SQLite gave it
}
"""What to do about an error of SQLite's, by its code; what it holds may have been paid for."""
_CHECK = "Check that it and its folder can be read and written."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,      -- little-endian float32, then their CRC-32 (4 bytes, little-endian)
    used_hour INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vectors_by_use ON vectors (used_hour);
CREATE TABLE IF NOT EXISTS size (bytes INTEGER NOT NULL);
INSERT INTO size SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM size);
CREATE TRIGGER IF NOT EXISTS grown AFTER INSERT ON vectors
    BEGIN UPDATE size SET bytes = bytes + length(new.value) + length(new.key); END;
CREATE TRIGGER IF NOT EXISTS shrunk AFTER DELETE ON vectors
    BEGIN UPDATE size SET bytes = bytes - length(old.value) - length(old.key); END;
"""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds.

    Attributes:
        path: Its file.
        vectors: How many vectors.
        size_bytes: Bytes of keys and vectors.
        max_bytes: Where eviction begins.
    """

    path: Path
    vectors: int
    size_bytes: int
    max_bytes: int


class EmbeddingCache:
    """A cache of vectors, shared by processes, safe to delete at any time.

    Args:
        path: The file; its folder is made when missing.
        max_bytes: The most bytes of vectors to keep.
        required: Whether a vector that cannot be kept is an error. Otherwise it is warned
            of once, and from then on this object only reads: the work goes on.
    """

    def __init__(
        self, path: Path | str, *, max_bytes: int = DEFAULT_MAX_BYTES, required: bool = False
    ) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.required = required
        self._keeps = True
        self._lock = ForkLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._inherited: list[sqlite3.Connection] = []

    def get_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str]
    ) -> dict[str, Vector]:
        """Find the vectors of texts.

        Args:
            fingerprint: The model's.
            input_type: ``"query"`` or ``"document"``.
            texts: Any number of texts.

        Returns:
            ``(dim,)`` float32 by text, for those that are there and undamaged.

        Raises:
            StoreError: The file cannot be read.
        """
        by_key = {_key(fingerprint, input_type, text): text for text in texts}
        keys, found = list(by_key), {}
        hour = int(time.time() // HOUR_S)
        stale, damaged = [], []
        with self._open() as connection:
            for start in range(0, len(keys), KEYS_PER_QUERY):
                some = keys[start : start + KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                for key, value, used in connection.execute(
                    f"SELECT key, value, used_hour FROM vectors WHERE key IN ({marks})",  # noqa: S608 - only marks
                    some,
                ):
                    vector = _unpack(value)
                    if vector is None:
                        damaged.append((key,))
                        continue
                    found[by_key[key]] = vector
                    if used < hour:
                        stale.append((hour, key))
        if stale or damaged:
            # Only the order of eviction, and room for what is computed anew.
            with suppress(StoreError), self._open() as connection:
                connection.executemany("UPDATE vectors SET used_hour = ? WHERE key = ?", stale)
                connection.executemany("DELETE FROM vectors WHERE key = ?", damaged)
        return found

    def put_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str], vectors: Vectors
    ) -> None:
        """Keep the vectors of texts.

        Args:
            fingerprint: The model's.
            input_type: ``"query"`` or ``"document"``.
            texts: ``n`` texts.
            vectors: ``(n, dim)`` float32, finite.

        Raises:
            StoreError: They cannot be kept, and ``required`` was said.
        """
        if not self._keeps:
            return
        hour = int(time.time() // HOUR_S)
        rows = [
            (_key(fingerprint, input_type, text), _pack(vector), hour)
            for text, vector in zip(texts, vectors, strict=True)
        ]
        try:
            with self._open() as connection:
                connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", rows)
                self._evict(connection)
        except StoreError as error:
            if self.required:
                raise
            self._keeps = False
            warn(f"{error} The work goes on, and what is computed is not kept.")

    def info(self) -> CacheInfo:
        """Give what the cache holds."""
        with self._open() as connection:
            vectors = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
            size = connection.execute("SELECT bytes FROM size").fetchone()[0]
        return CacheInfo(self.path, vectors, size, self.max_bytes)

    def clear(self) -> int:
        """Forget everything.

        Returns:
            How many vectors there were.
        """
        with self._open() as connection:
            count: int = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
            connection.execute("DELETE FROM vectors")
        with self._open() as connection:
            connection.commit()
            connection.execute("VACUUM")
        return count

    def close(self) -> None:
        """Let go of the file; it is opened again when next needed."""
        with self._lock:
            self._leave_inherited()
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the connection behind when pickled."""
        return {"path": self.path, "max_bytes": self.max_bytes, "required": self.required}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open anew in the other process."""
        self.__init__(**state)  # type: ignore[misc]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._connect()
                with connection:
                    yield connection
            except sqlite3.Error as error:
                step = _NEXT_STEPS.get(primary_code(error), _CHECK)
                message = f"The embedding cache {self.path} cannot be used: {error}. {step}"
                raise StoreError(message) from error

    def _leave_inherited(self) -> None:
        # A connection must not cross a fork: the child opens its own, and keeps the parent's
        # for ever, as it may neither use nor close it.
        if self._connection is not None and self._owner != os.getpid():
            self._inherited.append(self._connection)
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        self._leave_inherited()
        if self._connection is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                message = (
                    f"The folder of the embedding cache {self.path} cannot be made "
                    f"({error.strerror}). Name another by NEARFIELD_CACHE_DIR."
                )
                raise StoreError(message) from error
            connection = sqlite3.connect(self.path, timeout=TIMEOUT_S, check_same_thread=False)
            try:
                # Larger pages hold several vectors each; the default of 4 KiB wastes most of one.
                connection.execute("PRAGMA page_size = 16384")
                keep_a_log(connection, TIMEOUT_S)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def _evict(self, connection: sqlite3.Connection) -> None:
        size = connection.execute("SELECT bytes FROM size").fetchone()[0]
        if size <= self.max_bytes:
            return
        excess = size - int(self.max_bytes * KEPT_AFTER_EVICTION)
        doomed = []
        for key, length in connection.execute(
            "SELECT key, length(value) + length(key) FROM vectors ORDER BY used_hour"
        ):
            doomed.append((key,))
            excess -= length
            if excess <= 0:
                break
        connection.executemany("DELETE FROM vectors WHERE key = ?", doomed)


def _key(fingerprint: str, input_type: str, text: str) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for part in (fingerprint, input_type, text):
        data = part.encode("utf-8", "surrogatepass")
        # The length first, so that no two different triples run together.
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _pack(vector: Vector) -> bytes:
    data = vector.astype("<f4").tobytes()
    return data + zlib.crc32(data).to_bytes(4, "little")


def _unpack(value: object) -> Vector | None:
    if not isinstance(value, bytes):  # SQLite columns take any type, a damaged one too
        return None
    data, checksum = value[:-4], value[-4:]
    if len(data) % 4 or zlib.crc32(data).to_bytes(4, "little") != checksum:
        return None
    return np.frombuffer(data, "<f4").astype(np.float32)
