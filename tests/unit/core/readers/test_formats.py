"""The text that is made of a file, by its kind."""

from __future__ import annotations

import csv
import json

import pytest

from nearfield.core.readers.formats import FormatError, parts_of
from nearfield.core.readers.html import html_text


def texts(text: str, ending: str) -> list[str]:
    return [part.text for part in parts_of(text, ending)]


@pytest.mark.parametrize("ending", [".txt", ".md", ".rst", ".py", ".unheard-of", ""])
def test_text_and_source_code_are_taken_as_they_are(ending):
    text = "  One\r\n\ttwo  \n"
    assert texts(text, ending) == [text]


# Tables.


def test_each_row_of_a_table_is_a_part_with_its_names():
    parts = list(parts_of('name,said\nAda,"Hello, you"\n\nBob,\n', ".csv"))
    assert [(part.number, part.text) for part in parts] == [
        (1, "name: Ada\nsaid: Hello, you"),
        (2, "name: Bob"),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found_in_the_first_line(delimiter):
    text = delimiter.join(["name", "age"]) + "\n" + delimiter.join(["Ada", "36"]) + "\n"
    assert texts(text, ".csv") == ["name: Ada\nage: 36"]


@pytest.mark.parametrize(
    "text",
    [
        '"Last, first, middle";age\n"Ada, A., L.";36\n',
        "\n\r\nname;age\nAda;36\n",
        "sep=;\r\nname;age\r\nAda;36\r\n",
    ],
)
def test_what_stands_before_or_around_the_delimiter_is_none(text):
    (row,) = texts(text, ".csv")
    assert row.endswith("\nage: 36")


def test_cells_without_a_name_are_numbered():
    assert texts("a,\n1,2,3\n", ".csv") == ["a: 1\ncolumn 2: 2\ncolumn 3: 3"]


def test_a_cell_may_be_longer_than_the_csv_module_allows_by_default():
    before = csv.field_size_limit(131_072)
    try:
        long = "x" * 200_000
        assert texts(f"a,b\n{long},2\n", ".csv") == [f"a: {long}\nb: 2"]
    finally:
        csv.field_size_limit(before)


def test_a_name_repeated_for_a_million_rows_is_refused_before_it_fills_the_memory():
    text = "n" * 100_000 + "\n" + "1\n" * 100_000
    with pytest.raises(FormatError, match="16 times its length"):
        texts(text, ".csv")


# JSON.


def test_json_becomes_lines_of_names_and_values():
    value = {"a": {"b": [1, 2.50, True, None, ""]}, "c": "text"}
    assert texts(json.dumps(value), ".json") == ["a.b[0]: 1\na.b[1]: 2.5\na.b[2]: true\nc: text"]


def test_numbers_stay_as_they_are_written():
    assert texts('{"a": 1.10, "b": 12345678901234567890.0}', ".json") == [
        "a: 1.10\nb: 12345678901234567890.0"
    ]
    digits = "9" * 10_000
    assert texts(f'{{"a": {digits}}}', ".json") == [f"a: {digits}"]


def test_a_json_list_of_objects_is_a_part_for_each():
    parts = list(parts_of('[{"a": 1}, {"a": 2}]', ".json"))
    assert [(part.number, part.text) for part in parts] == [(1, "a: 1"), (2, "a: 2")]


def test_a_json_list_of_values_is_one_part():
    assert texts('["one", "two"]', ".json") == ["[0]: one\n[1]: two"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_nested_out_of_measure_is_refused(text):
    with pytest.raises(FormatError, match="nested too deeply"):
        texts(text, ".json")


def test_long_names_over_many_values_are_refused_before_they_fill_the_memory():
    value: dict = {"n" * 100_000: [0] * 100_000}
    with pytest.raises(FormatError, match="16 times its length"):
        texts(json.dumps(value), ".json")


def test_what_is_no_json_is_refused_with_the_place():
    with pytest.raises(FormatError, match=r"not JSON.*line 1 column 2"):
        texts("{nope", ".json")


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson"])
def test_each_json_line_is_a_part(ending):
    parts = list(parts_of('{"a": 1}\n\n{"a": "x y"}\n', ending))
    assert [(part.number, part.text) for part in parts] == [(1, "a: 1"), (2, "a: x y")]


def test_a_bad_json_line_is_named():
    with pytest.raises(FormatError, match="Line 3 is not JSON"):
        texts('{"a": 1}\n\nnope\n', ".jsonl")


# Notebooks.


def test_a_notebook_is_its_cells_without_their_output():
    book = {
        "nbformat": 4,
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
            {"cell_type": "code", "source": "x = 1\n", "outputs": [{"text": "hidden"}]},
            {"cell_type": "code", "source": []},
        ],
    }
    assert texts(json.dumps(book), ".ipynb") == ["# Title\nText.\n\n```python\nx = 1\n```"]


def test_an_old_notebook_is_read_too():
    book = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["y = 2"]}]}]}
    assert texts(json.dumps(book), ".ipynb") == ["```\ny = 2\n```"]


