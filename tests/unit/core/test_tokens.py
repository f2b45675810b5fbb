"""The estimate of tokens: sound offsets, and never too low."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import itertools
import json
import os
import pydoc_data.topics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.tokens import EstimatedMeasure, TokenMeasure

# Article 1 of the Universal Declaration of Human Rights, mostly.
SAMPLES = {
    "English": "\n\n".join(pydoc_data.topics.topics.values())[:60_000],
    "code": inspect.getsource(argparse),
    "JSON": json.dumps(
        [{"id": n, "value": n / 7, "tags": ["a", "b"]} for n in range(400)], indent=1
    ),
    "CSV": "\n".join(f"{n},{n / 13:.6f},{n * n}" for n in range(600)),
    "hexadecimal": "\n".join(hashlib.md5(bytes([n])).hexdigest() for n in range(200)),
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit "
    "Vernunft und Gewissen begabt. Donaudampfschifffahrtsgesellschaft. " * 30,
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. "
    * 30,
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i praw. " * 30,
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. " * 30,
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm. " * 30,
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. " * 30,
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια. " * 30,
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا. " * 30,
    "Hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. " * 30,
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। " * 30,
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ " * 30,
    "Amharic": "የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው። " * 30,
    "Burmese": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ " * 30,
    "Chinese": "人人生而自由，在尊严和权利上一律平等。" * 30,
    "Japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 30,
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 30,
    "emoji": "😀🎉👩‍👩‍👧‍👦🏳️‍🌈 hi " * 60,
    "chemistry": "acetylsalicylic hydroxychloroquine deoxyribonucleic gastroenterology " * 30,
}
PIECE = 256


def pieces(text: str) -> list[str]:
    """Cut a text into pieces of so many estimated tokens."""
    starts = EstimatedMeasure().offsets([text])[0][:, 0]
    cuts = [*starts[::PIECE], len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_estimate_is_never_below_the_word_pieces_of_bert(kind: str, bert_vocabulary):
    counts = [
        len(one.ids)
        for one in bert_vocabulary.encode_batch(pieces(SAMPLES[kind]), add_special_tokens=False)
    ]
    assert max(counts) <= PIECE


@pytest.mark.llama_index
@pytest.mark.parametrize("kind", SAMPLES)
def test_the_estimate_is_never_below_the_byte_pairs_of_openai(kind: str, cl100k):
    counts = [len(cl100k.encode_ordinary(piece)) for piece in pieces(SAMPLES[kind])]
    assert max(counts) <= PIECE


def test_the_estimate_of_english_prose_is_no_more_than_double(bert_vocabulary):
    text = SAMPLES["English"]
    true = len(bert_vocabulary.encode(text, add_special_tokens=False).ids)
    assert len(EstimatedMeasure().offsets([text])[0]) < 2 * true


@pytest.fixture(scope="module")
def bert_vocabulary():
    """The bundled model's tokenizer, which has BERT's vocabulary."""
    from tokenizers import Tokenizer

    import nearfield

    folder = Path(nearfield.__file__).parent / "bundled"
    tokenizer = Tokenizer.from_file(str(next(folder.rglob("tokenizer.json"))))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def cl100k():
    """OpenAI's tokenizer, whose data LlamaIndex carries."""
    import llama_index.core
    import tiktoken

    folder = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TIKTOKEN_CACHE_DIR", str(folder))
        yield tiktoken.get_encoding("cl100k_base")


def test_it_is_a_measure_that_says_it_is_an_estimate():
    measure = EstimatedMeasure(special_tokens=3)
    assert isinstance(measure, TokenMeasure)
    assert (measure.exact, measure.special_tokens) == (False, 3)


@given(st.text(max_size=200))
def test_offsets_are_in_order_and_cover_all_but_spaces(text: str):
    offsets = EstimatedMeasure().offsets([text])[0]
    assert offsets.dtype == np.int32
    assert offsets.shape == (len(offsets), 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    assert (np.diff(starts) >= 0).all()
    assert (starts < ends).all()
    covered = np.zeros(len(text), bool)
    for start, end in offsets:
        covered[start:end] = True
    assert not "".join(char for char, seen in zip(text, covered, strict=True) if not seen).strip(
        " \t"
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("the", 1),
        ("table", 2),
        ("tables", 3),
        ("a b", 2),
        ("a    b", 3),
        ("12", 2),
        ("aB", 2),
    ],
)
def test_counts_are_as_the_rule_says(text: str, count: int):
    assert len(EstimatedMeasure().offsets([text])[0]) == count
