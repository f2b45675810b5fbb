"""The contract of a store, kept by each of ours."""

from nearfield.core.memory_store import MemoryStore
from nearfield.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    def open_store(self, folder):
        return MemoryStore()
