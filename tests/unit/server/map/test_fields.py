"""What points can be coloured by."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.server.map.fields import (
    MOST_CATEGORIES,
    MOST_KEYS,
    NONE,
    OTHER,
    TOP,
    Values,
    categorise,
    folders,
)


def fields_of(documents, facts=()):
    values = Values()
    facts = facts or [{} for _ in documents]
    for each in facts:
        values.add(each)
    return {field.name: field for field in values.fields(documents)}


def test_folders_are_seen_from_where_the_paths_part():
    assert folders(["w/docs/a/one.md", "w/docs/b/two.md"]) == ["a", "b"]


def test_the_fullest_folders_are_parted_as_long_as_there_are_few():
    names = [f"notes/{kind}/{n}" for kind in ("a", "b") for n in range(9)]
    many = [f"log/{n}/x" for n in range(30)]

    assert folders([*names, "notes/top", "p", "s/x"]) == [
        *(["notes/a"] * 9),
        *(["notes/b"] * 9),
        "notes/",
        TOP,
        "s",
    ]
    assert folders([*names, *many])[-30:] == ["log"] * 30
    assert len(set(folders(many))) == 30


def test_a_document_beside_the_folders_is_in_the_top_folder():
    assert folders(["docs/a.md", "docs/deep/b.md", "docs\\win\\c.md"]) == [TOP, "deep", "win"]
    assert folders(["one", "two"]) == [TOP, TOP]
    assert folders([]) == []


def test_the_largest_categories_come_first_and_equal_ones_by_name():
    field = categorise("x", ["b", "a", "c", "b", "a", "b"])

    assert field.labels == ["b", "a", "c"]
    assert field.counts == [3, 2, 1]
    assert field.codes.tolist() == [0, 1, 2, 0, 1, 0]
    assert field.codes.dtype == np.uint8


def test_many_categories_are_cut_to_a_dozen_with_the_rest_together():
    values = [f"v{n:02}" for n in range(30) for _ in range(40 - n)]

    field = categorise("x", values)

    assert len(field.labels) == MOST_CATEGORIES
    assert field.labels[0] == "v00"
    assert field.labels[-1] == OTHER
    assert sum(field.counts) == len(values)
    assert np.bincount(field.codes).tolist() == field.counts


def test_a_fact_that_is_the_same_for_all_or_another_for_each_is_no_field():
    assert categorise("x", ["a"] * 5) is None
    assert categorise("x", [f"id-{n}" for n in range(1000)]) is None


def test_what_has_no_value_is_a_category_too():
    field = categorise("x", ["a", None, "a"])

    assert dict(zip(field.labels, field.counts, strict=True)) == {"a": 2, NONE: 1}


def test_truth_and_number_are_two_things():
    assert sorted(categorise("x", [True, 1, 1.0]).labels) == ["1", "True"]


def test_many_numbers_are_sorted_into_ranges_from_low_to_high():
    numbers = list(range(1990, 2020)) * 3

    field = categorise("year", numbers)

    assert field.labels[0] == "1990 to 1994"
    assert field.labels[-1].endswith("2019")
    assert sum(field.counts) == 90
    borders = [int(label.split(" to ")[1]) for label in field.labels]
    assert [int(np.searchsorted(borders, n)) for n in numbers] == field.codes.tolist()


def test_labels_are_one_short_line():
    field = categorise("x", ["a\nb  c", "y" * 500, ""])

    assert sorted(map(len, field.labels)) == [2, 5, 60]


def test_points_without_a_number_are_apart_from_the_ranges():
    field = categorise("year", [*range(1990, 2020), None, None])

    assert field.labels[-1] == NONE
    assert (field.counts[-1], field.codes[-1]) == (2, len(field.labels) - 1)
    assert categorise("x", [*([0] * 1000), *range(1, 20)]).labels == ["0", "1 to 19"]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, None])
def test_facts_that_are_no_categories_are_passed_over(value):
    assert "x" not in fields_of(["a", "b"], [{"x": value}, {"x": value}])


def test_facts_that_come_late_or_stop_early_are_none_elsewhere():
    fields = fields_of(["d"] * 4, [{"early": "e"}, {}, {"late": "l"}, {"late": "l"}])

    assert fields["early"].codes.tolist() == [1, 0, 0, 0]
    assert fields["late"].codes.tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])


def test_the_number_of_facts_is_bounded():
    facts = [{f"k{n}": (row >> (n % 7)) * n % 3 for n in range(100)} for row in range(300)]

    assert len(fields_of(["d"] * 300, facts)) <= MOST_KEYS


def test_a_fact_that_says_the_same_as_another_is_left_out():
    fields = fields_of(
        ["a", "b", "b"], [{"file_name": "A"}, {"file_name": "B"}, {"file_name": "B"}]
    )

    assert list(fields) == ["document"]


def test_folder_and_document_come_first():
    names = list(fields_of(["x/a", "y/b", "y/c", "y/c"], [{"lang": "en"}, {"lang": "de"}, {}, {}]))

    assert names == ["folder", "document", "lang"]
