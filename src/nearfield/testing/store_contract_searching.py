"""The contract of a store: what searching promises."""

from __future__ import annotations

from contextlib import closing, suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.filters import FilterOperator, MetadataFilter, MetadataFilters
from nearfield.core.schema import Node
from nearfield.core.store import Entry
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import (
    ConfigError,
    DimensionMismatchError,
    InvalidVectorsError,
    NotSupportedError,
)
from nearfield.testing.store_contract_base import (
    DIM,
    HEADER,
    Clauses,
    brute_force,
    found_in,
    ids_of,
    make_entry,
    raises,
    texts_with,
)

if TYPE_CHECKING:
    from pathlib import Path

ODD_FACTS: tuple[Any, ...] = (
    None, True, False, 0, 1, 1.0, -0.0, 1.5, "1", "true", "null", "", "é", "e\u0301", "\x00",
    "\ud800", 2**53, 2**53 + 1, 2**64 + 1, 1e308, 5e-324, [], [None], [1, 2], ["a"],
    [True], {}, {"a": 1},
)  # fmt: skip


class SearchingClauses(Clauses):
    """By vectors exactly, by conditions, by words."""

    def test_vector_search_equals_a_brute_force_in_float64(self, tmp_path: Path) -> None:
        """Under every metric, one by one and in a batch, after deletions too."""
        for metric in SimilarityMode:
            folder = tmp_path / metric.value
            folder.mkdir()
            with self.filled(folder, 60, metric=metric) as (store, matrix):
                if not store.capabilities.exact:
                    continue
                store.delete([f"d{n}" for n in range(0, 60, 4)])
                kept = [row for row in range(180) if (row // 3) % 4]
                queries = self.vectors(5, seed=2)
                answers = store.query(queries, 10)
                for query, answer in zip(queries, answers, strict=True):
                    scores = brute_force(matrix[kept], query, metric)
                    best = np.argsort(-scores, kind="stable")[:10]
                    assert answer.engine == "exact"
                    assert [name for name, _ in found_in([answer])] == [
                        f"d{kept[at] // 3}/1/{kept[at] % 3}" for at in best
                    ]
                    found = [score for _, score in found_in([answer])]
                    assert np.allclose(found, scores[best], rtol=0, atol=1e-6)
                    assert found_in(store.query(query[None], 10)) == found_in([answer])

    def test_equal_vectors_come_in_the_order_of_writing(self, tmp_path: Path) -> None:
        """Also when they are more than were asked for."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            row = self.vectors(1)
            store.add([make_entry(f"t{n}", row) for n in range(9)])
            store.upsert([make_entry("t2", row, version=2)])
            order = [f"t{n}/1/0" for n in (0, 1, 3, 4, 5, 6, 7, 8)] + ["t2/2/0"]
            assert [name for name, _ in found_in(store.query(row, 9))] == order
            assert [name for name, _ in found_in(store.query(row, 4))] == order[:4]

    def test_extreme_vectors_are_ranked_right(self, tmp_path: Path) -> None:
        """Zeros, tiny and huge numbers neither overflow nor disappear."""
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            one = np.abs(self.vectors(1)) + np.float32(0.5)
            zero = np.zeros_like(one)
            store.add(
                [
                    make_entry("zero", zero), make_entry("far", -one),
                    make_entry("huge", one * np.float32(1e38 / one.max())),
                    make_entry("tiny", one * np.float32(1e-38)),
                ]
            )  # fmt: skip
            ids = [name.partition("/")[0] for name, _ in found_in(store.query(one, 4))]
            assert sorted(ids[:2]) == ["huge", "tiny"]
            assert ids[2:] == ["zero", "far"]
            scores = [score for _, score in found_in(store.query(one, 4))]
            assert np.allclose(scores, [1, 1, 0, -1], atol=1e-5)
            assert [score for _, score in found_in(store.query(zero, 4))] == [0, 0, 0, 0]

    def test_top_k_is_a_positive_whole_number(self, tmp_path: Path) -> None:
        """0, −1 and 1.5 are refused; more than there are gives all."""
        with self.filled(tmp_path, 1) as (store, matrix):
            bad: Any
            for bad in (0, -1, 1.5, True, None):
                raises(ConfigError, lambda bad=bad: store.query(matrix[:1], bad))
            assert len(store.query(matrix[:1], 10**6)[0].nodes) == 3
            assert store.query(matrix[:0], 3) == []

    def test_a_bad_query_is_refused(self, tmp_path: Path) -> None:
        """Vectors of another length, NaN, no vectors, an unknown mode."""
        with self.filled(tmp_path, 1) as (store, matrix):
            mode: Any = "colour"
            raises(
                DimensionMismatchError, lambda: store.query(np.ones((1, DIM + 1), np.float32), 1)
            )
            raises(InvalidVectorsError, lambda: store.query(matrix[:1] * np.float32(np.nan), 1))
            raises(ConfigError, lambda: store.query(None, 1))
            raises(ConfigError, lambda: store.query(matrix[:1], 1, mode=mode))

    def test_filters_narrow_a_search(self, tmp_path: Path) -> None:
        """The best of those that satisfy the conditions, not those among the best."""
        conditions = MetadataFilters(
            [MetadataFilter("n", 3, "<"), MetadataFilters([MetadataFilter("n", 1)], "not")]  # type: ignore[arg-type]
        )
        with self.filled(tmp_path, 8) as (store, matrix):
            if not store.capabilities.filters:
                raises(NotSupportedError, lambda: store.query(matrix[:1], 3, filters=conditions))
                return
            found = found_in(store.query(matrix[20:21], 99, filters=conditions))
            assert {name for name, _ in found} == {*ids_of("d0", 3), *ids_of("d2", 3)}
            assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)
            nothing = MetadataFilters([MetadataFilter("?", 1)])
            assert store.query(matrix[:1], 3, filters=nothing)[0].nodes == []

    def test_conditions_mean_the_same_whatever_the_facts(self, tmp_path: Path) -> None:
        """Missing and null, true and 1, 1 and 1.0, numbers beyond float64, lists, odd letters."""
        documents = [(f"d{n}", {"k": value}) for n, value in enumerate(ODD_FACTS)]
        documents.append(("without", {"other": 1}))
        asked = list[MetadataFilters]()
        for operator, value in product(FilterOperator, (*ODD_FACTS, [1, "a"])):
            with suppress(ConfigError):  # a value that the operator does not take
                asked.append(MetadataFilters([MetadataFilter("k", value, operator)]))
        with closing(self.open_store(tmp_path)) as store:
            store.initialize(HEADER)
            vectors = self.vectors(len(documents))
            store.add(
                [
                    make_entry(name, vectors[n : n + 1], metadata=facts)
                    for n, (name, facts) in enumerate(documents)
                ]
            )
            for filters in asked if store.capabilities.filters else ():
                meant = {name for name, facts in documents if filters.matches(facts)}
                hits = store.query(vectors[:1], 99, filters=filters)[0].nodes
                assert {hit.node.document_id for hit in hits} == meant, filters

    def test_words_are_found_with_their_marks(self, tmp_path: Path) -> None:
        """Accents written as one letter or as two, marks within words, letters without spaces."""
        written = {
            text: Entry(text, "h", [Node(text=text, id=text, document_id=text)], self.vectors(1))
            for text in (
                "Le re\u0301sume\u0301 est court",
                "Ein na\u00efver Gedanke",
                "हम हिन्दी में किताब पढ़ते हैं",
                "दिन में न दीप, न ही नदी",
                "שָׁלוֹם עולם",
                "กินข้าว",
            )
        }
        asked = ["r\u00e9sum\u00e9", "nai\u0308ver", "हिन्दी", "नदी", "שָׁלוֹם", "ข้าว"]
        with closing(self.open_store(tmp_path)) as store:
            if not store.capabilities.text_search:
                return
            store.initialize(HEADER)
            store.add(list(written.values()))
            for text, words in zip(written, asked, strict=True):
                assert texts_with(store, words) == [text]

    def test_words_find_texts(self, tmp_path: Path) -> None:
        """By BM25; nothing a user types is an operator; replaced texts are forgotten."""
        with self.filled(tmp_path, 4) as (store, _):
            if not store.capabilities.text_search:
                raises(NotSupportedError, lambda: store.query(None, 3, mode="text", texts=["d1"]))
                return
            (found, none) = store.query(None, 9, mode="text", texts=["d1 piece", "absent"])
            assert found.engine == "text"
            assert {name for name, _ in found_in([found])[:3]} == set(ids_of("d1", 3))
            assert none.nodes == []
            for odd in (
                '"',
                "AND",
                "NEAR(d1",
                "text:x",
                "*",
                "^",
                "-",
                "\x00",
                "",
                "d1 OR",
                "'; --",
            ):
                store.query(None, 3, mode="text", texts=[odd])
            store.upsert([make_entry("d1", self.vectors(1), version=2)])
            assert texts_with(store, "d1") == ["d1 piece 0 version 2"]
            store.delete(["d1"])
            assert texts_with(store, "d1") == []
            if store.capabilities.filters:
                only = MetadataFilters([MetadataFilter("n", 2)])
                (found,) = store.query(None, 99, mode="text", texts=["piece"], filters=only)
                assert {name for name, _ in found_in([found])} == set(ids_of("d2", 3))
