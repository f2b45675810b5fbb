"""Where an index is kept: saved whole, opened again, and LlamaIndex's storage context."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nearfield.core import (
    Document,
    MemoryStore,
    Node,
    Settings,
    StorageContext,
    VectorStoreIndex,
    load_index_from_storage,
)
from nearfield.core.registry import STORES, Registered
from nearfield.core.storage import (
    FILE_NAME,
    copy_store,
    exists,
    local_path,
    open_store,
    shown_place,
)
from nearfield.errors import (
    ConfigError,
    CorruptStoreError,
    ModelMismatchError,
    StoreError,
    StoreLockedError,
    UnknownProviderError,
)
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.fake import FakeEmbedding

DOCUMENTS = [
    Document("Mars is red. It has moons.", {"n": 1, "tags": ["a", "b"]}, id="mars"),
    Document("", id="empty"),
    Document("Venus is hot.", {"ü": None}, id="venus"),
]


@pytest.fixture
def model():
    return FakeEmbedding(dim=32)


@pytest.fixture
def index(model):
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=model)


def contents(store):
    return (
        store.header,
        store.content_hashes(),
        dict(store.documents()),
        [(node, vector.tobytes()) for node, vector in store.nodes()],
    )


def test_a_saved_index_holds_all_the_index_held(index, model, tmp_path):
    index.save(tmp_path / "deep" / "my.index")

    with VectorStoreIndex.open(tmp_path / "deep" / "my.index", model) as again:
        assert contents(again.store) == contents(index.store)
        assert again.refresh(DOCUMENTS) == [False, False, False]
        assert again.as_retriever().retrieve("hot") == index.as_retriever().retrieve("hot")


def test_a_save_of_many_windows_keeps_the_order(model, tmp_path):
    many = [Document(f"text number {n}", id=f"d{n}") for n in range(2500)]
    index = VectorStoreIndex.from_documents(many, embed_model=model)

    index.save(tmp_path / "x")

    with VectorStoreIndex.open(tmp_path / "x", model) as again:
        assert contents(again.store) == contents(index.store)


def test_saving_replaces_an_older_index_whole(index, model, tmp_path):
    file = tmp_path / "my.index"
    VectorStoreIndex.from_documents([Document("old", id="old")], embed_model=model).save(file)

    index.save(file)

    with VectorStoreIndex.open(file, model) as again:
        assert list(again.store.content_hashes()) == ["mars", "venus", "empty"]
        assert again.as_retriever(similarity_top_k=9).retrieve("old")[0].node.id


def test_one_who_reads_the_old_index_sees_the_new_one_at_once(index, model, tmp_path):
    file = tmp_path / "my.index"
    VectorStoreIndex.from_documents([Document("old words", id="old")], embed_model=model).save(file)

    with VectorStoreIndex.open(file, model, read_only=True) as reader:
        assert [n.node.document_id for n in reader.as_retriever().retrieve("old")] == ["old"]
        index.save(file)
        assert "old" not in [n.node.document_id for n in reader.as_retriever().retrieve("old")]
        assert reader.count == 2
    with VectorStoreIndex.open(file, model) as again:
        assert again.count == 2
        assert again.store.verify() == []


@pytest.mark.parametrize("endings", [("", "-wal"), ("-wal",)], ids=["a file and its log", "a log"])
def test_what_a_killed_process_left_is_not_played_over_a_saved_index(
    index, model, tmp_path, endings
):
    """SQLite would take the log beside a file for that file's own."""
    file = tmp_path / "my.index"
    with VectorStoreIndex.from_documents(
        [Document(f"old {n}", id=f"old{n}") for n in range(50)],
        path=tmp_path / "alive",
        embed_model=model,
    ):  # as it lies on the disk while the index is open
        for ending in endings:
            shutil.copy(tmp_path / f"alive{ending}", tmp_path / f"my.index{ending}")
    assert (tmp_path / "my.index-wal").stat().st_size

    index.save(file)

    with VectorStoreIndex.open(file, model) as again:
        assert list(again.store.content_hashes()) == ["mars", "venus", "empty"]
        assert again.store.verify() == []


def test_an_index_that_is_being_written_is_not_replaced_meanwhile(index, model, tmp_path):
    file = tmp_path / "my.index"
    index.save(file)
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(SQLiteStore(file, timeout_s=0)) as store,
    ):
        index.save(tmp_path / "new")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match="being written"):
            store.take_over(tmp_path / "new")
        other.execute("ROLLBACK")
        store.take_over(tmp_path / "new")
        assert store.count() == 2


