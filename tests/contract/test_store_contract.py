"""The contract of a store, kept by each of ours."""

import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.registry import STORES
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import StoreContract


@pytest.mark.parametrize("name", STORES)
def test_every_store_of_ours_joins_nodes_with_nobody_in_between(name):
    assert callable(STORES[name].load().upsert_joined)


class TestMemoryStore(StoreContract):
    def open_store(self, folder):
        return MemoryStore()


class TestSQLiteStore(StoreContract):
    def open_store(self, folder):
        return SQLiteStore(folder / "my.index")


class TestSQLiteStoreWithASnapshot(StoreContract):
    def open_store(self, folder):
        return SQLiteStore(folder / "my.index", snapshot_from_bytes=1)
