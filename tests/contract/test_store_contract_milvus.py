"""The contract of a store, kept by Milvus Lite."""

import pytest

from nearfield.stores.milvus import MilvusStore
from nearfield.testing.store_contract import StoreContract

pytestmark = pytest.mark.milvus


class TestMilvusStore(StoreContract):
    def open_store(self, folder):
        return MilvusStore(folder / "index.db")
