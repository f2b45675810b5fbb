"""A store over an engine without transactions: one record decides what counts."""

from contextlib import closing

import numpy as np
import pytest

from nearfield.core.committed.rows import Row
from nearfield.core.committed.store import CommittedStore
from nearfield.core.store import Header
from nearfield.errors import CorruptStoreError, StoreError
from nearfield.testing.store_contract import StoreContract, make_entry

HEADER = Header("f", 4)


class Shelf:
    """What survives the process: rows by number, and the state."""

    def __init__(self):
        self.rows, self.state = {}, None


class ShelfEngine:
    """The plainest engine; it can be told to fail at its n-th change."""

    exact = True

    def __init__(self, shelf, fails_at=0):
        self.shelf, self.left = shelf, fails_at

    def change(self):
        self.left -= 1
        if self.left == 0:
            raise StoreError("killed")

    def read_state(self):
        return self.shelf.state

    def write_state(self, state):
        self.change()
        self.shelf.state = state

    def create(self, dim, metric):
        self.metric = metric

    def put(self, rows):
        for row in rows:
            self.change()
            self.shelf.rows[row.number] = row

    def remove(self, ranges):
        for number in list(self.shelf.rows):
            if any(a <= number and (b is None or number < b) for a, b in ranges):
                self.change()
                del self.shelf.rows[number]

    def between(self, kind, first, end):
        rows = (self.shelf.rows.get(number) for number in range(first, end))
        return [row for row in rows if row is not None and row.kind == kind]

    def having(self, kind, name, values):
        rows = self.shelf.rows.values()
        return [row for row in rows if row.kind == kind and getattr(row, name) in values]

    def unsafe(self):
        return [row for row in self.shelf.rows.values() if row.kind == "node" and not row.safe]

    def nearest(self, query, limit, state):
        rows = [r for r in self.shelf.rows.values() if r.kind == "node" and r.safe]
        rows = [row for row in rows if state.counts(row.number)]
        search = np.array([row.search for row in rows], np.float32).reshape(len(rows), len(query))
        if state.header["metric"] == "euclidean":
            scores = -np.linalg.norm(search - query, axis=1)
        else:
            length = np.linalg.norm(query) if state.header["metric"] == "cosine" else 1
            scores = search @ (query / length)
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(rows[at], float(scores[at])) for at in order]

    def size_bytes(self):
        return 0

    def close(self):
        pass


class TestCommittedStore(StoreContract):
    def open_store(self, folder):
        shelves = self.__dict__.setdefault("shelves", {})
        return CommittedStore(ShelfEngine(shelves.setdefault(folder, Shelf())), "shelf")


def filled(shelf):
    store = CommittedStore(ShelfEngine(shelf), "shelf")
    store.initialize(HEADER)
    store.add([make_entry(f"d{n}", np.full((3, 4), n + 1)) for n in range(3)])
    return store


def contents(store):
    return (
        [(node.id, vector.tolist()) for node, vector in store.nodes()],
        store.content_hashes(),
        store.count(),
        [hit.node.id for hit in store.query(np.ones((1, 4), np.float32), 99)[0].nodes],
    )


@pytest.mark.parametrize("fails_at", range(1, 24))
def test_a_write_that_stops_anywhere_counts_whole_or_not_at_all(fails_at):
    """New rows, the commit, the removal of the old: whichever it was that did not happen."""
    change = [make_entry("d1", np.full((4, 4), 9), version=2), make_entry("new", np.ones((2, 4)))]
    whole = filled(Shelf())
    before = contents(whole)
    whole.upsert(change)
    after = contents(whole)

    shelf = Shelf()
    filled(shelf)
    store = CommittedStore(ShelfEngine(shelf, fails_at), "shelf")
    try:
        store.upsert(change)
    except StoreError:
        assert contents(store) in (before, after)
    again = CommittedStore(ShelfEngine(shelf), "shelf")
    assert contents(again) in (before, after)
    again.upsert(change)
    assert contents(again) == after
    again.delete(["none"])  # every write tidies up first
    assert len(shelf.rows) == 4 + sum(len(e.nodes) for e in change) + 6


def test_learning_a_fact_brings_nothing_back():
    """Rows replaced by a write that did not get to remove them stay hidden."""
    shelf = Shelf()
    filled(shelf)
    dying = CommittedStore(ShelfEngine(shelf, fails_at=5), "shelf")
    with pytest.raises(StoreError, match="killed"):
        dying.upsert([make_entry("d1", np.ones((1, 4)), version=2)])
    with closing(CommittedStore(ShelfEngine(shelf), "shelf")) as store:
        store.update_facts({"learnt": 1})
        assert len(contents(store)[0]) == store.count()


def test_a_reader_sees_what_another_store_wrote():
    shelf = Shelf()
    one, other = filled(shelf), CommittedStore(ShelfEngine(shelf), "shelf")
    assert contents(one) == contents(other)
    other.upsert([make_entry("d0", np.ones((1, 4)), version=2)])
    assert contents(one) == contents(other)
    one.delete(["d2"])
    assert contents(one) == contents(other)


def test_a_read_only_store_writes_nothing():
    shelf = Shelf()
    filled(shelf)
    store = CommittedStore(ShelfEngine(shelf, fails_at=1), "shelf", read_only=True)
    for write in (
        lambda: store.add([make_entry("x", np.ones((1, 4)))]),
        lambda: store.delete(["d0"]),
        lambda: store.update_facts({"a": 1}),
    ):
        with pytest.raises(StoreError, match="reading only"):
            write()
    assert store.count() == 9


@pytest.mark.parametrize("state", ["", "[]", '{"colour": 1}', '{"format": 9}'])
def test_a_state_that_is_none_of_ours_is_refused(state):
    shelf = Shelf()
    shelf.state = state
    with pytest.raises(CorruptStoreError):
        CommittedStore(ShelfEngine(shelf), "shelf").count()


def test_a_row_is_plain_whatever_ids_hold():
    shelf = Shelf()
    store = CommittedStore(ShelfEngine(shelf), "shelf")
    store.initialize(HEADER)
    store.add([make_entry("\x00\ud800é", np.ones((1, 4)), metadata={"\ud800": "\x00"})])
    for row in shelf.rows.values():
        assert isinstance(row, Row)
        assert (row.key + row.data + row.vector).isascii()
        assert "\x00" not in row.data
