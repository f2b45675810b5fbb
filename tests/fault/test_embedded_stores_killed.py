"""Writers to the embedded Qdrant and Milvus killed: what was acknowledged is there, whole."""

import subprocess
import sys
import threading
from contextlib import closing
from importlib import import_module

import numpy as np
import pytest

from nearfield.errors import StoreError, StoreLockedError
from nearfield.testing.store_contract import make_entry

PIECES, DOCUMENTS = 4, 3
KINDS = [
    pytest.param("nearfield.stores.qdrant:QdrantStore", marks=pytest.mark.qdrant, id="qdrant"),
    pytest.param("nearfield.stores.milvus:MilvusStore", marks=pytest.mark.milvus, id="milvus"),
]

WRITER = """
import sys
from importlib import import_module
import numpy as np
from nearfield.core.store import Header
from nearfield.testing.store_contract import make_entry

module, name, place, first, pieces, documents = sys.argv[1:4] + [int(n) for n in sys.argv[4:]]
store = getattr(import_module(module), name)(place)
store.initialize(Header("f", 4))
for version in range(first, first + 1000):
    store.upsert([
        make_entry(f"d{n}", [[version + 1] * 4] * pieces, version=version, metadata={"v": version})
        for n in range(documents)
    ])
    print(version, flush=True)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_writer_tears_nothing(tmp_path, kind):
    module, _, name = kind.partition(":")
    place = str(tmp_path / "index.db")
    dice, known = np.random.default_rng(1), -1
    for _ in range(3):
        words = [sys.executable, "-c", WRITER, module, name, place]
        numbers = map(str, (known + 1, PIECES, DOCUMENTS))
        with subprocess.Popen([*words, *numbers], stdout=subprocess.PIPE, text=True) as process:
            acknowledged = [int(process.stdout.readline()) for _ in range(dice.integers(1, 3))]
            threading.Event().wait(dice.random() * 0.3)  # somewhere within the next write
            process.kill()
            acknowledged += map(int, process.stdout.read().split())
        known = acknowledged[-1]
        with closing(getattr(import_module(module), name)(place)) as store:
            versions = [node.metadata["v"] for node, _ in store.nodes()]
            ids = {node.id for node, _ in store.nodes()}
            assert len(ids) == len(versions) == store.count() == PIECES * DOCUMENTS
            assert set(versions) <= {known, known + 1}
            assert len(set(versions)) == 1
            (found,) = store.query(np.ones((1, 4), np.float32), 100)
            assert {hit.node.id for hit in found.nodes} == ids
            known = versions[0]


@pytest.mark.milvus
def test_a_milvus_killed_while_it_wrote_an_index_file_opens_again(tmp_path):
    """The file is torn, as Milvus Lite writes it in place; the rows are whole."""
    from nearfield.core.store import Header
    from nearfield.stores.milvus import MilvusStore

    place = tmp_path / "index.db"
    with closing(MilvusStore(place)) as store:
        store.initialize(Header("f", 4))
        store.add([make_entry("d", np.eye(4))])
    torn = list(place.rglob("*.idx"))
    assert torn
    for path in torn:
        path.write_bytes(path.read_bytes()[:-1])
    with closing(MilvusStore(place)) as store:
        assert store.count() == 4
        (found,) = store.query(np.eye(4, dtype=np.float32)[2:3], 1)
        assert found.nodes[0].node_id == "d/1/2"


@pytest.mark.qdrant
def test_a_folder_that_is_open_is_not_opened_again(tmp_path):
    from nearfield.stores.qdrant import QdrantStore

    with closing(QdrantStore(tmp_path / "q")), pytest.raises(StoreLockedError, match="open in"):
        QdrantStore(tmp_path / "q")


@pytest.mark.milvus
def test_what_milvus_cannot_hold_is_refused_by_name(tmp_path):
    from nearfield.core.schema import Node
    from nearfield.core.store import Entry, Header
    from nearfield.errors import ConfigError
    from nearfield.stores.milvus import MilvusStore

    with pytest.raises(ConfigError, match="ASCII"):
        MilvusStore(tmp_path / "m.db", index="no name")
    with closing(MilvusStore(tmp_path / "m.db")) as store:
        with pytest.raises(ConfigError, match="12000"):
            store.initialize(Header("f", 12_001))
        store.initialize(Header("f", 4))
        long = Node(text="x" * 70_000, id="n", document_id="d")
        with pytest.raises(ConfigError, match="65535"):
            store.add([Entry("d", "h", [long], np.ones((1, 4), np.float32))])
        assert store.count() == 0
        store.add([make_entry("d", np.ones((1, 4)))])
        assert store.count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_there_is_told_without_its_password(kind):
    module, _, name = kind.partition(":")
    with pytest.raises(StoreError) as caught:
        getattr(import_module(module), name)("http://me:hunter2@127.0.0.1:1", timeout_s=1).count()
    assert "hunter2" not in str(caught.value)
