"""Filters in PostgreSQL give the rows that the plain definition gives."""

import runpy
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from nearfield.core.filters import FilterOperator, MetadataFilter, MetadataFilters
from nearfield.core.store import Header
from nearfield.errors import ConfigError
from nearfield.stores.pgvector import PGVectorStore

pytestmark = pytest.mark.pgvector

# The same hostile keys, values and strategies that the SQLite store is held to.
CASES = runpy.run_path(str(Path(__file__).with_name("test_sqlite_filters.py")))
HOSTILE, check, found = CASES["HOSTILE"], CASES["check"], CASES["found"]


@pytest.fixture(scope="module")
def stores(postgres):
    with closing(PGVectorStore(postgres, index="filters")) as store:
        store.initialize(Header("f", 2))
        yield (store,)
        store.drop()


quickly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(*CASES["cases"])
@quickly
def test_the_store_agrees_with_the_definition(stores, facts, asked):
    check(stores, facts, asked)


@pytest.mark.soak
@given(*CASES["cases"])
@settings(quickly, max_examples=3000)
def test_the_store_agrees_with_the_definition_at_length(stores, facts, asked):
    check(stores, facts, asked)


def test_each_condition_of_each_operator_on_hostile_keys_and_values(stores):
    facts = [{text: text, "list": [text, 1]} for text in HOSTILE]
    facts += [{text: number} for text, number in zip(HOSTILE, range(20), strict=False)]
    asked = [
        MetadataFilter(key, [value] if operator in {"in", "nin", "any", "all"} else value, operator)
        for operator in FilterOperator
        for key in [*HOSTILE[:3], "\x00", "list"]
        for value in [*HOSTILE[:3], "\x00", "\ud800"]
    ]
    check(stores, facts, asked)


def test_numbers_are_compared_by_value_whatever_their_form(stores):
    numbers = [2**53, 2**53 + 1, 2.0**53, 2**62, 2.0**62, 2**63 - 1, 2**63, 10**400, 0.1, -0.0]
    numbers += [0, 1, 1.0, True, 1e300, 5e-324, float(2**62) - 512]
    asked = [
        MetadataFilter("n", value, operator)
        for operator in ("==", "!=", "<", ">=")
        for value in [*numbers, float("inf"), -float("inf")]
        if not (isinstance(value, bool) and operator in {"<", ">="})
    ]
    check(stores, [{"n": number} for number in numbers], asked)


def test_a_megabyte_of_key_and_value(stores):
    CASES["test_a_megabyte_of_key_and_value"](stores)


def test_a_thousand_conditions_and_ten_thousand_values(stores):
    CASES["test_a_thousand_conditions_and_ten_thousand_values"](stores)


def test_a_filter_a_thousand_deep_is_refused(stores):
    conditions = {"key": "n", "value": 1, "operator": "=="}

    class Foreign:
        def __init__(self, **facts):
            self.__dict__.update(facts)

    one = Foreign(**conditions)
    for _ in range(1000):
        one = Foreign(filters=[one], condition="and")
    with pytest.raises(ConfigError, match="nested"):
        found(stores[0], one)


def test_nothing_a_filter_says_becomes_sql(stores):
    """A filter that would drop the tables, or hold always, finds what it says: nothing."""
    (store,) = stores
    attack = "x' OR TRUE; DROP TABLE nodes; --"
    check(stores, [{"a": 1}, {"%(f0)s": 1}, {attack: attack}], [
        MetadataFilter(attack, attack), MetadataFilter("%(f0)s", 1), MetadataFilter("a", attack),
        MetadataFilters([MetadataFilter("%s", "%s")], "not"),
    ])  # fmt: skip
    assert store.verify() == []
