"""Which words of a text a search finds it by."""

import pytest

from nearfield.core.words import matching_spans


def found(text, query):
    return [text[start:end] for start, end in matching_spans(text, query)]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("The cats sleep; a CAT slept.", "cat sleeping", ["cats", "sleep", "CAT"]),
        ("We met in the Café.", "cafe", ["Café"]),
        ("我喜欢火星 and mars 火星。", "火星 mars", ["火星", "mars", "火星"]),
        (" a  b 火 c 火星", "火星 c", ["c", "火星"]),
        ("🦓 zebra 🦓 stripes", "stripe", ["stripes"]),
        ("half a pair \ud800 mars", "mars", ["mars"]),
        ("marks \ue000 of ours \ue001 mars", "mars", ["mars"]),
        ("re\u0301sume\u0301 sent", "resume", ["re\u0301sume\u0301"]),
        ("राजधानी दिल्ली है", "दिल्ली", ["दिल्ली"]),
        ("เรากินข้าว ไหม", "ข้าว", ["ข้าว"]),
        ("one two", "three", []),
        ("one two", "?!", []),
        ("", "one", []),
    ],
)
def test_the_words_are_those_the_index_matches(text, query, words):
    assert found(text, query) == words
