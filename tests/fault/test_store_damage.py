"""Damage to the index file: nothing wrong is served in silence, and what can be is mended."""

import random
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from nearfield.core.filters import MetadataFilter, MetadataFilters
from nearfield.core.store import Header
from nearfield.errors import CorruptStoreError, NearfieldError
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry

DIM = 8
HEADER = Header("fingerprint", DIM, facts={"chunk_size": 3})


def vectors_of(texts):
    return np.stack(
        [np.random.default_rng(sum(map(ord, text))).standard_normal(DIM) for text in texts]
    ).astype(np.float32)


def build(path):
    """Make an index of one full block and some loose rows, with deletions in both."""
    with closing(SQLiteStore(path)) as store:
        store.initialize(HEADER)
        entries = []
        for n in range(230):
            facts = {"n": n, "tags": ["a", f"b{n % 7}"], "title": f"Title {n}", "none": None}
            entry = make_entry(f"d{n}", np.zeros((5, DIM)), metadata=facts)
            entry.vectors[:] = vectors_of([node.text for node in entry.nodes])
            entries.append(entry)
        store.add(entries)
        store.delete(["d3", "d4", "d229"])
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build(tmp_path_factory.mktemp("whole") / "my.index")


@pytest.fixture
def index(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "my.index")


def everything(path):
    """Give all that a user can get out of an index."""
    queries = np.eye(DIM, dtype=np.float32)[:3]
    conditions = MetadataFilters(
        [MetadataFilter("n", 50, "<"), MetadataFilter("tags", "b2", "contains")], "or"
    )
    with closing(SQLiteStore(path, create=False)) as store:
        return (
            store.header,
            store.count(),
            store.content_hashes(),
            list(store.documents()),
            [(node, vector.tobytes()) for node, vector in store.nodes()],
            store.query(queries, 20),
            store.query(queries, 1000, filters=conditions),
            store.query(None, 20, mode="text", texts=["d17 piece 3", "version", "d99"]),
        )


def is_detected(path):
    try:
        with closing(SQLiteStore(path, create=False)) as store:
            return bool(store.verify())
    except NearfieldError:
        return True


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def check_flips(whole, folder, count, seed):
    expected = everything(whole)
    dice = random.Random(seed)
    size = whole.stat().st_size
    silent = []
    for _ in range(count):
        bit = dice.randrange(8 * size)
        path = shutil.copy(whole, folder / "flipped.index")
        flip(path, bit)
        if not is_detected(path):
            try:
                same = everything(path) == expected
            except NearfieldError:
                same = False
            if not same:
                silent.append(bit)
    assert silent == []


def test_a_sound_index_has_no_problems(whole):
    with closing(SQLiteStore(whole)) as store:
        assert store.verify() == []
        assert store.repair().problems == []


def test_an_emptied_index_has_no_problems(tmp_path):
    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(HEADER)
        store.add([make_entry("d", np.ones((2, DIM)))])
        store.delete_nodes(["d/1/0", "d/1/1"])
        assert store.verify() == []
        store.delete(["d"])
        assert store.verify() == []


def test_a_flipped_bit_is_detected_or_changes_nothing(whole, tmp_path):
    check_flips(whole, tmp_path, 40, seed=1)


@pytest.mark.soak
def test_thousands_of_flipped_bits_are_detected_or_change_nothing(whole, tmp_path):
    check_flips(whole, tmp_path, 2000, seed=2)


def damage(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def problems(path):
    with closing(SQLiteStore(path)) as store:
        return {problem.part for problem in store.verify()}


SPOIL_VECTORS = "UPDATE vectors SET data = zeroblob(length(data)) WHERE block = 0"


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        (SPOIL_VECTORS, "vectors"),
        ("UPDATE loose SET data = zeroblob(length(data)) WHERE row = 1100", "vectors"),
        ("DELETE FROM loose WHERE row = 1100", "vectors"),
        ("UPDATE blocks SET live = stored", "vectors"),
        ("UPDATE texts SET text = text || '!' WHERE row = 9", "nodes"),
        ("DELETE FROM texts WHERE row = 9", "nodes"),
        ("DELETE FROM nodes WHERE row = 1100", "vectors"),
        ("UPDATE metadata SET json = replace(json, 'Title', 'Tilte') WHERE number = 9", "metadata"),
        ("UPDATE documents SET content_hash = 'x' WHERE number = 9", "documents"),
        ("DELETE FROM facts WHERE metadata = 9", "facts"),
        ("INSERT INTO words (words, rowid, text) VALUES ('delete', 9, 'd1')", "words"),
        ("INSERT INTO words (rowid, text) VALUES (5000, 'd1')", "words"),
        ("UPDATE header SET model_name = 'another'", "header"),
        ("UPDATE state SET next_row = 5", "header"),
        ("DROP INDEX nodes_of_document", "file"),
    ],
)
def test_each_kind_of_damage_is_found(index, statement, part):
    damage(index, statement)
    assert part in problems(index)