def test_a_save_that_fails_leaves_the_old_index_and_no_litter(index, model, tmp_path, monkeypatch):
    file = tmp_path / "my.index"
    VectorStoreIndex.from_documents([Document("old", id="old")], embed_model=model).save(file)
    before = sorted(path.name for path in tmp_path.iterdir())

    def fail(self):
        message = "the memory is gone"
        raise StoreError(message)

    monkeypatch.setattr(MemoryStore, "documents", fail)
    with pytest.raises(StoreError, match="memory is gone"):
        index.save(file)

    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with VectorStoreIndex.open(file, model) as again:
        assert list(again.store.content_hashes()) == ["old"]


@pytest.mark.parametrize("content", [b"my diary", b"SQLite format 2\0"])
def test_a_file_that_is_no_index_is_not_overwritten(index, tmp_path, content):
    file = tmp_path / "diary.txt"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match="is no index"):
        index.save(file)
    with pytest.raises(ConfigError, match="is a folder"):
        index.save(tmp_path)
    assert file.read_bytes() == content


def test_the_database_of_another_program_is_not_overwritten(index, tmp_path):
    file = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE history (page TEXT)")
        database.commit()
    content = file.read_bytes()

    with pytest.raises(ConfigError, match="is no index"):
        index.save(file)

    assert file.read_bytes() == content


def test_an_index_is_not_saved_onto_itself(model, tmp_path):
    file = tmp_path / "my.index"
    with (
        VectorStoreIndex.from_documents(DOCUMENTS, path=file, embed_model=model) as index,
        pytest.raises(ConfigError, match="already lives"),
    ):
        index.save(file)


def test_a_file_can_be_saved_as_another(model, tmp_path):
    with VectorStoreIndex.from_documents(
        DOCUMENTS, path=tmp_path / "a", embed_model=model
    ) as index:
        index.save(tmp_path / "b")
        with VectorStoreIndex.open(tmp_path / "b", model) as again:
            assert contents(again.store) == contents(index.store)


async def test_saving_has_an_async_twin(index, model, tmp_path):
    await index.asave(tmp_path / "x")
    await index.storage_context.apersist(tmp_path / "dir")

    for file in (tmp_path / "x", tmp_path / "dir" / FILE_NAME):
        with VectorStoreIndex.open(file, model) as again:
            assert again.count == 2


def test_an_index_made_on_a_path_is_in_step_with_its_documents(model, tmp_path):
    file = tmp_path / "my.index"
    VectorStoreIndex.from_documents(DOCUMENTS, path=file, embed_model=model).close()
    paid = len(model.computed)

    changed = [DOCUMENTS[0], Document("Venus is a twin.", id="venus")]
    with VectorStoreIndex.from_documents(changed, path=file, embed_model=model) as index:
        assert model.computed[paid:] == ["Venus is a twin."]
        assert list(index.ref_doc_info) == ["mars", "empty", "venus"]


def test_another_model_is_refused_and_the_file_let_go(index, tmp_path):
    index.save(tmp_path / "x")

    with pytest.raises(ModelMismatchError, match="nearfield-testing/other"):
        VectorStoreIndex.open(tmp_path / "x", FakeEmbedding(32, "other"))
    with pytest.raises(ModelMismatchError):
        VectorStoreIndex.from_documents(
            DOCUMENTS, path=tmp_path / "x", embed_model=FakeEmbedding(32, "other")
        )


def test_the_settings_model_opens_the_index_it_made(index, model, tmp_path):
    index.save(tmp_path / "x")

    with Settings.override(embed_model=model), VectorStoreIndex.open(tmp_path / "x") as again:
        assert again.embed_model is model


def test_a_read_only_index_answers_and_refuses_to_change(index, model, tmp_path):
    index.save(tmp_path / "x")

    with VectorStoreIndex.open(tmp_path / "x", model, read_only=True) as again:
        assert again.as_query_engine().query("What is red?").source_nodes
        with pytest.raises(StoreError):
            again.insert(Document("new", id="new"))
        assert again.count == 2


def test_something_that_is_no_index_is_said_to_be_none(tmp_path):
    (tmp_path / "x").write_bytes(b"my diary " * 1000)

    with pytest.raises(CorruptStoreError):
        VectorStoreIndex.open(tmp_path / "x")


def test_stores_are_named_by_their_scheme(tmp_path):
    assert isinstance(open_store("memory://"), MemoryStore)
    store = open_store(f"sqlite://{tmp_path}/by-name.index")
    assert type(store).__name__ == "SQLiteStore"
    store.close()
    assert (tmp_path / "by-name.index").exists()
    with pytest.raises(UnknownProviderError, match="nosuch"):
        open_store("nosuch://place")


