"""Where an index may lie: read-only places, full disks, odd names."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.storage import save_store
from nearfield.core.store import Header
from nearfield.errors import StoreError
from nearfield.stores.sqlite import SQLiteStore, connection
from nearfield.stores.sqlite import store as store_module
from nearfield.testing.store_contract import make_entry

HEADER = Header("f", 4)
QUERY = np.ones((1, 4), np.float32)


def build(path, documents=3):
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        store.add([make_entry(f"d{n}", np.full((2, 4), n + 1)) for n in range(documents)])


READER = """
import os, sys
import numpy as np
from nearfield.errors import StoreError
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)  # root may write anywhere

with SQLiteStore(sys.argv[1], snapshot_from_bytes=1) as store:
    print(len(store.query(np.ones((1, 4), np.float32), 99)[0].nodes))
    print(len(store.query(None, 99, mode="text", texts=["piece"])[0].nodes))
    print(len(store.verify()))
    try:
        store.add([make_entry("new", [[1, 1, 1, 1]])])
    except StoreError as error:
        print(error)
"""


@pytest.fixture
def open_place():
    """A folder that other users may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        yield place
        place.chmod(0o777)


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_file_that_cannot_be_written_can_be_searched(open_place, folder_mode):
    path = open_place / "my.index"
    build(path)
    path.chmod(0o444)
    open_place.chmod(folder_mode)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[:3] == ["6", "6", "0"]
    assert "read-only" in done.stdout.splitlines()[3]


def test_a_file_replaced_in_a_read_only_place_is_seen(tmp_path, monkeypatch):
    """There SQLite is told that the file never changes; the store looks whether it did."""
    path, other = tmp_path / "my.index", tmp_path / "other.index"
    build(path, 3)
    build(other, 5)
    monkeypatch.setattr(store_module, "prepare", lambda *_, **__: "immutable")
    with closing(SQLiteStore(path)) as store:
        assert len(store.query(QUERY, 99)[0].nodes) == 6
        other.replace(path)
        assert len(store.query(QUERY, 99)[0].nodes) == 10
        with pytest.raises(StoreError, match="read-only"):
            store.delete(["d0"])


def test_an_index_opened_to_be_read_is_not_written(tmp_path):
    path = tmp_path / "my.index"
    build(path)
    with closing(SQLiteStore(path, read_only=True)) as store:
        assert len(store.query(QUERY, 9)[0].nodes) == 6
        with pytest.raises(StoreError, match="read-only"):
            store.delete(["d0"])
        assert store.count() == 6


@pytest.mark.parametrize(("snapshot_from", "left"), [(1, {"my.index-snapshot"}), (1 << 62, set())])
def test_one_that_only_reads_leaves_the_index_as_it_is_and_a_snapshot_where_it_may(
    tmp_path, snapshot_from, left
):
    path = tmp_path / "my.index"
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        store.add([make_entry("d", np.arange(8000).reshape(2000, 4))])
    before = path.read_bytes()
    with closing(SQLiteStore(path, read_only=True, snapshot_from_bytes=snapshot_from)) as store:
        assert len(store.query(QUERY, 9)[0].nodes) == 9
    logs = {"my.index-wal", "my.index-shm"}
    assert {file.name for file in tmp_path.iterdir()} - logs == {"my.index", *left}
    assert path.read_bytes() == before
    assert [log.stat().st_size for log in tmp_path.glob("*-wal")] in ([], [0])


def test_a_missing_index_is_made_only_when_it_may_be(tmp_path):
    path = tmp_path / "my.index"
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(StoreError, match="no index at"):
            SQLiteStore(path, **options)
        assert not path.exists()
    with pytest.raises(StoreError, match="folder"):
        SQLiteStore(tmp_path)
    with pytest.raises(StoreError, match="cannot be opened"):
        SQLiteStore(tmp_path / "no" / "such" / "my.index")


@pytest.mark.parametrize("name", ["a b?c=d&mode=ro#x%20.index", "Grüße [1]*.index", "-"])
def test_any_name_will_do(tmp_path, name):
    path = tmp_path / name
    build(path)
    with closing(SQLiteStore(path, snapshot_from_bytes=1)) as store:
        assert len(store.query(QUERY, 9)[0].nodes) == 6
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, f"{name}-snapshot"] or (
        sorted(file.name for file in tmp_path.iterdir()) == [name]  # nothing but loose rows
    )


def fill(path, **options):
    """Write until the disk is full; give the documents that were acknowledged."""
    written = []

    def write_on(store):
        for n in range(10_000):
            store.add([make_entry(f"d{n}", np.full((50, 4), n + 1))])
            written.append(f"d{n}")

    with closing(SQLiteStore(path, **options)) as store:
        store.initialize(HEADER)
        with pytest.raises(StoreError, match="No space left"):
            write_on(store)
        assert list(store.content_hashes()) == written
        assert len(store.query(QUERY, 10**6)[0].nodes) == 50 * len(written)
    return written


