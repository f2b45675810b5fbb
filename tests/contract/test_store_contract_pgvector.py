"""The contract of a store, kept by PostgreSQL with pgvector: a real server."""

import hashlib

import pytest

from nearfield.stores.pgvector import PGVectorStore
from nearfield.testing.store_contract import StoreContract

pytestmark = pytest.mark.pgvector


class TestPGVectorStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres):
        self.uri = postgres

    def open_store(self, folder):
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        return PGVectorStore(self.uri, index=f"contract_{name}")
