"""Search by words: what counts as one, and that nothing typed is an operator."""

import sqlite3
import unicodedata
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.core import words

TEXTS = [
    "The quick brown fox",
    "foxes running in the café",
    "信息检索系统很好",
    "日本語のテキスト検索",
    "foo_bar AND baz",
    "a\x00b nul \ud800 lone",
    "भारत की राजधानी दिल्ली है",
    "कमल का फूल दलदल में",
    "שָׁלוֹם עולם",
    "เรากินข้าว",
    "นกบินไป",
]


@pytest.fixture(scope="module")
def index():
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        connection.execute(words.SCHEMA)
        words.add_words(connection, enumerate(TEXTS))
        yield connection


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("fox", {0, 1}),
        ("RUN", {1}),
        ("cafe", {1}),
        ("检索", {2}),
        ("索检", set()),
        ("検索", {3}),
        ("好", {2}),
        ("foo_bar", {4}),
        ("and", {4}),
        ("nul", {5}),
        ("दिल्ली", {6}),
        ("भारत?", {6}),
        ("दलदल।", {7}),
        ("שָׁלוֹם", {8}),
        ("שָׁם", set()),
        ("กิน", {9}),
        ("บิน", {10}),
        ("ข้าว", {9}),
        ("\u0e31", set()),
        ("absent", set()),
        ("", set()),
        (" \x00 ", set()),
    ],
)
def test_words_find_their_texts(index, query, rows):
    assert {row for row, _ in words.find_words(index, query, 10)} == rows


def test_accents_written_apart_part_no_word():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(words.SCHEMA)
        words.add_words(connection, enumerate(["Mon résumé", "résume\u0301", "re sume unrelated"]))
        for form in ("NFC", "NFD"):
            query = unicodedata.normalize(form, "résumé")
            assert {row for row, _ in words.find_words(connection, query, 9)} == {0, 1}


def test_the_best_come_first_and_scores_fall(index):
    found = words.find_words(index, "quick fox", 10)
    assert [row for row, _ in found] == [0, 1]
    assert found[0][1] > found[1][1] > 0


def test_only_some_rows_may_be_asked_for(index):
    assert [row for row, _ in words.find_words(index, "fox", 10, among=[1, 2])] == [1]
    assert words.find_words(index, "fox", 10, among=[]) == []


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_nothing_typed_is_an_error(index, text):
    words.find_words(index, text, 3)


@pytest.mark.parametrize(
    "text",
    ['"', 'fox"', "fox OR", "NEAR(fox", "text:fox", "fox*", "^fox", "-fox", "(fox", "fox" * 9**6],
)
def test_operators_are_words(index, text):
    words.find_words(index, text, 3)


def test_a_text_taken_out_is_found_no_more():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(words.SCHEMA)
        words.add_words(connection, enumerate(TEXTS))
        words.remove_words(connection, enumerate(TEXTS))
        for text in TEXTS:
            assert words.find_words(connection, text, 9) == []


def test_the_words_of_one_transaction_become_one_segment_in_older_indexes_too():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(words.SCHEMA)  # as FTS5 makes it, without settings of ours
        connection.execute("BEGIN")
        # More than the 1 MiB that FTS5 gathers by default.
        words.add_words(connection, ((n, f"common word{n} of{n % 999}") for n in range(60_000)))
        connection.execute("COMMIT")
        segments = "SELECT count(DISTINCT segid) FROM words_idx"
        assert connection.execute(segments).fetchone() == (1,)
        assert words.find_words(connection, "word59999", 1)[0][0] == 59_999


def test_a_word_index_in_memory_follows_what_is_written():
    index = words.WordIndex()
    assert index.find("fox", 3, None) == []
    index.extend(2, lambda start: list(enumerate(TEXTS))[start:2])
    assert [row for row, _ in index.find("fox", 3, None)] == [0, 1]
    index.remove([(0, TEXTS[0]), (4, TEXTS[4])])
    index.extend(5, lambda start: list(enumerate(TEXTS))[start:5])
    assert [row for row, _ in index.find("fox baz", 3, None)] == [4, 1]
    index.close()
    assert index.find("fox", 3, None) == []


def test_more_may_be_asked_for_than_sqlite_can_count(index):
    assert words.find_words(index, "fox", 1 << 70) == words.find_words(index, "fox", 100)
