"""What conditions on metadata mean, and which make no sense."""

from types import SimpleNamespace

import numpy as np
import pytest

from nearfield.core.filter_forms import as_filters
from nearfield.core.filters import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from nearfield.errors import ConfigError

FACTS = {
    "lang": "en",
    "year": 2020,
    "score": 0.5,
    "draft": False,
    "tags": ["a", "b", 3],
    "none": None,
    "empty": "",
    "nothing": [],
    "deep": {"a": 1},
    "a.b": "dotted",
}


@pytest.mark.parametrize(
    ("key", "operator", "value", "holds"),
    [
        ("lang", "==", "en", True),
        ("lang", "==", "EN", False),
        ("year", "==", 2020.0, True),
        ("year", "==", "2020", False),
        ("draft", "==", False, True),
        ("draft", "==", 0, False),
        ("year", "==", True, False),
        ("a.b", "==", "dotted", True),
        ("lang", "!=", "de", True),
        ("lang", "!=", "en", False),
        ("missing", "!=", "de", False),
        ("none", "!=", "de", False),
        ("tags", "!=", "a", True),
        ("year", "<", 2021, True),
        ("year", "<", 2020, False),
        ("year", "<=", 2020, True),
        ("score", ">", 0.4, True),
        ("score", ">=", 0.5, True),
        ("lang", "<", "f", True),
        ("lang", ">", 1, False),
        ("draft", "<", 1, False),
        ("missing", "<", 1, False),
        ("lang", "in", ["de", "en"], True),
        ("lang", "in", [], False),
        ("lang", "nin", ["de"], True),
        ("lang", "nin", [], True),
        ("missing", "nin", ["de"], False),
        ("tags", "contains", "a", True),
        ("tags", "contains", 3.0, True),
        ("tags", "contains", "3", False),
        ("lang", "contains", "n", True),
        ("year", "contains", 2020, True),
        ("missing", "contains", "a", False),
        ("tags", "any", ["x", "b"], True),
        ("tags", "any", ["x"], False),
        ("lang", "any", ["en"], True),
        ("lang", "any", ["e"], False),
        ("tags", "all", ["a", 3], True),
        ("tags", "all", ["a", "x"], False),
        ("tags", "all", [], True),
        ("missing", "all", [], False),
        ("missing", "is_empty", None, True),
        ("none", "is_empty", None, True),
        ("empty", "is_empty", None, True),
        ("nothing", "is_empty", None, True),
        ("lang", "is_empty", None, False),
        ("draft", "is_empty", None, False),
        ("deep", "is_empty", None, False),
        ("lang", "text_match", "n", True),
        ("lang", "text_match", "N", False),
        ("lang", "text_match_insensitive", "N", True),
        ("tags", "text_match", "a", False),
    ],
)
def test_a_condition_means_what_the_table_says(key, operator, value, holds):
    assert MetadataFilter(key, value, operator).matches(FACTS) is holds


def test_whole_numbers_beyond_64_bits_compare_as_floats():
    assert MetadataFilter("n", 2**70).matches({"n": 2**70 + 1})
    assert MetadataFilter("n", 10**400, "<").matches({"n": -(10**400)})
    assert not MetadataFilter("n", 2**62).matches({"n": 2**62 + 1})


def test_groups_join_conditions():
    yes, no = MetadataFilter("lang", "en"), MetadataFilter("lang", "de")
    assert MetadataFilters([yes, yes]).matches(FACTS)
    assert not MetadataFilters([yes, no]).matches(FACTS)
    assert MetadataFilters([yes, no], "or").matches(FACTS)
    assert not MetadataFilters([yes, no], "not").matches(FACTS)
    assert MetadataFilters([no, no], FilterCondition.NOT).matches(FACTS)
    assert MetadataFilters([yes, MetadataFilters([no], "not")]).matches(FACTS)


def test_empty_groups_are_as_logic_has_it():
    assert MetadataFilters([]).matches({})
    assert not MetadataFilters([], "or").matches({})
    assert MetadataFilters([], "not").matches({})


