"""Texts become the tokens the model was trained on; what is cut is known."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nearfield.core.tokens import TokenMeasure
from nearfield.errors import ModelLoadError
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.tokenize import TextTokenizer

MODELS = Path(__file__).parents[2] / "data" / "models"
ALL = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")
TEXTS = ["mars is red", "", "Café, 東京!", "it is raining " * 30, " spaces  here ", "a"]


def tokenizer_of(name, **options):
    return TextTokenizer.of_folder(read_folder(MODELS / name), **options)


@pytest.mark.torch
@pytest.mark.parametrize("name", ALL)
def test_tokens_are_those_of_transformers(name):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(MODELS / name)
    expected = theirs(TEXTS, truncation=True, max_length=32)["input_ids"]

    assert tokenizer_of(name).encode(TEXTS).ids == expected


@pytest.mark.parametrize("name", ALL)
def test_cut_tokens_are_counted(name):
    whole = tokenizer_of(name, max_tokens=None)
    whole.max_tokens = None
    lengths = [len(ids) for ids in whole.encode(TEXTS).ids]

    tokens = tokenizer_of(name).encode(TEXTS)

    assert tokens.cut == [max(0, length - 32) for length in lengths]
    assert [len(ids) for ids in tokens.ids] == [min(32, length) for length in lengths]


def test_a_text_of_exactly_the_limit_is_not_cut():
    tokenizer = tokenizer_of("bert", max_tokens=12)
    word = "mars "
    room = 12 - tokenizer.special_tokens
    per_word = len(tokenizer.encode([word]).ids[0]) - tokenizer.special_tokens

    fits, over = word * (room // per_word), word * (room // per_word + 1)

    assert tokenizer.encode([fits]).cut == [0]
    assert tokenizer.encode([over]).cut[0] > 0


def test_a_limit_without_room_for_a_text_is_refused():
    with pytest.raises(ModelLoadError, match="leaves no room"):
        tokenizer_of("bert", max_tokens=2)


def test_it_is_a_measure_of_tokens():
    assert isinstance(tokenizer_of("bert"), TokenMeasure)


@pytest.mark.parametrize("name", ALL)
def test_offsets_cover_the_whole_text_whatever_the_limit(name):
    text = "it is raining cats and dogs " * 30

    (places,) = tokenizer_of(name).offsets([text])

    assert len(places) > 32
    assert places[-1, 1] >= len(text.rstrip())
    assert (places[:, 0] <= places[:, 1]).all()
    words = {text[start:end].strip().lower() for start, end in places.tolist()}
    assert all(word in text for word in words)


def test_offsets_count_characters_not_bytes():
    (places,) = tokenizer_of("bert").offsets(["東京 mars"])

    assert "東京 mars"[places[0, 0] : places[0, 1]] in {"東", "東京"}
    assert places[-1, 1] == 7


@pytest.mark.parametrize("text", ["\ud800", "mars \udfff is", "\ud83d \ude80"])
def test_half_a_character_pair_is_read_as_the_replacement_character(text):
    tokenizer = tokenizer_of("bert")
    whole = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)

    assert tokenizer.encode(["ok", text]).ids == tokenizer.encode(["ok", whole]).ids
    assert tokenizer.offsets([text])[0].tolist() == tokenizer.offsets([whole])[0].tolist()


def test_one_thread_gives_the_same_as_many():
    texts = TEXTS * 20

    assert tokenizer_of("bert", threads=1).encode(texts) == tokenizer_of("bert").encode(texts)


def test_one_thread_starts_no_other():
    """Where threads are counted, tokenising must not bring its own."""
    tasks = Path("/proc/self/task")
    script = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from nearfield.runtime.model_folder import read_folder\n"
        "from nearfield.runtime.tokenize import TextTokenizer\n"
        f"tokenizer = TextTokenizer.of_folder(read_folder({str(MODELS / 'bert')!r}), threads=1)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "tokenizer.encode(['mars'] * 1000)\n"
        "tokenizer.offsets(['mars'] * 1000)\n"
        "assert len(os.listdir('/proc/self/task')) == before\n"
    )
    if not tasks.is_dir():
        return  # only Linux tells
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_many_threads_may_share_it():
    tokenizer = tokenizer_of("bert")
    expected = tokenizer.encode(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(tokenizer.encode, [TEXTS] * 64))


def test_it_survives_pickling():
    tokenizer = tokenizer_of("xlm-roberta")

    assert pickle.loads(pickle.dumps(tokenizer)).encode(TEXTS) == tokenizer.encode(TEXTS)


@pytest.mark.parametrize("name", ALL)
def test_the_tokens_of_a_prompt_begin_every_text(name):
    tokenizer = tokenizer_of(name)
    count = tokenizer.prompt_tokens("query: ")

    prompted = tokenizer.encode(["mars", "venus"], "query: ").ids

    assert tokenizer.prompt_tokens("") == 0
    assert count > 1
    assert prompted[0][: count - 1] == prompted[1][: count - 1]


def test_the_side_that_is_cut_is_the_configs(tmp_path):
    copy = tmp_path / "bert"
    shutil.copytree(MODELS / "bert", copy)
    text = "mars " * 40 + "venus"
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"truncation_side": "left"}))

    left = TextTokenizer.of_folder(read_folder(copy)).encode([text]).ids[0]
    venus = tokenizer_of("bert").encode(["venus"]).ids[0]

    assert left[-len(venus) + 1 :] == venus[1:]


def test_the_config_decides_on_lower_case(tmp_path):
    copy = tmp_path / "bert"
    shutil.copytree(MODELS / "bert", copy)
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))

    kept = TextTokenizer.of_folder(read_folder(copy)).encode(["MARS"]).ids
    lowered = tokenizer_of("bert").encode(["MARS"]).ids

    assert kept != lowered
    assert lowered == tokenizer_of("bert").encode(["mars"]).ids


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "bert"])
def test_a_folder_that_asks_for_lower_case_gets_it(name, tmp_path):
    copy = tmp_path / name
    shutil.copytree(MODELS / name, copy)
    sentence = {"max_seq_length": 32, "do_lower_case": True}
    (copy / "sentence_bert_config.json").write_text(json.dumps(sentence))

    tokenizer = TextTokenizer.of_folder(read_folder(copy))

    assert tokenizer.encode(["MARS is RED"]).ids == tokenizer.encode(["mars is red"]).ids


def test_a_damaged_tokenizer_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text('{"version": "1.0", "model"')

    with pytest.raises(ModelLoadError, match=r"tokenizer\.json is damaged"):
        TextTokenizer.of_file(path)


def test_a_tokenizer_that_does_more_than_frame_a_text_is_refused(tmp_path):
    definition = json.loads((MODELS / "bert" / "tokenizer.json").read_text())
    single = definition["post_processor"]["single"]
    definition["post_processor"]["single"] = [*single, *single[1:]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(definition))

    with pytest.raises(ModelLoadError, match="does not simply put tokens before and after"):
        TextTokenizer.of_file(path)