def test_copying_an_empty_store_leaves_the_copy_empty():
    target = MemoryStore()
    copy_store(MemoryStore(), target)

    assert target.header is None


# LlamaIndex's storage context.


def test_persist_and_load_as_llama_index_users_write_it(index, model, tmp_path):
    index.storage_context.persist(persist_dir=tmp_path / "storage")

    context = StorageContext.from_defaults(persist_dir=tmp_path / "storage")
    again = load_index_from_storage(context, embed_model=model)

    assert contents(again.store) == contents(index.store)
    again.close()


def test_persist_goes_to_the_usual_folder_unless_told(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    index.storage_context.persist()

    assert Path("storage", FILE_NAME).is_file()


def test_a_loaded_index_saves_its_changes_at_once_and_persists_in_place(index, model, tmp_path):
    index.storage_context.persist(tmp_path)
    context = StorageContext.from_defaults(persist_dir=tmp_path)
    with load_index_from_storage(context, model) as again:
        again.insert(Document("Io is a moon.", id="io"))
        again.storage_context.persist(tmp_path)

    with VectorStoreIndex.open(tmp_path / FILE_NAME, model) as third:
        assert "io" in third.store.content_hashes()


def test_a_folder_without_an_index_is_said_to_have_none(tmp_path):
    with pytest.raises(StoreError, match="There is no index in"):
        StorageContext.from_defaults(persist_dir=tmp_path)
    with pytest.raises(ConfigError, match="not both"):
        StorageContext.from_defaults(persist_dir=tmp_path, vector_store=MemoryStore())


def test_without_a_place_a_context_is_in_memory():
    assert isinstance(StorageContext.from_defaults().vector_store, MemoryStore)


def test_many_may_ask_while_one_writes(model, tmp_path):
    """Every answer is of one whole version: a document's two nodes are both there or neither."""

    class Halves:
        def split(self, document):
            return [Node(f"{half} {document.text}", document_id=document.id) for half in "LR"]

    def pair(n):
        return Document(f"side {n}", id=f"d{n}")

    options = {"path": tmp_path / "x", "embed_model": model, "transformations": [Halves()]}
    with VectorStoreIndex.from_documents([pair(0)], **options) as index:
        retriever = index.as_retriever(similarity_top_k=10_000)

        async def ask():
            while not done.is_set():
                found = await retriever.aretrieve("side")
                counts = {}
                for each in found:
                    counts[each.node.document_id] = counts.get(each.node.document_id, 0) + 1
                assert set(counts.values()) == {2}
                await asyncio.sleep(0)

        async def write():
            try:
                for start in range(1, 60, 3):
                    await index.aingest([pair(n) for n in range(start, start + 3)])
            finally:
                done.set()

        async def both():
            async with asyncio.TaskGroup() as tasks:
                for job in (write, ask, ask):
                    tasks.create_task(job())

        done = asyncio.Event()
        asyncio.run(both())
        assert len(retriever.retrieve("side")) == 2 * 61


def test_an_address_is_shown_without_what_is_secret():
    """User, password and keys stay out of messages; the place itself can be told."""
    assert (
        shown_place("postgresql://me:pa:ss@host:5432/db?sslmode=require&password=x&n=1")
        == "postgresql://***@host:5432/db?sslmode=require&password=***&n=1"
    )
    assert shown_place("lance://s3://bucket/a@b") == "lance://s3://bucket/a@b"
    assert shown_place("notes@home.index") == "notes@home.index"


def test_only_an_index_on_this_machine_has_a_path(tmp_path):
    """A file, by its name or by address; not one in memory or in an object store."""
    assert local_path("sqlite:///a/b.index") == Path("/a/b.index")
    assert local_path(tmp_path / "x") == tmp_path / "x"
    assert local_path("memory://") is None


def test_a_store_is_asked_whether_there_is_an_index(monkeypatch):
    """By its static method ``exists``; a store that cannot tell is taken to be there."""
    asked = []
    monkeypatch.setattr(MemoryStore, "exists", staticmethod(asked.append), raising=False)
    assert not exists("memory://shelf")
    assert asked == ["shelf"]
    monkeypatch.undo()
    assert exists("memory://shelf")


def test_a_server_gets_its_address_whole(monkeypatch):
    """What stands before ``://`` is part of it."""
    monkeypatch.setitem(STORES, "shelf", Registered("builtins:dict", "", "url", whole=True))
    assert open_store("shelf://host/db") == {"url": "shelf://host/db"}
