"""Metadata is kept as it is, or refused by name."""

import datetime as dt

import pytest

from nearfield.core.metadata import decode_metadata, encode_metadata
from nearfield.core.schema import content_hash
from nearfield.errors import ConfigError


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"a": 1, "b": 0.1 + 0.2, "c": True, "d": None, "e": [1, [2]], "f": {"g": ""}},
        {"\x00'\"\\": "\ud800 \U0001f600", "": 2**200},
    ],
)
def test_facts_read_back_the_same(facts):
    written = encode_metadata(facts, "it")
    assert written.isascii()
    assert decode_metadata(written) == facts


def test_tuples_become_lists():
    assert decode_metadata(encode_metadata({"a": (1, 2)}, "it")) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"when": dt.date(2024, 1, 1)}, "'when' of document 'x' is of type date"),
        ({"x": [float("inf")]}, "'x' of document 'x' is inf"),
        ({"x": {2: 3}}, "2"),
        ({"x": {1, 2}}, "set"),
        ("facts", "The metadata of document 'x' is facts by name, not str. Write"),
    ],
)
def test_what_json_cannot_say_is_refused_by_name(facts, reason):
    with pytest.raises(ConfigError, match=reason):
        encode_metadata(facts, "document 'x'")


def test_nesting_has_an_end():
    facts = {}
    for _ in range(100_000):
        facts = {"a": facts}
    with pytest.raises(ConfigError, match="nested more than 64"):
        encode_metadata(facts, "it")
    while facts:  # let go of it without recursion
        facts = facts.pop("a")


def endless():
    facts = {}
    facts["itself"] = facts
    return facts


def deep():
    facts = {}
    for _ in range(100_000):
        facts = {"in": facts}
    return facts


@pytest.mark.parametrize("make", [endless, deep, lambda: {"a": 1, 2: "b"}])
def test_facts_that_json_cannot_say_have_no_hash_and_say_why(make):
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        content_hash("text", make())
