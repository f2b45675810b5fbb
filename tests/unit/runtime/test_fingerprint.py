"""A fingerprint changes with whatever changes the vectors, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from nearfield.core.settings import Settings
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.runtime.fingerprint import file_digest, fingerprint
from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path):
    Settings.cache_dir = tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(BERT, copy)
    return copy


def of(folder, **options):
    return HuggingFaceEmbedding(str(folder), **options).fingerprint


def test_a_copy_elsewhere_is_the_same_model(folder):
    assert of(folder) == of(BERT)


@pytest.mark.parametrize(
    "options",
    [
        {"query_instruction": "query: "},
        {"text_instruction": "passage: "},
        {"max_length": 24},
        {"truncate_dim": 16},
    ],
)
def test_what_changes_vectors_changes_it(options):
    assert of(BERT, **options) != of(BERT)


@pytest.mark.parametrize(
    "options", [{"threads": 1}, {"embed_batch_size": 3}, {"normalize": False}, {"prompts": {}}]
)
def test_what_changes_no_vector_does_not(options):
    """The bert folder normalises by itself and has no prompts."""
    assert of(BERT, **options) == of(BERT)


def test_other_weights_are_another_model(folder):
    tensors = {name: t.copy() for name, t in SafetensorsFile(folder / "model.safetensors").items()}
    tensors["embeddings.word_embeddings.weight"][5, 5] += 1
    write_safetensors(folder / "model.safetensors", tensors)

    assert of(folder) != of(BERT)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("1_Pooling/config.json", {"pooling_mode": "cls"}),
        ("config.json", {"num_attention_heads": 2}),
        ("config_sentence_transformers.json", {"prompts": {"query": "Q: "}}),
        ("sentence_bert_config.json", {"do_lower_case": True, "max_seq_length": 20}),
    ],
)
def test_another_description_is_another_model(folder, name, change):
    path = folder / name
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | change))

    assert of(folder) != of(BERT)


def test_a_digest_is_remembered_until_the_file_changes(tmp_path):
    path, cache = tmp_path / "weights", tmp_path / "cache"
    path.write_bytes(b"one")
    assert file_digest(path, cache) == hashlib.sha256(b"one").hexdigest()

    (note,) = (cache / "digests").iterdir()
    note.write_text("f" * 64)
    assert file_digest(path, cache) == "f" * 64  # remembered, not read
    assert file_digest(path, cache, verify=True) == hashlib.sha256(b"one").hexdigest()

    path.write_bytes(b"other")
    assert file_digest(path, cache) == hashlib.sha256(b"other").hexdigest()


def test_a_damaged_note_is_no_digest(tmp_path):
    path, cache = tmp_path / "weights", tmp_path / "cache"
    path.write_bytes(b"one")
    file_digest(path, cache)
    (note,) = (cache / "digests").iterdir()
    note.write_text("f" * 10)

    assert file_digest(path, cache) == hashlib.sha256(b"one").hexdigest()


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    assert file_digest(path, blocked) == hashlib.sha256(b"one").hexdigest()


def test_a_file_of_the_hub_carries_its_digest_as_its_name(tmp_path):
    digest = hashlib.sha256(b"weights").hexdigest()
    blob = tmp_path / "blobs" / digest
    blob.parent.mkdir()
    blob.write_bytes(b"not even read")
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)

    assert file_digest(link, tmp_path / "cache") == digest
    assert file_digest(link, tmp_path / "cache", verify=True) != digest


def test_equal_facts_give_equal_fingerprints_in_any_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
