"""The SQLite store against a dictionary: any sequence of calls, the same content."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header, writer_of
from nearfield.errors import StoreError
from nearfield.stores.sqlite import SQLiteStore, fail_points

DIM = 3
NAMES = st.sampled_from([f"d{n}" for n in range(12)])
FAIL_POINTS = ["begun", "removed", "documents", "vectors", "words", "committing", "committed"]


class Stopped(BaseException):
    """A stand-in for a kill: no code of ours catches it as an error."""


def make(name, version, size):
    rng = np.random.default_rng((int(name[1:]), version))
    nodes = [
        Node(
            text=f"{name} v{version} piece {n}",
            id=f"{name}-{version}-{n}",
            document_id=name,
            start=n,
            metadata={"v": version} if n % 2 else {"name": name},
        )
        for n in range(size)
    ]
    vectors = rng.integers(-2, 3, (size, DIM)).astype(np.float32)
    return Entry(name, f"hash-{version}", nodes, vectors, {"name": name})


class Index(RuleBasedStateMachine):
    """Calls on the store, and on a memory store beside it."""

    @initialize(snapshot=st.sampled_from([1, 1 << 30]))
    def make_stores(self, snapshot):
        self.folder = Path(tempfile.mkdtemp(prefix="nearfield-model-"))
        self.path = self.folder / "my.index"
        self.options = {"snapshot_from_bytes": snapshot}
        self.version = 0
        self.store, self.memory = SQLiteStore(self.path, **self.options), MemoryStore()
        for store in (self.store, self.memory):
            store.initialize(Header("f", DIM))

    def both(self, call):
        for store in (self.store, self.memory):
            call(store)

    def made(self, names, size):
        self.version += 1
        return [make(name, self.version, size) for name in names]

    @rule(names=st.lists(NAMES, unique=True, max_size=4), size=st.sampled_from([0, 1, 3, 700]))
    def upsert(self, names, size):
        entries = self.made(names, size)
        self.both(lambda store: store.upsert(entries))

    @rule(
        batches=st.lists(st.lists(NAMES, unique=True, max_size=3), max_size=4),
        size=st.sampled_from([0, 1, 3, 700]),
    )
    def upsert_in_bulk(self, batches, size):
        made = [self.made(names, size) for names in batches]

        def write(store):
            with writer_of(store) as writer:
                for entries in made:
                    writer.upsert(entries)

        self.both(write)

    @rule(name=NAMES)
    def add(self, name):
        entries = self.made([name], 2)
        known = name in self.memory.content_hashes()
        for store in (self.store, self.memory):
            if known:
                with pytest.raises(StoreError):
                    store.add(entries)
            else:
                store.add(entries)

    @rule(names=st.lists(NAMES, max_size=4))
    def delete(self, names):
        assert self.store.delete(names) == self.memory.delete(names)

    @rule(data=st.data())
    def delete_some_nodes(self, data):
        ids = [node.id for node, _ in self.memory.nodes()]
        if ids:
            start = data.draw(st.integers(0, len(ids) - 1))
            some = ids[start : start + data.draw(st.integers(1, 400))]
            assert self.store.delete_nodes(some) == self.memory.delete_nodes(some)

    @rule(one=NAMES, other=NAMES)
    @precondition(lambda self: self.memory.count() < 5000)
    def swap(self, one, other):
        """Give two documents each other's nodes, under the same node ids."""
        if one != other:
            self.version += 1
            nodes = [f"swapped-{self.version}-{n}" for n in range(2)]
            for left, right in ((one, other), (other, one)):
                entries = [
                    Entry(name, f"h{self.version}", [Node(text="s", id=node, document_id=name)],
                          np.full((1, DIM), n, np.float32))
                    for n, (name, node) in enumerate(zip((left, right), nodes, strict=True), 1)
                ]  # fmt: skip
                self.both(lambda store, entries=entries: store.upsert(entries))

    @rule()
    def reopen(self):
        self.store.close()
        self.store = SQLiteStore(self.path, **self.options)

    @rule()
    def lose_the_snapshot(self):
        self.path.with_name("my.index-snapshot").unlink(missing_ok=True)
        self.reopen()

    @rule(name=NAMES, size=st.sampled_from([1, 700]), place=st.sampled_from(FAIL_POINTS))
    def crash(self, name, size, place):
        """Stop at a named place, copy the files as they are, and go on with the copy."""
        entries = self.made([name], size)
        copy = self.folder / f"copy-{self.version}"

        def stop(reached):
            if reached == place:
                shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("copy-*"))
                raise Stopped

        fail_points.hook = stop
        try:
            with suppress(Stopped):
                self.store.upsert(entries)
        finally:
            fail_points.hook = None
        self.store.close()
        for file in copy.iterdir():
            shutil.copy(file, self.folder)
        for log in self.folder.glob("my.index-*"):
            if not (copy / log.name).exists():
                log.unlink()
        shutil.rmtree(copy)
        self.store = SQLiteStore(self.path, **self.options)
        if place == "committed":
            self.memory.upsert(entries)

    @invariant()
    def the_same_content(self):
        if not hasattr(self, "store"):
            return
        store, memory = self.store, self.memory
        assert store.count() == memory.count()
        assert store.content_hashes() == memory.content_hashes()
        assert list(store.documents()) == list(memory.documents())
        ours = [(node, vector.tolist()) for node, vector in store.nodes()]
        assert ours == [(node, vector.tolist()) for node, vector in memory.nodes()]
        query = np.asarray([[1, 0.5, -1]], np.float32)
        assert store.query(query, 30) == memory.query(query, 30)
        names = {"name": ["d1", "d2"]}
        assert store.query(query, 30, filters=names) == memory.query(query, 30, filters=names)
        words = {"mode": "text", "texts": ["d1 v3 piece"]}
        left, right = store.query(None, 5, **words), memory.query(None, 5, **words)
        assert [hit.node.id for hit in left[0].nodes] == [hit.node.id for hit in right[0].nodes]

    def teardown(self):
        if hasattr(self, "store"):
            assert self.store.verify() == []
            self.store.close()
            shutil.rmtree(self.folder)


def run(examples, steps):
    run_state_machine_as_test(
        Index,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
def test_any_sequence_of_calls_keeps_what_a_dictionary_keeps():
    run(12, 25)


@pytest.mark.soak
def test_long_sequences_of_calls_keep_what_a_dictionary_keeps():
    run(200, 50)
