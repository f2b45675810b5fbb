"""A reader in a place where it can write nothing, so that it has no lock, beside a writer."""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.filters import MetadataFilter, MetadataFilters
from nearfield.core.store import Header
from nearfield.errors import CorruptStoreError, StoreUnavailableError
from nearfield.stores.sqlite import SQLiteStore, facts, searcher, upkeep, view
from nearfield.stores.sqlite import store as store_module
from nearfield.testing.store_contract import make_entry

HEADER = Header("f", 4)
QUERY = np.ones((1, 4), np.float32)
DOCUMENTS = 300


def write(path, version):
    """Write every document anew and go, which leaves no log."""
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        store.upsert(
            [make_entry(f"d{n}", np.full((2, 4), n + 1), version=version) for n in range(DOCUMENTS)]
        )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "my.index"
    write(path, 1)
    return path


@pytest.fixture
def reader(path, monkeypatch):
    """A store that was opened as one that nobody changes."""
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "prepare", lambda *_, **__: "immutable")
        store = SQLiteStore(path)
    with closing(store):
        assert store.count() == 2 * DOCUMENTS
        assert store._connections.mode == "immutable"
        yield store


def once(monkeypatch, owner, name, act):
    """Do something the first time that a function is called, before it is."""
    original = getattr(owner, name)

    def acting(*arguments, **options):
        monkeypatch.setattr(owner, name, original)
        act()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, acting)


def test_what_a_writer_adds_is_seen_while_it_goes_on(path, reader):
    with closing(SQLiteStore(path)) as writer:
        for n in range(3):
            writer.add([make_entry(f"new {n}", QUERY)])
            assert reader.count() == 2 * DOCUMENTS + n + 1
    assert reader.count() == 2 * DOCUMENTS + 3


def test_a_read_of_two_versions_is_refused(path, reader):
    def read():
        with reader._connections.reading() as connection:
            connection.execute("SELECT count(*) FROM nodes").fetchone()
            write(path, 2)
            connection.execute("SELECT count(*) FROM texts").fetchone()

    with pytest.raises(StoreUnavailableError, match=r"my\.index was changed while it was read"):
        read()
    assert reader.count() == 2 * DOCUMENTS


def test_an_error_that_comes_of_reading_two_versions_is_said_to_be_that(path, reader):
    def read():
        with reader._connections.reading():
            write(path, 2)
            raise CorruptStoreError

    with pytest.raises(StoreUnavailableError, match="changed while it was read"):
        read()


@pytest.mark.parametrize("when", ["read_blocks", "read_nodes"])
def test_a_query_amid_which_the_index_was_written_is_answered_by_one_version(
    path, reader, monkeypatch, when
):
    before = reader.query(QUERY, 9)
    reader._searcher.forget()
    owner = view if when == "read_blocks" else searcher
    once(monkeypatch, owner, when, lambda: write(path, 2))
    during = reader.query(QUERY, 9)
    with closing(SQLiteStore(path)) as sure:
        assert during == reader.query(QUERY, 9) == sure.query(QUERY, 9)
        assert during != before


def test_what_a_disturbed_read_saw_is_not_kept_for_the_next(path, reader, monkeypatch):
    kept = reader.query(QUERY, 9)
    everything = MetadataFilters([MetadataFilter("no such key", None, "is_empty")])
    once(monkeypatch, facts.RowOwners, "read", lambda: write(path, 2))
    found = reader.query(QUERY, 9, filters=everything)
    with closing(SQLiteStore(path)) as sure:
        assert found == sure.query(QUERY, 9, filters=everything) != kept


def test_rows_given_one_by_one_end_where_the_file_changes(path, reader):
    documents, nodes = reader.documents(), reader.nodes()
    next(documents)
    next(nodes)
    write(path, 2)
    for rows in (documents, nodes):
        with pytest.raises(StoreUnavailableError, match="Read again"):
            next(rows)
    assert len(list(reader.documents())) == DOCUMENTS


def test_rows_that_nobody_wants_any_more_raise_nothing(path, reader):
    documents = reader.documents()
    next(documents)
    write(path, 2)
    documents.close()
    assert reader.count() == 2 * DOCUMENTS


def test_verifying_amid_a_write_finds_no_damage(path, reader, monkeypatch):
    once(monkeypatch, upkeep, "look", lambda: write(path, 2))
    assert reader.verify() == []


OTHER_USER = """
import os, sys
from nearfield.stores.sqlite import SQLiteStore

os.setgid(65534)
os.setuid(65534)
with SQLiteStore(sys.argv[1], read_only=True) as store:
    print("open", flush=True)
    for _ in sys.stdin:
        print(store.count(), flush=True)
"""


def test_a_reader_without_rights_follows_a_writer_that_comes_and_goes():
    """With real rights, which only root can give up; the tests above stand in elsewhere."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "my.index"
        write(path, 1)
        Path(name).chmod(0o755)

        def start():
            begun = subprocess.Popen(
                [sys.executable, "-c", OTHER_USER, str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert begun.stdout.readline() == "open\n"
            return begun

        def seen(reader):
            reader.stdin.write("\n")
            reader.stdin.flush()
            return int(reader.stdout.readline())

        with start() as alone:
            assert seen(alone) == 2 * DOCUMENTS
            with closing(SQLiteStore(path)) as writer:
                writer.delete(["d0"])
                with start() as late:
                    assert seen(alone) == 2 * DOCUMENTS - 2
                    alone.stdin.close()
                    alone.wait()
                    writer.close()  # whose log goes with it: nothing is open but an idle reader
                    assert not Path(f"{path}-wal").exists()
                    assert seen(late) == 2 * DOCUMENTS - 2
                    with closing(SQLiteStore(path)) as another:
                        another.delete(["d1"])
                        assert seen(late) == 2 * DOCUMENTS - 4
                    assert seen(late) == 2 * DOCUMENTS - 4
                    late.stdin.close()