def check_goes_on(path, written):
    with closing(SQLiteStore(path)) as store:
        assert store.verify() == []
        assert list(store.content_hashes()) == written
        store.add([make_entry("after", np.ones((50, 4)))])
        assert store.verify() == []


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path, monkeypatch):
    """SQLite's own limit of pages stands in for a disk."""
    path = tmp_path / "my.index"
    build(path, 0)
    connect = connection.connect

    def limited(*arguments, **options):
        made = connect(*arguments, **options)
        made.execute("PRAGMA max_page_count = 60")
        return made

    monkeypatch.setattr(connection, "connect", limited)
    written = fill(path)
    assert written
    monkeypatch.undo()
    check_goes_on(path, written)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 2 MB, where that is allowed; elsewhere a limit on file sizes must do."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    mounted = (
        mount is not None
        and subprocess.run([mount, *options], capture_output=True, check=False).returncode == 0
    )
    yield place if mounted else None
    if mounted:
        subprocess.run([shutil.which("umount"), "-l", str(place)], check=True)


def test_a_really_full_disk_keeps_what_was_acknowledged(small_disk):
    if small_disk is None:
        return  # the stand-in above has run
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    path = small_disk / "my.index"
    written = fill(path, snapshot_from_bytes=1)
    assert written
    ballast.unlink()
    for snapshot in small_disk.glob("*-snapshot*"):
        snapshot.unlink()
    check_goes_on(path, written)


def test_an_index_saved_on_a_small_disk_is_whole_or_not_there(small_disk):
    """From those that fit to those whose log alone does, and that can then not be moved."""
    if small_disk is None:
        return  # a limit on the size of files would hold for the log as well
    whole, refused = [], []
    for nodes in range(500, 8000, 500):
        kept = MemoryStore()
        kept.initialize(Header("f", 64))
        kept.add([make_entry("d", np.random.default_rng(0).standard_normal((nodes, 64)))])
        goal = small_disk / f"{nodes}.index"
        with suppress(StoreError):
            save_store(kept, goal)
        if goal.exists():
            with closing(SQLiteStore(goal, create=False)) as store:
                assert store.verify() == []
                assert store.count() == nodes
            whole.append(nodes)
        else:
            refused.append(nodes)
        for file in small_disk.iterdir():
            assert file == goal
            file.unlink()
    assert whole
    assert refused


def test_a_snapshot_that_cannot_be_written_is_held_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "my.index"
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        store.add([make_entry("d", np.arange(8000).reshape(2000, 4))])
        expected = store.query(QUERY, 5)
    monkeypatch.setattr(os, "fsync", _no_space)
    with closing(SQLiteStore(path, snapshot_from_bytes=1)) as store:
        assert store.query(QUERY, 5) == expected
    assert [file.name for file in tmp_path.iterdir()] == ["my.index"]


def _no_space(_descriptor):
    raise OSError(28, "No space left on device")


def test_a_new_index_is_readable_as_the_umask_has_it(tmp_path):
    path = tmp_path / "my.index"
    build(path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 & ~umask


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("used", [False, True])
def test_nothing_is_acknowledged_that_would_go_to_a_file_without_a_name(tmp_path, replaced, used):
    path = tmp_path / "my.index"
    build(path)
    with closing(SQLiteStore(path)) as store:
        if used:
            store.add([make_entry("early", np.ones((1, 4)))])
        if replaced:
            build(tmp_path / "other.index")
            (tmp_path / "other.index").replace(path)
        else:
            path.unlink()
        with pytest.raises(StoreError, match="Open it again"):
            store.add([make_entry("late", np.ones((1, 4)))])
        assert path.exists() is replaced


def test_a_store_that_only_reads_turns_to_the_file_put_in_its_place(tmp_path):
    path = tmp_path / "my.index"
    build(path)
    with closing(SQLiteStore(path, read_only=True)) as store:
        assert store.count() == 6
        build(tmp_path / "other.index", documents=5)
        (tmp_path / "other.index").replace(path)
        assert store.count() == 10
        assert len(store.query(QUERY, 99)[0].nodes) == 10


def test_a_read_that_goes_on_while_the_file_is_replaced_does_not_bring_it_back(tmp_path):
    path = tmp_path / "my.index"
    build(path)
    with closing(SQLiteStore(path, read_only=True)) as store:
        begun = store.documents()
        next(begun)
        build(tmp_path / "other.index", documents=5)
        (tmp_path / "other.index").replace(path)
        assert len(store.content_hashes()) == 5
        assert len(list(begun)) == 2  # one version, to its end
        assert len(store.content_hashes()) == 5
        assert len(store.query(QUERY, 99)[0].nodes) == 10


def test_a_store_stays_with_its_file_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    build("my.index")
    with closing(SQLiteStore("my.index")) as store:
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.add([make_entry("late", np.ones((1, 4)))])
        assert store.count() == 7
        assert store.info().size_bytes > 0
        assert store.verify() == []
    assert list((tmp_path / "elsewhere").iterdir()) == []
