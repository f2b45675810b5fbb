"""Conditions typed into a form, made into filters by ``page/conditions.py``."""

import pytest

from nearfield.server.page.conditions import Condition, filters_of

YES = [
    ("==", "kitchen", "kitchen"),
    ("==", "3", 3),
    ("==", "3", "3"),
    ("==", "3.5", 3.5),
    ("==", "true", True),
    ("==", "true", "true"),
    ("!=", "3", 4),
    ("in", "a, b", "b"),
    ("in", "1, 2", 2),
    ("has", "KITCH", "the kitchen"),
    ("has", "3", [1, 2, 3]),
    (">", "1999", 2000),
    (">=", "2000", 2000),
    ("<", "m", "abc"),
    ("<=", "2.5", 2),
    ("is_empty", "", None),
    ("is_empty", "", ""),
]
NO = [
    ("==", "kitchen", "Kitchen"),
    ("==", "3", 4),
    ("==", "true", 1),
    ("!=", "3", 3),
    ("!=", "3", "3"),
    ("in", "a, b", "c"),
    ("has", "kitchen", "the garden"),
    (">", "1999", "2000"),
    ("<", "nan", 1),
    ("is_empty", "", 0),
]


@pytest.mark.parametrize(("operator", "typed", "value"), YES)
def test_a_condition_holds(operator, typed, value):
    assert filters_of([Condition("key", operator, typed)]).matches({"key": value})


@pytest.mark.parametrize(("operator", "typed", "value"), NO)
def test_a_condition_does_not_hold(operator, typed, value):
    assert not filters_of([Condition("key", operator, typed)]).matches({"key": value})


def test_no_condition_is_no_filter():
    assert filters_of([]) is None


def test_all_must_hold_or_one():
    conditions = [Condition("a", "==", "1"), Condition("b", "==", "2")]

    assert not filters_of(conditions).matches({"a": 1, "b": 3})
    assert filters_of(conditions, "or").matches({"a": 1, "b": 3})
