"""Writers killed, servers killed, connections dropped: what was acknowledged is there, whole."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress

import numpy as np
import psutil
import psycopg
import pytest

from nearfield.core.store import Header
from nearfield.errors import ConfigError, StoreError, StoreLockedError, StoreUnavailableError
from nearfield.stores.pgvector import PGVectorStore
from nearfield.testing.store_contract import make_entry

pytestmark = pytest.mark.pgvector

PIECES, DOCUMENTS = 40, 4

WRITER = """
import os, signal, sys
import numpy as np
import psycopg
from nearfield.core.store import Header
from nearfield.stores.pgvector import PGVectorStore
from nearfield.testing.store_contract import make_entry

uri, index, first, last, pieces, documents, dies_at = sys.argv[1:3] + [int(n) for n in sys.argv[3:]]
calls, plain = 0, psycopg.Connection.execute

def counted(*arguments, **options):
    global calls
    calls += 1
    if calls == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*arguments, **options)

store = PGVectorStore(uri, index=index)
store.initialize(Header("f", 4))
psycopg.Connection.execute = counted
for version in range(first, last):
    store.upsert([
        make_entry(f"d{n}", np.full((pieces, 4), version), version=version, metadata={"v": version})
        for n in range(version % 3, documents)
    ])
    print(version, flush=True)
"""


def start(uri, index, first=0, last=30, dies_at=0):
    numbers = map(str, (first, last, PIECES, DOCUMENTS, dies_at))
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, uri, index, *numbers], stdout=subprocess.PIPE, text=True
    )


def check_whole(uri, index, acknowledged):
    """Every document has all pieces of one version, at least the last acknowledged one."""
    with closing(PGVectorStore(uri, index=index)) as store:
        assert store.verify() == []
        pieces, ids = {}, []
        for node, vector in store.nodes():
            version = node.metadata["v"]
            assert vector.tolist() == [version] * 4
            ids.append(node.id)
            pieces.setdefault(node.document_id, []).append(version)
        assert len(ids) == len(set(ids)) == store.count()
        for versions in pieces.values():
            assert versions == versions[:1] * PIECES
        if acknowledged is not None:
            newest = max(max(versions) for versions in pieces.values())
            assert newest in {acknowledged, acknowledged + 1}


@pytest.fixture
def index(request, postgres):
    name = f"fault_{abs(hash(request.node.nodeid)) % 10**12}"
    yield name
    with suppress(StoreError):
        PGVectorStore(postgres, index=name, create=False).drop()


# A write is ten-odd statements: from its begin, through the copies, to its commit.
@pytest.mark.parametrize("dies_at", [1, 17, 20, 23, 25, 27, 29, 31, 33])
def test_a_writer_killed_at_any_statement_tears_nothing(postgres, index, dies_at):
    with start(postgres, index, dies_at=dies_at) as process:
        lines = process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    known = int(lines[-1]) if lines else None
    check_whole(postgres, index, known)
    first = 0 if known is None else known + 1
    with start(postgres, index, first=first, last=first + 2) as process:
        process.stdout.read()
    assert process.returncode == 0
    check_whole(postgres, index, first + 1)


def test_kills_at_random_moments_tear_nothing(postgres, index):
    dice, known = np.random.default_rng(1), -1
    for _ in range(5):
        with start(postgres, index, first=known + 1, last=known + 1000) as process:
            acknowledged = [int(process.stdout.readline()) for _ in range(dice.integers(1, 4))]
            threading.Event().wait(dice.random() * 0.03)  # somewhere within the next write
            process.kill()
            acknowledged += map(int, process.stdout.read().split())
        known = acknowledged[-1]
        check_whole(postgres, index, known)


def test_a_server_killed_while_writing_loses_nothing_acknowledged(start_postgres):
    """The postmaster and all its children, by signal 9; the store goes on after the restart."""
    server = start_postgres(f"killed-{os.getpid()}")
    store = PGVectorStore(server.get_uri(), index="killed")
    store.initialize(Header("f", 4))
    last = -1
    try:
        for kill_after in (5, 3, 8):
            first = last + 1
            stop = threading.Timer(0, lambda: None)
            for version in range(first, first + 1000):
                entries = [
                    make_entry(f"d{n}", np.full((PIECES, 4), version), version=version,
                               metadata={"v": version})
                    for n in range(DOCUMENTS)
                ]  # fmt: skip
                try:
                    store.upsert(entries)
                except StoreUnavailableError:
                    break
                last = version
                if version == first + kill_after:
                    stop = threading.Timer(0.01, kill_all, [server])
                    stop.start()
            stop.join()
            server.ensure_postgres_running()
            check_whole(server.get_uri(), "killed", last)
            store.upsert(entries)  # the one that failed, through the same store
            last = version
            check_whole(server.get_uri(), "killed", last)
    finally:
        store.close()


def kill_all(server):
    master = psutil.Process(server.get_pid())
    everyone = [master, *master.children(recursive=True)]
    for process in everyone:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(everyone)


def drop_connections(uri):
    """End every connection to the server but this one, as a restart would."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'nearfield' AND pid <> pg_backend_pid()"
        )


def test_a_connection_dropped_between_calls_is_not_noticed(postgres, index):
    with closing(PGVectorStore(postgres, index=index)) as store:
        store.initialize(Header("f", 4))
        store.add([make_entry("a", np.ones((2, 4)))])
        drop_connections(postgres)
        assert store.count() == 2
        drop_connections(postgres)
        store.add([make_entry("b", np.ones((2, 4)))])
        assert store.count() == 4


