"""The contract of a store, as tests: inherit, say how to open yours, and run pytest.

::

    class TestMyStore(StoreContract):
        def open_store(self, folder):
            return MyStore(folder / "my.index")

``open_store`` is called with an empty folder at first; called again with the
same folder, it opens the same store if the store is persistent. What a store
need not do is decided by its ``capabilities``: no test is skipped, each then
asks that the store says so.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from nearfield.core.store import Header
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import (
    DimensionMismatchError,
    ModelMismatchError,
    StoreError,
)
from nearfield.testing.store_contract_base import (
    DIM,
    HEADER,
    brute_force,
    found_in,
    make_entry,
    raises,
)
from nearfield.testing.store_contract_searching import SearchingClauses
from nearfield.testing.store_contract_writing import WritingClauses

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["DIM", "HEADER", "StoreContract", "brute_force", "make_entry"]


class StoreContract(WritingClauses, SearchingClauses):
    """What every store promises. Subclass it under a name that starts with ``Test``."""

    def test_a_new_store_is_empty(self, tmp_path: Path) -> None:
        """No header, no nodes, no answer."""
        with closing(self.open_store(tmp_path)) as store:
            assert store.header is None
            assert store.count() == 0
            assert list(store.nodes()) == []
            assert store.query(self.vectors(2), 3)[1].nodes == []

    def test_a_new_store_is_not_written_before_it_has_a_header(self, tmp_path: Path) -> None:
        """A vector without its model's name is never stored."""
        with closing(self.open_store(tmp_path)) as store:
            raises(StoreError, lambda: store.add([make_entry("a", self.vectors(1))]))
            assert store.count() == 0

    def test_the_header_is_kept_and_checked(self, tmp_path: Path) -> None:
        """Another model, dimension or metric is refused, and both are named."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.initialize(HEADER)
            assert store.header == HEADER
            other = Header("fingerprint-2", DIM, model_name="model-2")
            error = raises(ModelMismatchError, lambda: store.initialize(other))
            assert "fingerprint-1" in error
            assert "fingerprint-2" in error
            raises(
                DimensionMismatchError, lambda: store.initialize(Header("fingerprint-1", DIM + 1))
            )
            euclidean = Header("fingerprint-1", DIM, SimilarityMode.EUCLIDEAN)
            raises(StoreError, lambda: store.initialize(euclidean))

    def test_facts_are_merged_into_the_header(self, tmp_path: Path) -> None:
        """Facts can be added and replaced; what is not named stays."""
        with closing(self.open_store(tmp_path)) as store:
            raises(StoreError, lambda: store.update_facts({"a": 1}))
            store.initialize(HEADER)
            store.update_facts({"a": 1})
            store.update_facts({"a": [2]})
            assert store.header is not None
            assert store.header.facts == {"chunk_size": 256, "a": [2]}

    def test_a_persistent_store_opens_as_it_was_closed(self, tmp_path: Path) -> None:
        """The same nodes, vectors, answers and header; another store starts new."""
        with self.filled(tmp_path) as (store, matrix):
            persistent = store.capabilities.persistent
            store.upsert([make_entry("d3", matrix[:2], version=2)])
            nodes = [(node, vector.tobytes()) for node, vector in store.nodes()]
            header, answers = store.header, found_in(store.query(matrix[:3], 7))
            store.close()
            store.close()
        with closing(self.open_store(tmp_path)) as store:
            if not persistent:
                assert store.count() == 0
                return
            assert store.header == header
            assert [(node, vector.tobytes()) for node, vector in store.nodes()] == nodes
            assert found_in(store.query(matrix[:3], 7)) == answers

    def test_the_facts_of_a_store_are_told(self, tmp_path: Path) -> None:
        """Documents, nodes, size and the time of the last change."""
        with closing(self.open_store(tmp_path)) as store:
            assert (store.info().documents, store.info().nodes) == (0, 0)
        with self.filled(tmp_path, 5) as (store, _):
            store.delete_nodes(["d0/1/0"])
            info = store.info()
            assert (info.documents, info.nodes, info.header) == (5, 14, store.header)
            assert info.size_bytes >= 14 * DIM * 4
            assert info.changed_at is not None

    def test_threads_may_share_a_store(self, tmp_path: Path) -> None:
        """Readers see whole documents only, while others are written."""
        torn: list[str] = []
        stop = threading.Event()
        with self.filled(tmp_path, 4) as (store, matrix):

            def read() -> None:
                while not stop.is_set():
                    names = [name for name, _ in found_in(store.query(matrix[:1], 1000))]
                    versions = {name.rpartition("/")[0] for name in names if name.startswith("x/")}
                    pieces = sum(name.startswith("x/") for name in names)
                    if len(versions) > 1 or pieces not in {0, 5}:
                        torn.extend(names)

            readers = [threading.Thread(target=read) for _ in range(2)]
            for reader in readers:
                reader.start()
            try:
                for version in range(30):
                    rows = self.vectors(5, seed=version)
                    store.upsert([make_entry("x", rows, version=version)])
            finally:
                stop.set()
                for reader in readers:
                    reader.join()
            assert torn == []
            assert store.count() == 17
