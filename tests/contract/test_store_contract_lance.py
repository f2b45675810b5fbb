"""The contract of a store, kept by the one over Lance tables."""

import pytest

from nearfield.stores.lance import LanceStore
from nearfield.testing.object_store import ObjectServer
from nearfield.testing.store_contract import StoreContract

pytestmark = pytest.mark.lance


class TestLanceStore(StoreContract):
    def open_store(self, folder):
        return LanceStore(folder / "index", durable=False)


class TestLanceStoreThatStreams(StoreContract):
    """Too large for memory and without an ANN index: every answer reads the table."""

    def open_store(self, folder):
        return LanceStore(folder / "index", exact_below=0, ann=None)


class TestLanceStoreInAnObjectStore(StoreContract):
    """No folder, no lock, no file to sync: every commit is a conditional request."""

    @pytest.fixture(autouse=True)
    def _server(self):
        with ObjectServer() as self.server:
            yield

    def open_store(self, folder):
        address = f"s3://bucket/{folder.name}"
        return LanceStore(address, storage_options=self.server.options())
