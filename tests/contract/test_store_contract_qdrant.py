"""The contract of a store, kept by Qdrant in its embedded mode."""

import pytest

from nearfield.stores.qdrant import QdrantStore
from nearfield.testing.store_contract import StoreContract

pytestmark = pytest.mark.qdrant


class TestQdrantStore(StoreContract):
    def open_store(self, folder):
        return QdrantStore(folder / "qdrant")
