"""Sentences: where they begin and end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.sentences import Break, sentence_spans, sentences


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def test_a_sentence_ends_at_its_mark():
    assert parts("It rains. Does it? It does!") == ["It rains.", "Does it?", "It does!"]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith spoke.",
        "He moved to the U.S. Army base.",
        "J. R. R. Tolkien wrote it.",
        "See Fig. 3 and pp. 12 ff. for it.",
        "Fruit, e.g. Apples, is good.",
        "It costs 3.14 dollars.",
        "He stopped... and went on.",
        "A wrapped line\ngoes on here.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(text: str):
    assert parts(text) == [text]


def test_a_year_at_the_end_ends_a_sentence_but_a_list_number_does_not():
    assert parts("It was in 1999. Then it ended.") == ["It was in 1999.", "Then it ended."]
    assert parts("1. First\n2. Second") == ["1. First", "2. Second"]


def test_no_ends_a_sentence_unless_a_number_follows():
    assert parts("The answer is no. Next one.") == ["The answer is no.", "Next one."]
    assert parts("Take No. 5 there.") == ["Take No. 5 there."]


def test_closing_quotes_stay_with_their_sentence():
    assert parts('He said "Go." Then he left (quickly.) Yes.') == [
        'He said "Go."',
        "Then he left (quickly.)",
        "Yes.",
    ]


def test_scripts_without_spaces_are_parted_at_their_own_marks():
    assert parts("今日は良い天気です。明日は雨でしょう！「はい。」") == [
        "今日は良い天気です。",
        "明日は雨でしょう！",
        "「はい。」",
    ]
    assert parts("यह एक है। वह दो है।") == ["यह एक है।", "वह दो है।"]


def test_an_empty_line_a_list_item_and_a_table_row_each_begin_anew():
    text = "One\n\ntwo\n- three\n| four |\n* five"
    assert parts(text) == ["One", "two", "- three", "| four |", "* five"]


@pytest.mark.parametrize("heading", ["# What? Why", "Title\n=====", "Title\n-----"])
def test_a_heading_is_one_span_that_belongs_to_what_follows(heading: str):
    text = f"Before.\n\n{heading}\nAfter."
    found = list(sentences(text))
    assert [text[one.start : one.end] for one in found] == ["Before.", heading, "After."]
    assert [one.before for one in found] == [Break.PARAGRAPH, Break.HEADING, Break.NEVER]


def test_a_part_of_a_text_keeps_the_places_of_the_whole():
    text = "One. Two. Three."
    assert [(one.start, one.end) for one in sentences(text, 5, 9)] == [(5, 9)]


@pytest.mark.parametrize("text", ["", " \n\t ", "\n\n\n"])
def test_white_space_has_no_sentence(text: str):
    assert sentence_spans(text) == []


@given(st.text(alphabet=st.sampled_from("aA1.!?。 \n#-=|*\"')\u00a0\u3000x"), max_size=80))
def test_spans_are_in_order_trimmed_and_leave_out_white_space_only(text: str):
    spans = sentence_spans(text)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    assert edges == sorted(edges)
    assert all(
        text[start:end] and text[start:end].strip() == text[start:end] for start, end in spans
    )
    between = zip(edges[::2], edges[1::2], strict=True)
    assert all(not text[start:end].strip() for start, end in between)


HOSTILE = [
    "." * 10,
    '. "',
    "\n",
    ". ",
    "\n   ",
    "# ",
    "|\n",
    "\n-",
    "a\n=",
    "。」",
    "=",
    "'",
    "1. ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_long_row_of_anything_is_read_to_its_end(unit: str):
    """Were the time to grow faster than the text, this would take hours."""
    text = unit * (200_000 // len(unit)) + "x"
    assert sentence_spans(text)[-1][1] == len(text)