def test_a_connection_dropped_within_a_write_is_told_and_the_write_may_be_repeated(
    postgres, index, monkeypatch
):
    entry = make_entry("a", np.ones((2, 4)))
    with closing(PGVectorStore(postgres, index=index)) as store:
        store.initialize(Header("f", 4))
        plain, left = psycopg.Connection.execute, [7]

        def dropped(self, *arguments, **options):
            left[0] -= 1
            if not left[0]:
                monkeypatch.setattr(psycopg.Connection, "execute", plain)
                drop_connections(postgres)
            return plain(self, *arguments, **options)

        monkeypatch.setattr(psycopg.Connection, "execute", dropped)
        with pytest.raises(StoreUnavailableError) as caught:
            store.upsert([entry])
        assert caught.value.retryable
        assert store.count() == 0
        store.upsert([entry])
        assert store.count() == 2


def test_two_processes_write_whole_documents(postgres, index):
    with closing(PGVectorStore(postgres, index=index)) as store:
        store.initialize(Header("f", 4))
        with start(postgres, index, last=12) as one, start(postgres, index, last=12) as other:
            while one.poll() is None or other.poll() is None:
                documents = {}
                for hit in store.query(np.ones((1, 4), np.float32), 10_000)[0].nodes:
                    documents.setdefault(hit.node.document_id, []).append(hit.metadata["v"])
                assert all(sorted(v) == v[:1] * PIECES for v in documents.values())
        assert (one.returncode, other.returncode) == (0, 0)
        assert store.verify() == []
        assert store.count() == PIECES * DOCUMENTS


def test_two_that_make_the_same_index_at_once_make_one(postgres, index):
    failed = []

    def make():
        try:
            with closing(PGVectorStore(postgres, index=index)) as store:
                store.initialize(Header("f", 4))
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_writer_that_cannot_wait_is_told_that_another_writes(postgres, index):
    with closing(PGVectorStore(postgres, index=index, timeout_s=0.05)) as store:
        store.initialize(Header("f", 4))
        with psycopg.connect(postgres) as other:
            other.execute(f"SELECT * FROM {index}.state FOR UPDATE")
            with pytest.raises(StoreLockedError, match="another process"):
                store.add([make_entry("a", np.ones((1, 4)))])
        store.add([make_entry("a", np.ones((1, 4)))])


def test_a_store_opened_for_reading_only_writes_nothing(postgres, index):
    with pytest.raises(StoreError, match="no index"):
        PGVectorStore(postgres, index=index, read_only=True)
    assert not PGVectorStore.exists(f"{postgres}&index={index}")
    with closing(PGVectorStore(postgres, index=index)) as store:
        store.initialize(Header("f", 4))
    assert PGVectorStore.exists(f"{postgres}&index={index}")
    with closing(PGVectorStore(postgres, index=index, read_only=True)) as store:
        with pytest.raises(StoreError, match="reading only"):
            store.add([make_entry("a", np.ones((1, 4)))])
        assert store.count() == 0


def test_a_database_without_pgvector_is_named_with_the_way_out(postgres):
    name, user = f"bare_{os.getpid()}", f"nobody_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'hunter2'")
    uri = postgres.replace("postgres:@/postgres", f"{user}:hunter2@/{name}")
    try:
        with pytest.raises(StoreError, match="CREATE EXTENSION vector") as caught:
            PGVectorStore(uri)
        assert "hunter2" not in str(caught.value)
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name}")
            admin.execute(f"DROP ROLE {user}")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:hunter2@127.0.0.1:1/db",
        "postgresql://me:hunter2@127.0.0.1:1/db?password=hunter2",
        "postgresql://me:hunter2@[::1/db",
        "postgresql://me:hunter2@host:port:port/db",
        "postgresql://me@127.0.0.1:1/db?nonsense=hunter2",
    ],
)
def test_a_password_is_in_no_message_and_no_chain(uri):
    with pytest.raises((ConfigError, StoreError)) as caught:
        PGVectorStore(uri)
    error = caught.value
    while error is not None:
        assert "hunter2" not in f"{error!s} {error!r}"
        error = None if error.__suppress_context__ and error.__cause__ is None else error.__cause__


def test_a_password_is_not_in_what_is_shown(postgres, index):
    uri = postgres.replace("postgres:@", "postgres:hunter2@")
    with closing(PGVectorStore(uri, index=index)) as store:
        assert "hunter2" not in repr(store)
        assert "hunter2" not in repr(store._address)
        assert repr(store._address.shown).endswith(f"/postgres?index={index}'")


@pytest.mark.parametrize("name", ["", "public", "pg_temp", "x" * 64, "a\x00b", "\ud800"])
def test_a_name_that_no_schema_can_have_is_refused(name):
    with pytest.raises(ConfigError):
        PGVectorStore("postgresql://h/d?index=ok", index=name or "pg_")


def test_an_odd_name_is_a_name_like_any_other(postgres):
    name = """it's "odd"; DROP TABLE x --é%s"""
    with closing(PGVectorStore(postgres, index=name)) as store:
        store.initialize(Header("f", 4))
        store.add([make_entry("a", np.ones((1, 4)))])
        assert store.query(np.ones((1, 4), np.float32), 1, filters={})[0].nodes
        store.drop()
    with psycopg.connect(postgres) as connection:
        names = connection.execute("SELECT nspname FROM pg_namespace").fetchall()
    assert (name,) not in names