def test_a_spoilt_vector_is_never_searched(index):
    damage(index, SPOIL_VECTORS)
    with closing(SQLiteStore(index)) as store, pytest.raises(CorruptStoreError, match="verify"):
        store.query(np.eye(DIM, dtype=np.float32)[:1], 3)


def test_a_spoilt_text_is_never_shown(index):
    damage(index, "UPDATE texts SET text = 'lies'")
    with closing(SQLiteStore(index)) as store, pytest.raises(CorruptStoreError, match="damaged"):
        store.query(np.eye(DIM, dtype=np.float32)[:1], 3)


def test_lost_vectors_are_computed_again_from_the_texts(whole, index):
    before = everything(whole)
    damage(index, SPOIL_VECTORS, "DELETE FROM loose WHERE row = 1100")
    with closing(SQLiteStore(index)) as store:
        done = store.repair(vectors_of)
    assert (done.embedded, done.removed) == (1024 - 10 + 1, [])
    assert problems(index) == set()
    assert everything(index) == before


def test_a_block_made_again_is_no_unfinished_one_and_may_be_written_after(index):
    """Also where all rows of the unfinished block were deleted."""
    with closing(SQLiteStore(index)) as store:
        store.delete([f"d{n}" for n in range(204, 230)])
    damage(index, "DELETE FROM blocks", "DELETE FROM vectors")
    with closing(SQLiteStore(index)) as store:
        assert store.repair(vectors_of).embedded == store.count()
        store.add([make_entry("more", np.ones((2000, DIM)))])
        assert store.verify() == []


def test_a_next_row_in_another_block_than_the_unfinished_one_is_found_and_mended(index):
    damage(index, "UPDATE state SET next_row = next_row + 4096")
    assert problems(index) == {"header"}
    with closing(SQLiteStore(index)) as store:
        store.repair()
        store.add([make_entry("more", np.ones((2000, DIM)))])
        assert store.verify() == []


def test_without_a_model_documents_with_lost_vectors_are_removed_and_named(whole, index):
    damage(index, "UPDATE loose SET data = zeroblob(length(data)) WHERE row = 1100")
    with closing(SQLiteStore(index)) as store:
        done = store.repair()
        assert done.removed == ["d220"]
        assert "d220" not in store.content_hashes()
        assert store.count() == 227 * 5 - 5
        assert store.verify() == []


def test_a_document_with_a_spoilt_text_is_removed_and_can_come_back(index):
    damage(index, "UPDATE texts SET text = text || '!' WHERE row = 27")
    with closing(SQLiteStore(index)) as store:
        removed = store.repair(vectors_of).removed
        assert "d5" in removed
        assert set(removed) <= {"d2", "d5", "d6"}
        assert store.verify() == []
        entry = make_entry("d5", np.ones((2, DIM)))
        store.add([entry])
        assert store.verify() == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM facts",
        "INSERT INTO words (rowid, text) VALUES (5000, 'd1')",
        "DELETE FROM words_docsize",
        "UPDATE blocks SET live = stored",
    ],
)
def test_what_is_derived_is_derived_again(whole, index, statement):
    damage(index, statement)
    with closing(SQLiteStore(index)) as store:
        done = store.repair()
    assert done.problems
    assert (done.embedded, done.removed) == (0, [])
    assert problems(index) == set()
    assert everything(index) == everything(whole)


def test_a_spoilt_snapshot_is_found_and_thrown_away(index):
    query = np.eye(DIM, dtype=np.float32)[:1]
    with closing(SQLiteStore(index, snapshot_from_bytes=1)) as store:
        before = store.query(query, 5)
        snapshot = index.with_name("my.index-snapshot")
        flip(snapshot, 8 * snapshot.stat().st_size - 100)
        assert [problem.part for problem in store.verify()] == ["snapshot"]
        store.repair()
        assert not snapshot.exists()
        assert store.query(query, 5) == before


def test_a_file_that_is_not_an_index_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "text"
    text.write_text("not a database, but long enough to look at. " * 100)
    other = tmp_path / "other.db"
    damage(other, "CREATE TABLE mine (x)")
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(CorruptStoreError, match=path.name):
            SQLiteStore(path)
        assert path.read_bytes() == before


def test_an_index_of_another_format_is_refused_by_number(index):
    damage(index, "PRAGMA user_version = 99")
    with pytest.raises(CorruptStoreError, match="format 99"):
        SQLiteStore(index)


def test_a_truncated_index_is_refused(index):
    data = index.read_bytes()
    index.write_bytes(data[: len(data) // 2])
    assert is_detected(index)
    with pytest.raises(CorruptStoreError, match="damaged"):
        everything(index)


def test_an_empty_file_becomes_an_index_only_when_one_may_be_made(tmp_path):
    path = tmp_path / "empty.index"
    path.touch()
    with pytest.raises(CorruptStoreError, match="is empty: it is no index"):
        SQLiteStore(path, create=False)
    with closing(SQLiteStore(path)) as store:
        assert store.verify() == []
