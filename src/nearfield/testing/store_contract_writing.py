"""The contract of a store: what writing promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.outlines import Outline, outlines
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Tallying
from nearfield.core.store_checks import known_header
from nearfield.core.upserts import Joining
from nearfield.errors import (
    ConfigError,
    DimensionMismatchError,
    InvalidVectorsError,
    StoreError,
)
from nearfield.testing.store_contract_base import (
    DIM,
    HEADER,
    Clauses,
    found_in,
    ids_of,
    make_entry,
    near,
    raises,
    single,
)

if TYPE_CHECKING:
    from pathlib import Path


class WritingClauses(Clauses):
    """Documents come back as written, are replaced whole, and bad ones change nothing."""

    def test_nodes_come_back_as_they_were_written(self, tmp_path: Path) -> None:
        """Texts, places, facts and vectors are the same, bit for bit, in the order of writing."""
        facts = {"n": 1, "é": "ü\x00\ud800", "list": [1, 2.5, None, True], "deep": {"a": {"b": ""}}}
        matrix = self.vectors(4)
        entries = [
            make_entry("b", matrix[:3], metadata=facts),
            make_entry("a\x00'\";--\ud800", matrix[3:]),
            Entry("empty", "hash", [], np.zeros((0, DIM), np.float32), {"kept": True}),
        ]
        odd = Node(
            text="\ud83d \x00 'x'", id="odd", document_id="a\x00'\";--\ud800", metadata={"m": 1}
        )
        entries[1] = Entry(odd.document_id, "h", [odd], matrix[3:], {})
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.add(entries)
            written = [node for entry in entries for node in entry.nodes]
            assert [node for node, _ in store.nodes()] == written
            assert np.array_equal(np.stack([vector for _, vector in store.nodes()]), matrix)
            assert list(store.documents()) == [
                ("b", facts),
                (odd.document_id, {}),
                ("empty", {"kept": True}),
            ]
            assert [node.id for node, _ in store.nodes(["odd", "?", "b/1/0", "odd"])] == [
                "b/1/0",
                "odd",
            ]

    def test_ids_are_any_text_and_no_two_are_taken_for_one(self, tmp_path: Path) -> None:
        """Letters composed and decomposed, case, spaces, NUL, lone surrogates, long ones."""
        names = [
            "a", "A", "a ", " a", "\n", "é", "e\u0301", "日本語", "\x00", "\ud800", "\U0001f600",
            "%", "_", "'", "a" * 3000, "a" * 3001,
        ]  # fmt: skip
        matrix = self.vectors(len(names))
        entries = [
            single(name, f"n{name}", row[None]) for name, row in zip(names, matrix, strict=True)
        ]
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.add(entries)
            assert list(store.content_hashes()) == names
            assert [node.id for node, _ in store.nodes()] == [f"n{name}" for name in names]
            for name in names:
                assert store.content_hashes([name]) == {name: "h"}
                assert [node.document_id for node, _ in store.nodes([f"n{name}"])] == [name]
            assert store.delete(["A", "é", "A"]) == 2
            assert store.delete_nodes(["n\x00", "n\x00", "n_"]) == 2
            left = [name for name in names if name not in {"A", "é", "\x00", "_"}]
            assert [node.document_id for node, _ in store.nodes()] == left

    def test_what_is_given_out_is_a_copy(self, tmp_path: Path) -> None:
        """Changing an answer, or what was written, does not change the store."""
        matrix, facts = self.vectors(1), {"tags": ["x"]}
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            store.add([make_entry("a", matrix, metadata=facts)])
            before = matrix.copy()
            facts["tags"].append("y")
            matrix[:] = 0
            for node, vector in store.nodes():
                node.metadata["tags"].append("z")
                vector[:] = 0
            one, other = store.query(np.concatenate([before, before]), 1)
            one.nodes[0].metadata["tags"].append("w")
            assert other.nodes[0].metadata == {"tags": ["x"]}
            ((node, vector),) = store.nodes()
            assert node.metadata == {"tags": ["x"]}
            assert np.array_equal(vector, before[0])

    def test_content_hashes_tell_what_is_there(self, tmp_path: Path) -> None:
        """Of all documents, or of those asked for."""
        with self.filled(tmp_path, 3) as (store, _):
            assert store.content_hashes() == dict.fromkeys(["d0", "d1", "d2"], "hash-1")
            assert store.content_hashes(["d2", "?", "d2"]) == {"d2": "hash-1"}
            assert store.content_hashes([]) == {}

    def test_adding_a_known_id_writes_nothing(self, tmp_path: Path) -> None:
        """A known document, a known node, or an id given twice stops the whole call."""
        new = make_entry("new", self.vectors(2))
        thief = Entry(
            "thief", "h", [Node(text="x", id="d0/1/0", document_id="thief")], self.vectors(1)
        )
        with self.filled(tmp_path, 2) as (store, _):
            before = [node for node, _ in store.nodes()]
            raises(StoreError, lambda: store.add([new, make_entry("d1", self.vectors(1))]))
            raises(StoreError, lambda: store.add([new, thief]))
            raises(StoreError, lambda: store.upsert([new, thief]))
            raises(StoreError, lambda: store.upsert([new, new]))
            twin = Entry(
                "twin", "h", [Node(text="x", id="t", document_id="twin")] * 2, self.vectors(2)
            )
            raises(StoreError, lambda: store.upsert([new, twin]))
            foreign = Entry("f", "h", [Node(text="x", document_id="other")], self.vectors(1))
            raises(StoreError, lambda: store.upsert([new, foreign]))
            assert [node for node, _ in store.nodes()] == before
            assert "new" not in store.content_hashes()

    def test_bad_vectors_write_nothing(self, tmp_path: Path) -> None:
        """Wrong length, NaN, infinity and a wrong count are refused before anything is written."""
        good = make_entry("good", self.vectors(1))
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            wide = make_entry("wide", np.ones((1, DIM + 1)))
            raises(DimensionMismatchError, lambda: store.upsert([good, wide]))
            for bad in (np.nan, np.inf):
                entry = make_entry("bad", np.full((1, DIM), bad))
                raises(InvalidVectorsError, lambda entry=entry: store.upsert([good, entry]))
            short = Entry("short", "h", good.nodes, np.zeros((2, DIM), np.float32))
            raises((InvalidVectorsError, StoreError), lambda: store.upsert([good, short]))
            assert store.count() == 0

    def test_metadata_that_is_not_json_is_refused(self, tmp_path: Path) -> None:
        """A store never changes a fact on the way: what it cannot keep, it refuses by name."""
        deep: dict[str, Any] = {}
        for _ in range(1000):
            deep = {"d": deep}
        bad_facts: list[dict[Any, Any]] = [
            {"when": np.datetime64("2024-01-01")}, {"x": float("nan")}, {1: "one"}, {"deep": deep},
        ]  # fmt: skip
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            for facts in bad_facts:
                entry = make_entry("bad", self.vectors(1), metadata=facts)
                assert "'bad'" in raises(ConfigError, lambda entry=entry: store.upsert([entry]))
            assert store.count() == 0

    def test_an_upsert_replaces_a_document_whole(self, tmp_path: Path) -> None:
        """No old node stays, no other document changes, the new one is the last written."""
        with self.filled(tmp_path, 3) as (store, matrix):
            fresh = self.vectors(2, seed=1)
            store.upsert([make_entry("d1", fresh, version=2, metadata={"v": 2})])
            ids = [node.id for node, _ in store.nodes()]
            assert ids == [*ids_of("d0", 3), *ids_of("d2", 3), "d1/2/0", "d1/2/1"]
            assert store.content_hashes()["d1"] == "hash-2"
            assert dict(store.documents())["d1"] == {"v": 2}
            assert found_in(store.query(matrix[3:4], 9))[0][1] < 1 - 1e-6
            assert found_in(store.query(fresh[:1], 1)) == [("d1/2/0", near(1.0))]

    def test_an_upsert_may_take_over_the_node_ids_of_what_it_replaces(self, tmp_path: Path) -> None:
        """Two documents may even swap theirs, within one call."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            matrix = self.vectors(2)
            store.add([single("a", "x", matrix[:1]), single("b", "y", matrix[1:])])
            store.upsert([single("a", "y", matrix[1:]), single("b", "x", matrix[:1])])
            assert [(node.id, node.document_id) for node, _ in store.nodes()] == [
                ("y", "a"),
                ("x", "b"),
            ]
            assert found_in(store.query(matrix[:1], 1)) == [("x", near(1.0))]

    def test_a_store_that_tallies_does_so_with_the_write_or_not_at_all(
        self, tmp_path: Path
    ) -> None:
        """Numbers are added to facts of the header; the other facts stay."""
        with self.filled(tmp_path, 3) as (store, matrix):
            if isinstance(store, Tallying):
                store.update_facts({"cut": 1, "other": "x"})
                store.upsert_and_tally([make_entry("d7", matrix[:1])], {"cut": 2, "new": 3})
                bad = make_entry("d8", np.full((1, DIM), np.nan, np.float32))
                raises(InvalidVectorsError, lambda: store.upsert_and_tally([bad], {"cut": 9}))
                facts = known_header(store.header).facts
                assert (facts["cut"], facts["new"], facts["other"]) == (3, 3, "x")
                assert list(store.content_hashes(["d7", "d8"])) == ["d7"]

    def test_nodes_that_threads_join_to_one_document_are_all_kept(self, tmp_path: Path) -> None:
        """A store that joins them itself lets nobody write between its reading and writing."""
        with self.filled(tmp_path, 3) as (store, matrix):
            if not isinstance(store, Joining):
                return
            together = Barrier(4)

            def join(number: int) -> None:
                together.wait()
                for turn in range(3):
                    more = Node(text="more", id=f"{number}.{turn}", document_id="d0")
                    store.upsert_joined([Entry("d0", "other", [more], matrix[:1])], {})

            with ThreadPoolExecutor(together.parties) as pool:
                list(pool.map(join, range(together.parties)))
            whole = outlines(store, ["d0"])["d0"].node_ids
            assert whole[:3] == ids_of("d0", 3)
            assert sorted(whole[3:]) == [f"{a}.{b}" for a in range(4) for b in range(3)]
            assert store.content_hashes(["d0"]) == {"d0": "hash-1"}

    def test_documents_can_be_outlined(self, tmp_path: Path) -> None:
        """Their facts and the ids of their nodes, in the order of writing."""
        with self.filled(tmp_path, 6) as (store, matrix):
            store.upsert([make_entry("d0", matrix[:2], version=2, metadata={"v": 2})])
            store.delete_nodes(["d2/1/0"])
            whole = outlines(store)
            assert list(whole) == ["d1", "d2", "d3", "d4", "d5", "d0"]
            assert whole["d0"] == Outline({"v": 2}, ["d0/2/0", "d0/2/1"])
            assert whole["d2"].node_ids == ["d2/1/1", "d2/1/2"]
            some = outlines(store, ["d2", "?", "d0"])
            assert some == {name: whole[name] for name in ("d2", "d0")}

    def test_what_is_deleted_is_found_no_more(self, tmp_path: Path) -> None:
        """Documents or single nodes; the count says how many were there."""
        with self.filled(tmp_path, 6) as (store, matrix):
            assert store.delete(["d0", "d3", "d3", "?"]) == 2
            assert store.delete([]) == 0
            assert store.delete_nodes(["d1/1/0", "d1/1/1", "d1/1/2", "?", "d2/1/0"]) == 4
            expected = ["d2/1/1", "d2/1/2", *ids_of("d4", 3), *ids_of("d5", 3)]
            assert [node.id for node, _ in store.nodes()] == expected
            assert store.count() == len(expected)
            assert list(store.content_hashes()) == ["d1", "d2", "d4", "d5"]
            assert {name for name, _ in found_in(store.query(matrix[:1], 99))} == set(expected)
            store.add([make_entry("d0", matrix[:3])])
            assert found_in(store.query(matrix[:1], 1)) == [("d0/1/0", near(1.0))]
