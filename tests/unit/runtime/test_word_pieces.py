"""The quick way to BERT's word pieces gives what the library gives, or leaves it to the library."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nearfield.runtime import word_pieces as module
from nearfield.runtime.tokenize import TextTokenizer
from nearfield.runtime.word_pieces import word_pieces

MODELS = Path(__file__).parents[2] / "data" / "models"
LIBRARY = Tokenizer.from_file(str(MODELS / "bert" / "tokenizer.json"))
QUICK = word_pieces(LIBRARY)
PLAIN = st.text(st.characters(codec="ascii"), max_size=60)
WORDLIKE = st.text("aZ mars-planet.,'42\t\n_", max_size=60)


@given(st.one_of(PLAIN, WORDLIKE))
def test_plain_text_gives_the_numbers_of_the_library(text):
    found = QUICK.read(text)

    if found is not None:
        assert found == LIBRARY.encode(text, add_special_tokens=False).ids


@given(st.lists(st.one_of(PLAIN, st.text(max_size=40)), max_size=12))
def test_all_texts_are_read_as_without_it(texts):
    quick = TextTokenizer.of_file(MODELS / "bert" / "tokenizer.json")
    slow = TextTokenizer.of_file(MODELS / "bert" / "tokenizer.json")
    slow._words = None

    assert quick.encode(texts) == slow.encode(texts)


def test_ordinary_english_is_read_quickly():
    assert QUICK.read("Mars is the red planet, isn't it?\n") is not None


@pytest.mark.parametrize("text", ["straße", "a\x00b", "a\x7fb", "a\x0bb", "x [MASK] y", "[unused]"])
def test_other_text_is_left_to_the_library(text):
    assert QUICK.read(text) is None


def test_words_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "WORDS_KEPT", 10)
    quick = word_pieces(LIBRARY)

    for number in range(100):
        quick.read(f"mars {number}")

    assert 0 < len(quick) <= 10


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta"])
def test_tokenizers_of_another_kind_have_no_quick_way(name):
    assert word_pieces(Tokenizer.from_file(str(MODELS / name / "tokenizer.json"))) is None


def test_a_cased_tokenizer_keeps_capitals():
    cased = Tokenizer.from_str(LIBRARY.to_str().replace('"lowercase":true', '"lowercase":false'))
    quick = word_pieces(cased)

    assert quick.read("Mars") == cased.encode("Mars", add_special_tokens=False).ids
    assert quick.read("Mars") != quick.read("mars")
