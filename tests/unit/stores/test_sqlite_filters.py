"""Filters on the SQLite store give the rows that the plain definition gives."""

import random
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearfield.core.filters import FilterOperator, MetadataFilter, MetadataFilters
from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.stores.sqlite import SQLiteStore

HOSTILE = ["'", '"', "--", "$", "$.a", "a.b", "\x00", "a\x00b", "%", "_", "?", ":key", "", "\ud800"]
HOSTILE += ["' OR 1=1 --", '"]', "é", "e\u0301", "𝔘", "key", "İ", "ß", "\uffff"]
texts = st.sampled_from(HOSTILE) | st.text(max_size=4)
numbers = (
    st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**70, 10**400, 0.1, -0.0, 5e-324]
    )
)
scalars = st.booleans() | numbers | texts
values = (
    scalars
    | st.none()
    | st.lists(scalars | st.none() | st.lists(st.integers(0, 1), max_size=1), max_size=4)
    | st.dictionaries(texts, st.integers(0, 1), max_size=1)
)
keys = st.sampled_from(["a", "b", *HOSTILE[:8]])
metadata = st.dictionaries(keys, values, max_size=4)


@st.composite
def conditions(draw):
    operator = draw(st.sampled_from(list(FilterOperator)))
    if operator in {"in", "nin", "any", "all"}:
        value = draw(st.lists(scalars, max_size=3))
    elif operator in {"<", "<=", ">", ">="}:
        value = draw(numbers | texts)
    elif operator in {"text_match", "text_match_insensitive"}:
        value = draw(texts)
    else:
        value = draw(scalars)
    return MetadataFilter(draw(keys), value, operator)


filters = st.recursive(
    conditions(),
    lambda inner: st.builds(
        MetadataFilters, st.lists(inner, max_size=3), st.sampled_from(["and", "or", "not"])
    ),
    max_leaves=6,
)


def one_node_documents(facts):
    vector = np.ones((1, 2), np.float32)
    return [
        Entry(str(n), "h", [Node(text="x", id=str(n), document_id=str(n), metadata=f)], vector, f)
        for n, f in enumerate(facts)
    ]


def found(store, conditions):
    (answer,) = store.query(np.ones((1, 2), np.float32), 1000, filters=conditions)
    return {int(hit.node.id) for hit in answer.nodes}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    path = tmp_path_factory.mktemp("filters") / "my.index"
    with closing(SQLiteStore(path)) as sqlite, closing(MemoryStore()) as memory:
        for store in (sqlite, memory):
            store.initialize(Header("f", 2))
        yield sqlite, memory


def check(stores, facts, asked):
    for store in stores:
        store.delete(list(store.content_hashes()))
        store.add(one_node_documents(facts))
    for one in asked:
        conditions = one if isinstance(one, MetadataFilters) else MetadataFilters([one])
        expected = {n for n, f in enumerate(facts) if conditions.matches(f)}
        for store in stores:
            assert found(store, conditions) == expected


quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
thoroughly = settings(quickly, max_examples=5000)
cases = (st.lists(metadata, max_size=8), st.lists(filters, min_size=1, max_size=6))


@given(*cases)
@quickly
def test_stores_agree_with_the_definition(stores, facts, asked):
    check(stores, facts, asked)


@pytest.mark.soak
@given(*cases)
@thoroughly
def test_stores_agree_with_the_definition_at_length(stores, facts, asked):
    check(stores, facts, asked)


def test_each_condition_of_each_operator_on_hostile_keys_and_values(stores):
    facts = [{text: text, "list": [text, 1]} for text in HOSTILE]
    facts += [{text: number} for text, number in zip(HOSTILE, range(20), strict=False)]
    asked = [
        MetadataFilter(key, [value] if operator in {"in", "nin", "any", "all"} else value, operator)
        for operator in FilterOperator
        for key in [*HOSTILE[:6], "list"]
        for value in HOSTILE[:6]
    ]
    check(stores, facts, asked)


def test_a_megabyte_of_key_and_value(stores):
    large = "x'\"" * 350_000
    check(
        stores,
        [{large: 1}, {"a": large}, {"a": [large]}, {}],
        [
            MetadataFilter(large, 1),
            MetadataFilter("a", large),
            MetadataFilter("a", large, "contains"),
            MetadataFilter("a", [large], "in"),
            MetadataFilter("a", large[:-1], "text_match"),
        ],
    )


def test_a_thousand_conditions_and_ten_thousand_values(stores):
    facts = [{"n": n} for n in range(20)]
    many = MetadataFilters([MetadataFilter("n", n, "!=") for n in range(5, 1005)])
    deep = MetadataFilter("n", 3)
    for _ in range(31):
        deep = MetadataFilters([deep], "not")
    check(stores, facts, [many, deep, MetadataFilter("n", list(range(10, 10_010)), "in")])


def test_many_and_few_matches_are_found_alike(tmp_path):
    """A few are looked up one by one, many by one pass over the nodes."""
    dice = random.Random(1)
    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(Header("f", 2))
        facts = [{"n": n, "even": n % 2 == 0} for n in range(1500)]
        dice.shuffle(facts)
        store.add(one_node_documents(facts))
        for conditions in ({"even": True}, {"n": [1, 5, 9]}, {"n": list(range(700))}, {"x": 1}):
            wanted = MetadataFilters(
                MetadataFilter(k, v, "in" if isinstance(v, list) else "==")
                for k, v in conditions.items()
            )
            expected = {n for n, f in enumerate(facts) if wanted.matches(f)}
            assert found(store, wanted) == set(sorted(expected)[:1000])


def test_nodes_with_facts_of_their_own_are_told_from_their_document(tmp_path):
    nodes = [
        Node(text="x", id="0", document_id="d", metadata={"page": 1}),
        Node(text="x", id="1", document_id="d", metadata={"page": 2}),
        Node(text="x", id="2", document_id="d", metadata={"whole": True}),
        Node(text="x", id="3", document_id="d"),
    ]
    with closing(SQLiteStore(tmp_path / "my.index")) as store:
        store.initialize(Header("f", 2))
        store.add([Entry("d", "h", nodes, np.ones((4, 2), np.float32), {"whole": True})])
        assert found(store, {"page": 2}) == {1}
        assert found(store, {"whole": True}) == {2}
        assert found(store, MetadataFilter("whole", operator="is_empty")) == {0, 1, 3}
        store.delete_nodes(["1"])
        assert found(store, {"page": 2}) == set()
