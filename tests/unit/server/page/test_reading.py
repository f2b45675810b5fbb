"""How a model reads a text, told by ``page/reading.py``."""

import numpy as np
import pytest

from nearfield.runtime.prompts import Prompts
from nearfield.server.page.reading import prompt_of, read


class Words:
    """A measure that counts words."""

    exact = True
    special_tokens = 2
    cuts_left = False

    def offsets(self, texts):
        found = []
        for text in texts:
            places, here = [], 0
            for word in text.split():
                start = text.index(word, here)
                here = start + len(word)
                places.append((start, here))
            found.append(np.array(places, np.int32).reshape(-1, 2))
        return found


class Model:
    """The part of a model that is looked at."""

    def __init__(self, max_tokens=None, prompts=None, measure=None):
        self.max_tokens = max_tokens
        self.measure = Words() if measure is None else measure
        if prompts is not None:
            self.applied_prompts = prompts


def test_a_short_text_is_read_whole():
    reading = read(Model(max_tokens=10), "one two three", "document")

    assert (reading.tokens, reading.cut) == (5, None)
    assert reading.spans == [(0, 3), (4, 7), (8, 13)]


def test_the_tail_over_the_limit_is_cut():
    text = "one two three four"
    reading = read(Model(max_tokens=4), text, "document")

    assert reading.tokens == 6
    assert text[slice(*reading.cut)] == "three four"


def test_a_model_that_cuts_on_the_left_loses_the_beginning():
    measure = Words()
    measure.cuts_left = True
    text = "one two three four"

    assert text[slice(*read(Model(4, measure=measure), text, "document").cut)] == "one two "


def test_the_prompt_takes_room_and_has_no_place_in_the_text():
    model = Model(max_tokens=6, prompts=Prompts(query="", document="passage: "))
    text = "one two three four five"
    reading = read(model, text, "document")

    assert reading.prompt == "passage: "
    assert reading.tokens == 8
    assert text[slice(*reading.cut)] == "four five"
    assert reading.spans[0] == (0, 3)


@pytest.mark.parametrize("kind", ["query", "document"])
def test_a_model_that_says_no_prompt_has_none(kind):
    assert prompt_of(Model(), kind) == ""


def test_without_a_tokenizer_nothing_is_counted():
    model = Model(max_tokens=5)
    model.measure = None
    reading = read(model, "one two", "query")

    assert (reading.tokens, reading.spans, reading.exact) == (None, [], False)


def test_an_empty_text_has_no_tokens_of_its_own():
    reading = read(Model(max_tokens=5), "", "document")

    assert (reading.tokens, reading.spans, reading.cut) == (2, [], None)
