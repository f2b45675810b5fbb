"""A folder without tokenizer.json gets the tokenizer that transformers would make of its files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ModelLoadError
from nearfield.runtime.fingerprint import tokenizer_digest
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.pairs import PairTokenizer
from nearfield.runtime.tokenize import TextTokenizer

MODELS = Path(__file__).parents[2] / "data" / "models"
OLD = ("bert", "distilbert", "mpnet", "roberta")
SCRIPTS = (
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x5FF),
    (0x900, 0x97F),
    (0x2000, 0x206F),
    (0x3040, 0x30FF),
    (0x4E00, 0x4EFF),
    (0xAC00, 0xACFF),
    (0x1F600, 0x1F64F),
)
SPELLED = (
    "",
    "a",
    "Café naïve ÅNGSTRÖM e\u0301 İstanbul ß",
    "東京 mars は赤い",
    "hello [SEP] world [MASK] x [UNK] [unk]",
    "a <mask> b</s><s> <S> <pad>",
    "don't can't I'm we'll 'tis",
    "mars" * 60,
    "  lead and\ttrail \n\r\n",
    "\u00a0nbsp\u200bzero\u2028line \x00ctrl\x07",
    "1,000.50$ €5 — … “q” #tag C++",
    "\ufffd 😀 🇩🇪 👩‍👧",
)


def hard_texts():
    """Give texts that tokenizers differ on: scripts mixed, marks, blanks of all kinds."""
    draw = random.Random(7)
    mixed = [
        "".join(chr(draw.randint(*draw.choice(SCRIPTS))) for _ in range(draw.randint(1, 30)))
        for _ in range(400)
    ]
    words = ["the", "Red", "planet", "mars", "is", "raining", "cats", "and", "Dogs", "unbelievably"]
    spoken = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(60)]
    return [*SPELLED, *mixed, *spoken]


def older(name, folder, *, config=None, without=(), **files):
    """Copy a model as it was saved before there was a tokenizer.json."""
    shutil.copytree(MODELS / name, folder, ignore=shutil.ignore_patterns("onnx"))
    model = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    if model["type"] == "BPE":
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    else:
        tokens = sorted(model["vocab"], key=model["vocab"].get)
        (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text("utf-8")) | (config or {})
    path.write_text(json.dumps({k: v for k, v in said.items() if k not in without}), "utf-8")
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content), "utf-8")
    return folder


def ours(folder, texts):
    tokenizer = TextTokenizer.of_folder(read_folder(folder))
    tokenizer.max_tokens = None
    return tokenizer.encode(texts).ids


@pytest.mark.parametrize("name", OLD)
def test_the_tokens_are_those_of_the_tokenizer_json(name, tmp_path):
    folder = older(name, tmp_path / "old")

    assert ours(folder, hard_texts()) == ours(MODELS / name, hard_texts())


@pytest.mark.torch
@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"strip_accents": True, "do_lower_case": False},
        {"tokenize_chinese_chars": False},
        {"add_prefix_space": True},
        {"additional_special_tokens": ["<ent>", "Mars"]},
    ],
    ids=lambda config: ",".join(config) or "as it is",
)
def test_the_tokens_are_those_of_transformers(name, config, tmp_path):
    folder = older(name, tmp_path / "old", config=config, without=("added_tokens_decoder",))

    assert ours(folder, hard_texts()) == theirs(folder, hard_texts())


@pytest.mark.torch
def test_electra_reads_as_bert_does(tmp_path):
    said = {"tokenizer_class": "ElectraTokenizer"}
    folder = older("bert", tmp_path / "old", config=said, without=("added_tokens_decoder",))

    assert ours(folder, hard_texts()) == theirs(folder, hard_texts())


@pytest.mark.torch
@pytest.mark.parametrize("name", OLD)
def test_the_class_follows_from_the_model_where_no_file_names_it(name, tmp_path):
    folder = older(name, tmp_path / "old")
    (folder / "tokenizer_config.json").unlink()

    assert ours(folder, hard_texts()) == theirs(folder, hard_texts())


@pytest.mark.torch
@pytest.mark.parametrize("name", ["bert", "mpnet", "roberta"])
def test_special_and_added_tokens_are_read_from_files_of_their_own(name, tmp_path):
    size = TextTokenizer.of_folder(read_folder(MODELS / name)).vocabulary
    mask = {"content": "red", "lstrip": True, "rstrip": True, "single_word": False}
    folder = older(
        name,
        tmp_path / "old",
        without=("added_tokens_decoder", "mask_token"),
        special_tokens_map={
            "mask_token": {**mask, "normalized": False},
            "additional_special_tokens": ["cats"],
        },
        added_tokens={"Dogs and": size, "#t": size + 1},
    )

    assert ours(folder, hard_texts()) == theirs(folder, hard_texts())


@pytest.mark.torch
@pytest.mark.parametrize("name", OLD)
def test_pairs_are_framed_as_by_transformers(name, tmp_path):
    from transformers import AutoTokenizer

    folder = older(name, tmp_path / "old")
    pairs = PairTokenizer.of_folder(read_folder(folder)).encode("mars", ["red planet", "venus"])

    expected = AutoTokenizer.from_pretrained(folder)([("mars", "red planet"), ("mars", "venus")])
    assert pairs.ids == expected["input_ids"]
    if name in {"bert", "roberta"}:
        types = expected.get("token_type_ids") or [[0] * len(ids) for ids in pairs.ids]
        assert pairs.types == types


@pytest.mark.parametrize("name", OLD)
def test_a_model_of_an_older_folder_gives_the_same_vectors(name, tmp_path):
    folder = older(name, tmp_path / "old")
    texts = ["mars is the red planet", "Café 東京", ""]

    expected = HuggingFaceEmbedding(str(MODELS / name), backend="native").encode(texts)

    found = HuggingFaceEmbedding(str(folder), backend="native").encode(texts)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bert", "vocab.txt"),
        ("bert", "tokenizer_config.json"),
        ("roberta", "vocab.json"),
        ("roberta", "merges.txt"),
        ("roberta", "special_tokens_map.json"),
        ("roberta", "added_tokens.json"),
    ],
)
def test_the_fingerprint_covers_every_file(name, file, tmp_path):
    folder = older(name, tmp_path / "old", special_tokens_map={}, added_tokens={})
    content = (folder / file).read_text("utf-8")
    before = HuggingFaceEmbedding(str(folder), backend="native").fingerprint

    changed = content.replace("0.2", "0.3") if file == "merges.txt" else content + "\n"
    (folder / file).write_text(changed, "utf-8")

    assert HuggingFaceEmbedding(str(folder), backend="native").fingerprint != before


def test_a_tokenizer_json_alone_counts_where_there_is_one(tmp_path):
    folder = tmp_path / "both"
    shutil.copytree(MODELS / "bert", folder)
    before = tokenizer_digest(read_folder(folder), tmp_path / "cache")

    (folder / "vocab.txt").write_text("not asked for\n")

    assert tokenizer_digest(read_folder(folder), tmp_path / "cache") == before


def test_a_vocabulary_without_a_special_token_is_named(tmp_path):
    folder = older("bert", tmp_path / "old")
    tokens = (folder / "vocab.txt").read_text("utf-8").replace("[CLS]\n", "[cls]\n")
    (folder / "vocab.txt").write_text(tokens, "utf-8")

    with pytest.raises(ModelLoadError, match=r"vocab\.txt lacks the special token '\[CLS\]'"):
        TextTokenizer.of_folder(read_folder(folder))


def test_half_a_vocabulary_is_refused(tmp_path):
    folder = older("bert", tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 30_522}))

    with pytest.raises(ModelLoadError, match=r"vocab\.txt is half downloaded: it has .* 30,522"):
        TextTokenizer.of_folder(read_folder(folder))


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("bert", "vocab.txt", b"[PAD]\n\xff\xfe\n"),
        ("roberta", "vocab.json", b'{"<s>": 0, "<pad'),
        ("roberta", "vocab.json", b'{"<s>": "zero"}'),
        ("roberta", "merges.txt", b"#version: 0.2\na\n"),
        ("roberta", "merges.txt", b"#version: 0.2\nnot there\n"),
        ("roberta", "merges.txt", b"\xff\n"),
        ("roberta", "special_tokens_map.json", b"{"),
    ],
)
def test_a_damaged_file_is_named(name, file, content, tmp_path):
    folder = older(name, tmp_path / "old", without=("added_tokens_decoder",))
    (folder / file).write_bytes(content)

    with pytest.raises(ModelLoadError, match=file.replace(".", r"\.")):
        TextTokenizer.of_folder(read_folder(folder))


def test_merges_cut_short_are_refused(tmp_path):
    folder = older("roberta", tmp_path / "old")
    tokens = json.loads((folder / "vocab.json").read_text("utf-8"))
    more = {f"word{number}": len(tokens) + number for number in range(1000)}
    (folder / "vocab.json").write_text(json.dumps(tokens | more), "utf-8")

    with pytest.raises(ModelLoadError, match=r"merges\.txt is half downloaded"):
        TextTokenizer.of_folder(read_folder(folder))


def test_merges_that_are_missing_are_named(tmp_path):
    folder = older("roberta", tmp_path / "old")
    (folder / "merges.txt").unlink()

    with pytest.raises(ModelLoadError, match=r"no merges\.txt for a RobertaTokenizer"):
        TextTokenizer.of_folder(read_folder(folder))


def test_a_vocabulary_of_another_kind_is_refused_by_name(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(MODELS / "xlm-roberta", folder)
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(b"\n\x05<unk>")

    with pytest.raises(
        ModelLoadError, match=r"sentencepiece\.bpe\.model.* of a XLMRobertaTokenizer cannot be read"
    ):
        TextTokenizer.of_folder(read_folder(folder))


def test_a_vocabulary_that_leads_out_of_the_folder_is_refused(tmp_path):
    folder = older("bert", tmp_path / "old")
    (folder / "vocab.txt").rename(tmp_path / "elsewhere.txt")
    (folder / "vocab.txt").symlink_to(tmp_path / "elsewhere.txt")

    with pytest.raises(ModelLoadError, match=r"vocab\.txt leads out of the model's folder"):
        TextTokenizer.of_folder(read_folder(folder))


def test_an_added_token_with_another_number_is_refused(tmp_path):
    folder = older(
        "bert", tmp_path / "old", without=("added_tokens_decoder",), added_tokens={"#t": 5_000}
    )

    with pytest.raises(ModelLoadError, match="does not go with its added token '#t', 5000"):
        TextTokenizer.of_folder(read_folder(folder))


def theirs(folder, texts):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, model_max_length=1_000_000)(texts)["input_ids"]
