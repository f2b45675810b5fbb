"""The contract of a store, kept by each of ours."""

from nearfield.core.memory_store import MemoryStore
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    def open_store(self, folder):
        return MemoryStore()


class TestSQLiteStore(StoreContract):
    def open_store(self, folder):
        return SQLiteStore(folder / "my.index")


class TestSQLiteStoreWithASnapshot(StoreContract):
    def open_store(self, folder):
        return SQLiteStore(folder / "my.index", snapshot_from_bytes=1)