@pytest.mark.parametrize(
    ("key", "operator", "value"),
    [
        (1, "==", 1),
        ("a", "~", 1),
        ("a", "==", None),
        ("a", "==", [1]),
        ("a", "==", {"b": 1}),
        ("a", "==", float("nan")),
        ("a", "<", True),
        ("a", "in", "text"),
        ("a", "in", [None]),
        ("a", "any", 1),
        ("a", "in", list(range(10_001))),
        ("a", "text_match", 1),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(key, operator, value):
    with pytest.raises(ConfigError):
        MetadataFilter(key, value, operator)


def test_groups_too_deep_or_too_large_are_refused_without_recursion():
    def nest(times):
        group = MetadataFilter("a", 1)
        for _ in range(times):
            group = MetadataFilters([group])

    nest(32)
    with pytest.raises(ConfigError, match="33 deep"):
        nest(100_000)
    with pytest.raises(ConfigError, match="1001 conditions"):
        MetadataFilters([MetadataFilter("a", 1)] * 1001)
    with pytest.raises(ConfigError, match="holds"):
        MetadataFilters(["a"])
    with pytest.raises(ConfigError, match="condition"):
        MetadataFilters([], "xor")


def test_numpy_numbers_are_numbers():
    assert MetadataFilter("year", np.int64(2020)).matches(FACTS)
    assert MetadataFilter("score", np.float32(0.5)).matches(FACTS)
    assert MetadataFilter("draft", np.bool_(False)).matches(FACTS)


def test_a_dictionary_means_that_all_are_equal():
    assert as_filters({"lang": "en", "year": [2019, 2020]}).matches(FACTS)
    assert not as_filters({"lang": "en", "year": [2019]}).matches(FACTS)
    assert as_filters(None) is None


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"year": {"$eq": 2020}}, "MetadataFilter('year', ..., '==')"),
        ({"year": {"$ne": 2020}}, "MetadataFilter('year', ..., '!=')"),
        ({"year": {"$gte": 2000, "$lt": 2010}}, "MetadataFilter('year', ..., '>=')"),
        ({"lang": {"$in": ["en"]}}, "MetadataFilter('lang', ..., 'in')"),
        ({"lang": {"$nin": ["en"]}}, "MetadataFilter('lang', ..., 'nin')"),
        ({"lang": {"$regex": "e"}}, "MetadataFilter('lang', VALUE, OPERATOR)"),
        ({"lang": {"is": "en"}}, "MetadataFilter('lang', VALUE, OPERATOR)"),
        ({"$and": [{"a": 1}, {"b": 2}]}, "MetadataFilters([...], 'and')"),
        ({"$or": [{"a": 1}, {"b": 2}]}, "MetadataFilters([...], 'or')"),
    ],
)
def test_filters_as_chroma_writes_them_are_told_how_they_are_written_here(given, ours):
    with pytest.raises(ConfigError) as caught:
        as_filters(given)

    assert str(caught.value).endswith(f"Write {ours}.")


def test_a_key_may_begin_with_a_dollar():
    assert as_filters({"$price": 3}).matches({"$price": 3})


def test_objects_written_like_those_of_llamaindex_are_taken():
    leaf = SimpleNamespace(key="year", value=2000, operator=SimpleNamespace(value=">"))
    group = SimpleNamespace(filters=[leaf], condition=SimpleNamespace(value="not"))
    assert as_filters(leaf).matches(FACTS)
    assert not as_filters(SimpleNamespace(filters=[group], condition=None)).matches(FACTS)
    with pytest.raises(ConfigError):
        as_filters(42)
    circle = SimpleNamespace(filters=[], condition=None)
    circle.filters.append(circle)
    with pytest.raises(ConfigError, match="deep"):
        as_filters(circle)


@pytest.mark.llama_index
def test_the_objects_of_llamaindex_itself_are_taken():
    from llama_index.core.vector_stores import types as theirs

    assert {operator.value for operator in theirs.FilterOperator} <= set(FilterOperator)
    given = theirs.MetadataFilters(
        filters=[
            theirs.MetadataFilter(key="year", value=2000, operator=theirs.FilterOperator.GT),
            theirs.MetadataFilters(
                filters=[theirs.MetadataFilter(key="lang", value="de")],
                condition=theirs.FilterCondition.NOT,
            ),
        ]
    )
    assert as_filters(given).matches(FACTS)
    assert not as_filters(given).matches({"year": 2001, "lang": "de"})
