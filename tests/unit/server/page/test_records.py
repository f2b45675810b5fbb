"""What the page is told of a result, by ``page/records.py``."""

import json

import pytest

from nearfield.core.schema import Node, NodeWithScore
from nearfield.server.page.records import (
    SHOWN_CHARACTERS,
    as_result,
    facts_of,
    file_of,
    passage,
    window,
)


@pytest.mark.parametrize("length", [0, 10, SHOWN_CHARACTERS, 100_000])
@pytest.mark.parametrize("start", [0, 9, 1_500, 99_000])
def test_the_window_is_short_and_has_the_best_sentence(length, start):
    first, last = window(length, (start, start + 50) if start < length else None)

    assert 0 <= first <= last <= length
    assert last - first == min(length, SHOWN_CHARACTERS)
    assert start >= length or first <= start < last


def test_places_count_from_the_beginning_of_what_is_shown():
    text = "x" * 5_000 + "This is it." + "y" * 5_000
    record = passage(text, (5_000, 5_011))

    first, last = record["best"]
    assert record["text"][first:last] == "This is it."
    assert record["text_start"] == text.index(record["text"])
    assert record["length"] == len(text)


def test_half_a_character_pair_can_be_sent():
    node = Node("a\ud800b", document_id="d\udfff", metadata={"k\ud800": "v\ud800"})
    record = as_result(NodeWithScore(node, 1.0), 1)

    assert json.dumps(record, ensure_ascii=False).encode("utf-8")
    assert record["text"] == "a\ufffdb"


def test_metadata_is_short_and_plain():
    facts = facts_of(
        {"list": [1, "two"], "long": "x" * 9_999, "huge": 10**30, "yes": True, "none": None}
        | {f"key {n}": n for n in range(99)}
    )

    assert facts["list"] == '[1, "two"]'
    assert len(facts["long"]) == 200
    assert facts["huge"] == "1" + "0" * 30  # a number that JavaScript would round
    assert facts["yes"] is True
    assert facts["none"] is None
    assert len(facts) == 24


def test_a_document_without_a_name_is_called_by_its_file():
    nameless = Node("x", document_id="doc-0123", metadata={"file_name": "a.txt"})

    assert file_of(nameless) == "a.txt"
    assert file_of(Node("x", document_id="notes/b.txt")) == "notes/b.txt"
