"""The Lance table of an index: opened, looked at in one version, and committed to."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nearfield._extras import require
from nearfield.core.storage import shown_place
from nearfield.errors import NearfieldError, StoreError, StoreLockedError
from nearfield.stores.lance.disk import Syncer, WriteLock
from nearfield.stores.lance.rows import HEADER_KEY, make_schema, read_header, write_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nearfield.core.store import Header

TABLE_NAME = "nodes.lance"
WORDS = {
    "base_tokenizer": "simple",
    "language": "English",
    "stem": True,
    "ascii_folding": True,
    "remove_stop_words": False,
    "with_position": False,
}
"""How words are compared: without case or accents, English ones by their stem."""
CONFLICT = "Too many concurrent writers"
"""What the engine says when others committed the same rows first."""
FRAGMENTS_TO_COMPACT = 32
ROWS_PER_FRAGMENT = 1 << 20
KEEP_VERSIONS_FOR = timedelta(hours=1)
_ITS_SOURCE = re.compile(r",? \S+\.rs:\d+:\d+")
"""The places in its own source that the engine puts into its messages."""


class Version(NamedTuple):
    """One version of the table; it never changes.

    Attributes:
        number: Its number.
        data: The ``lance.LanceDataset``.
        header: The header.
    """

    number: int
    data: Any
    header: Header


def engine() -> Any:
    """Import Lance."""
    return require("lance", extra="lance", purpose="LanceStore")


@contextmanager
def engine_errors(place: str) -> Iterator[None]:
    """Turn what the engine raises within the block into an error of ours.

    Args:
        place: Where the table is, for the message.

    Raises:
        StoreError: The engine failed; or somebody else wrote the same rows first.
    """
    try:
        yield
    except NearfieldError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        said = _ITS_SOURCE.sub("", str(error))
        if "found matching row" in said:
            message = f"A document or node written to {place} is there already. Use upsert."
        else:
            said = said.replace("\n", " ")
            message = f"Lance failed at {place}: {said} Check that it can be reached and written."
        raise StoreError(message) from error


class LanceTable:
    """The one door to the table of an index.

    Args:
        place: The index's folder or object-store address.
        storage_options: Credentials and the like, for an object store.
        read_only: Whether to refuse writing.
        timeout_s: How long a write waits for another writer.
        durable: Whether to sync what was written, in a local folder.
    """

    def __init__(
        self,
        place: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        read_only: bool = False,
        timeout_s: float = 30.0,
        durable: bool = True,
    ) -> None:
        self.place = shown_place(place)
        self.uri = f"{place.rstrip('/')}/{TABLE_NAME}"
        self.folder = None if "://" in place else Path(place)
        self._options = dict(storage_options) if storage_options else None
        self._read_only = read_only
        self._lock = WriteLock(self.folder, timeout_s) if self.folder else None
        self._syncer = Syncer(self.folder / TABLE_NAME) if self.folder and durable else None
        self._opening = threading.Lock()
        self._version: Version | None = None

    @property
    def alone(self) -> bool:
        """Whether a writer knows that nobody else writes, because a lock says so."""
        return self._lock is not None

    def latest(self) -> Version | None:
        """Give the newest version; ``None`` while there is no table."""
        known = self._version
        with engine_errors(self.place):
            if known is not None and known.data.latest_version == known.number:
                return known
        with self._opening, engine_errors(self.place):
            data = self._open() if self._version is None else self._version.data
            if data is None:
                return None
            newest = data.latest_version
            if self._version is None or self._version.number != newest:
                data = data if data.version == newest else data.checkout_version(newest)
                header = read_header(data.schema, self.place)
                self._version = Version(newest, data, header)
            return self._version

    @contextmanager
    def reading(self) -> Iterator[Version | None]:
        """Give the newest version, to be read within the block.

        Raises:
            StoreError: The engine fails to read.
        """
        with engine_errors(self.place):
            yield self.latest()

    @contextmanager
    def writing(self) -> Iterator[Version | None]:
        """Hold the writers' lock within the block, and give the version to write on top of.

        Raises:
            StoreError: The index is read-only.
            StoreLockedError: Another process kept writing for longer than ``timeout_s``.
        """
        if self._read_only:
            message = f"{self.place} is open for reading only. Open it without read_only."
            raise StoreError(message)
        with self._lock.held() if self._lock else nullcontext():
            yield self.latest()
            if self._syncer is not None:
                self._syncer.sync()

    def create(self, header: Header) -> bool:
        """Make the table, with its header, in one commit.

        Args:
            header: The header.

        Returns:
            Whether it was made; ``False`` if somebody else did meanwhile.
        """
        schema = make_schema(header)
        with engine_errors(self.place):
            try:
                data = engine().write_dataset(
                    schema.empty_table(), self.uri, mode="create", storage_options=self._options
                )
            except OSError as error:
                if "already exists" in str(error):
                    return False
                raise
            data.create_scalar_index("text", "INVERTED", **WORDS)
        return True

    def append(self, version: Version, rows: Any) -> None:
        """Write rows none of which is there, in one commit, while nobody else writes."""
        with engine_errors(self.place):
            self._own(version).insert(rows)

    def insert(self, version: Version, rows: Any) -> None:
        """Write rows in one commit, or none if one is there by then.

        Raises:
            StoreError: Somebody else wrote a row of the same key meanwhile.
        """
        with engine_errors(self.place):
            merge = self._own(version).merge_insert(["key"])
            merge.when_matched_fail().when_not_matched_insert_all().execute(rows)

    def merge(
        self, version: Version, rows: Any, replaced: str, *, only_on_it: bool = False
    ) -> None:
        """Write rows, each replacing the one of its key, in one commit.

        Args:
            version: The version written on top of.
            rows: The new rows.
            replaced: The condition on old rows that go unless they are among the new ones.
            only_on_it: Whether rows written by others since are left, and nothing is written.

        Raises:
            StoreLockedError: ``only_on_it``, and there are such rows.
        """
        with engine_errors(self.place):
            merge = self._own(version).merge_insert(["key"])
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge = merge.when_not_matched_by_source_delete(replaced)
            if not only_on_it:
                merge.execute(rows)
                return
            try:
                merge.conflict_retries(0).execute(rows)
            except OSError as error:
                if CONFLICT not in str(error):
                    raise
                message = f"Others keep writing the same documents to {self.place}. Try again."
                raise StoreLockedError(message) from error

    def delete(self, version: Version, condition: str) -> None:
        """Remove rows, in one commit."""
        with engine_errors(self.place):
            self._own(version).delete(condition)

    def write_header(self, version: Version, header: Header) -> None:
        """Replace the header, in one commit."""
        self.write_metadata(version, HEADER_KEY, write_header(header))

    def write_metadata(self, version: Version, key: str, value: str) -> None:
        """Keep a text in the table's own metadata, in one commit."""
        with engine_errors(self.place):
            self._own(version).update_schema_metadata({key: value})

    def create_ann_index(
        self, version: Version, name: str, kind: str, metric: str, partitions: int
    ) -> None:
        """Build an index over the vectors, in one commit; one of the name is replaced."""
        with engine_errors(self.place):
            self._own(version).create_index(
                "vector", kind, name=name, metric=metric, num_partitions=partitions, replace=True
            )

    def tidy(self, version: Version, *, always: bool = False) -> bool:
        """Put small files together, bring indices up to date, and drop versions of long ago.

        Args:
            version: The newest version.
            always: Whether to do so however few files there are.

        Returns:
            Whether anything was done.
        """
        if not always and len(version.data.get_fragments()) < FRAGMENTS_TO_COMPACT:
            return False
        with engine_errors(self.place):
            data = self._own(version)
            # In this order: files that an index knows are not put together with others.
            data.optimize.optimize_indices()
            data.optimize.compact_files(target_rows_per_fragment=ROWS_PER_FRAGMENT)
            data.cleanup_old_versions(older_than=KEEP_VERSIONS_FOR)
        return True

    def close(self) -> None:
        """Let go of the table."""
        with self._opening:
            self._version = None

    def _own(self, version: Version) -> Any:
        """Give a handle that may be written through, for commits move it on."""
        return engine().dataset(self.uri, version=version.number, storage_options=self._options)

    def _open(self) -> Any:
        if self.folder is not None and not (self.folder / TABLE_NAME).exists():
            return None
        with engine_errors(self.place):
            try:
                return engine().dataset(self.uri, storage_options=self._options)
            except (ValueError, OSError) as error:
                if "not found" in str(error).lower():
                    return None
                raise
