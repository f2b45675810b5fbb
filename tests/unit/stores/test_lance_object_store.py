"""A Lance index in an object store: keys that stay secret, failures, and writers side by side."""

import os
from contextlib import closing

import numpy as np
import pytest

from nearfield import VectorStoreIndex
from nearfield.core.storage import exists
from nearfield.core.store import Header
from nearfield.core.store_checks import check_entries
from nearfield.errors import StoreError
from nearfield.stores.lance import LanceStore
from nearfield.stores.lance.writing import write_entries
from nearfield.testing.fake import FakeEmbedding
from nearfield.testing.object_store import KEY_ID, SECRET, ObjectServer
from nearfield.testing.store_contract import make_entry

pytestmark = pytest.mark.lance

PLACE = "s3://bucket/docs/index"


@pytest.fixture
def server():
    with ObjectServer() as running:
        yield running


def rows(count, value=1):
    return np.full((count, 4), value, np.float32)


@pytest.fixture
def shared(server):
    """Give two stores over one index in an object store."""
    options = server.options()
    with (
        closing(LanceStore(PLACE, storage_options=options)) as one,
        closing(LanceStore(PLACE, storage_options=options)) as other,
    ):
        one.initialize(Header("f", 4))
        yield one, other


def write_late(store, version, entries, *, replace):
    """Write on top of a version that is not the newest any more."""
    checked = check_entries(entries, version.header)
    write_entries(store._table, version, checked, replace=replace)


def contents(store):
    return {node.id: vector.tolist() for node, vector in store.nodes()}


def test_of_two_writers_of_one_document_the_later_replaces_all_of_the_earlier(shared):
    """Also where neither knew of the other, and their nodes are not the same."""
    one, other = shared
    before = other._table.latest()
    one.upsert([make_entry("d", rows(3), version=1)])
    write_late(other, before, [make_entry("d", rows(2, 2), version=2)], replace=True)
    assert contents(one) == {"d/2/0": [2] * 4, "d/2/1": [2] * 4}
    assert one.content_hashes() == {"d": "hash-2"}


def test_a_document_added_by_somebody_else_first_is_not_replaced(shared):
    one, other = shared
    before = other._table.latest()
    one.add([make_entry("d", rows(1))])
    with pytest.raises(StoreError, match="already"):
        write_late(other, before, [make_entry("d", rows(1, 2))], replace=False)
    assert contents(other) == {"d/1/0": [1] * 4}


def test_writers_of_different_documents_keep_each_other_s(shared):
    one, other = shared
    before = other._table.latest()
    one.upsert([make_entry("a", rows(2))])
    write_late(other, before, [make_entry("b", rows(2, 2))], replace=True)
    other.update_facts({"by": "other"})
    one.delete(["a"])
    assert list(contents(other)) == ["b/1/0", "b/1/1"]
    assert one.header.facts == {"by": "other"}


def test_keys_stand_in_no_message_no_repr_and_no_object(server, shared):
    """Whatever the store says or writes."""
    one, _ = shared
    one.upsert([make_entry("a", rows(2))])
    server.refusing = True
    said = [repr(one), one.path]
    calls = (
        lambda: one.upsert([make_entry("b", rows(1))]),
        lambda: one.query(rows(1), 1),
        lambda: list(one.nodes()),
        one.count,
        one.info,
        lambda: LanceStore(PLACE, storage_options=server.options()),
    )
    for call in calls:
        with pytest.raises(StoreError, match="Forbidden") as error:
            call()
        said.append(str(error.value))
        assert "\n" not in said[-1]
        assert ".rs:" not in said[-1]
    written = b"".join(server.objects.values())
    for secret in (KEY_ID, SECRET):
        assert not any(secret in one for one in said)
        assert secret.encode() not in written


def test_a_password_in_the_address_is_not_shown():
    with pytest.raises(StoreError) as error:
        LanceStore("nowhere://me:geheim@host/index")
    assert "geheim" not in str(error.value)


def test_an_index_opens_by_its_address_with_keys_of_the_environment(server, monkeypatch):
    for name, value in server.options().items():
        key = name.upper() if name.startswith("aws") else f"AWS_{name.upper()}"
        monkeypatch.setitem(os.environ, key, value)
    address, model = f"lance://{PLACE}", FakeEmbedding(8)
    assert not exists(address)
    with VectorStoreIndex.from_documents([], embed_model=model, path=address) as index:
        index.store.initialize(index._header(8))
    assert exists(address)
    with VectorStoreIndex.open(address, embed_model=model, read_only=True) as index:
        assert index.store.count() == 0