def test_all_sheets_of_an_old_notebook_are_read_and_cells_without_source_are_empty():
    sheets = [{"cells": [{"cell_type": "markdown", "source": one}]} for one in ("a", None, "b")]
    assert texts(json.dumps({"worksheets": sheets}), ".ipynb") == ["a\n\nb"]


@pytest.mark.parametrize(
    "text",
    ["[1]", "{}", "nope", *(f'{{"worksheets": {it}}}' for it in ("[3]", '{"a": 1}', "true", "1"))],
)
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(FormatError):
        texts(text, ".ipynb")


# Pages.

PAGE = """<!DOCTYPE html><html><head><title>A &amp; B</title><style>p {}</style></head>
<body><nav>Menu <a href="x">Home</a></nav><script>if (a < b) { "<p>no</p>" }</script>
<main><h2>Part</h2><p title="a > b">Hello   <b>bold</b>
world, 1 < 2.<br>Next</p><ul><li>one<li>two</ul><pre>
def f():
    return 1</pre></main><footer>Imprint</footer></body></html>"""


def test_a_page_gives_its_main_text():
    text, title = html_text(PAGE)
    assert title == "A & B"
    assert text == (
        "# A & B\n\n## Part\n\nHello bold world, 1 < 2.\nNext\n\n- one\n- two\n\n"
        "def f():\n    return 1"
    )


def test_the_title_is_a_fact_of_the_page():
    (part,) = parts_of(PAGE, ".html")
    assert part.facts == {"title": "A & B"}


def test_a_page_without_a_main_part_gives_its_body_without_margins():
    text, _ = html_text("<nav>Menu</nav><h1>Top</h1><p>Text.<footer>Imprint</footer>")
    assert text == "# Top\n\nText."


def test_articles_that_are_boxes_beside_the_text_are_not_taken_for_it():
    text = "".join(f"<p>In chapter {n} the baker tells how dough is kneaded.</p>" for n in range(9))
    boxes = "<article><p>Read also our story about the best ovens of all.</p></article>" * 4
    shown, _ = html_text(f"<body><div>{text}</div><div>{boxes}</div></body>")
    assert "In chapter 8 the baker" in shown
    whole, _ = html_text(f"<body><article>{text}</article><div>Buy more ovens!</div></body>")
    assert "ovens" not in whole


def test_a_page_of_margins_only_gives_them():
    assert html_text("<nav>Menu that was never closed") == ("Menu that was never closed", "")


@pytest.mark.parametrize("page", ["", "no tags", "<", "a < b & c", "<p", "<!--", "&#xFFFFFFFF;"])
def test_broken_pages_are_read_without_an_error(page):
    html_text(page)


def test_text_after_a_comment_and_in_odd_tags_is_kept():
    assert html_text("<!-- <p>no --><DIV CLASS='a\">b'>Yes</DIV><!x>!")[0] == "Yes\n\n!"


@pytest.mark.parametrize(
    "empty",
    ["<title/>", '<script src="a.js"/>', "<style />", "<svg class='i'/>", "<iframe/>", "<nav/>"],
)
def test_a_tag_that_closes_itself_hides_nothing_of_what_follows(empty):
    page = f"<html><head>{empty}</head><body><p>One.</p>{empty}<p>Two.</p></body></html>"
    assert html_text(page) == ("One.\n\nTwo.", "")


def test_the_head_ends_where_the_text_begins_though_no_tag_says_so():
    page = "<!DOCTYPE html><html><head><title>Bees</title><h1>Bees</h1><p>They make honey."
    assert html_text(page)[0] == "# Bees\n\nThey make honey."


def test_a_character_number_of_ten_thousand_digits_is_left_as_it_is():
    text = "&#" + "9" * 10_000 + ";"
    assert html_text(text)[0] == text


HOSTILE = [
    "<a ",
    "<!--",
    "</",
    "<![CDATA[",
    "<?",
    "<a href='",
    "< ",
    "<script>",
    "<a>",
    "<pre> ",
    "&#",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_page_made_to_hurt_is_read_to_its_end(unit):
    """Were the time to grow with the square of the length, this would take minutes."""
    html_text(unit * (400_000 // len(unit)))
