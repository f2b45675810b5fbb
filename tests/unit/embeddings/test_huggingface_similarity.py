"""How vectors are compared is the model's own word or the user's, and never silently another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.vectors import SimilarityMode
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
BACKENDS = [
    "native",
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("onnx", marks=pytest.mark.onnx),
]
MODES = {
    "cosine": SimilarityMode.COSINE,
    "dot": SimilarityMode.DOT_PRODUCT,
    "dot_product": SimilarityMode.DOT_PRODUCT,
    "euclidean": SimilarityMode.EUCLIDEAN,
}
PAIR = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
EXPECTED = {
    SimilarityMode.COSINE: [[1, 0.8], [0.8, 1]],
    SimilarityMode.DOT_PRODUCT: [[25, 8], [8, 4]],
    SimilarityMode.EUCLIDEAN: [[0, -np.sqrt(13)], [-np.sqrt(13), 0]],
}


def folder_of(tmp_path, named):
    copy = shutil.copytree(BERT, tmp_path / "model")
    own = {"similarity_fn_name": named}
    (copy / "config_sentence_transformers.json").write_text(json.dumps(own))
    return str(copy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("named", ["cosine", "dot", "euclidean"])
def test_the_folders_own_word_holds(tmp_path, named, backend):
    model = HuggingFaceEmbedding(folder_of(tmp_path, named), backend=backend)

    assert model.similarity_mode is MODES[named]
    found = np.asarray(model._model.similarity(PAIR, PAIR))
    np.testing.assert_allclose(found, EXPECTED[MODES[named]], atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("named", ["dot", "dot_product", "euclidean"])
def test_the_users_word_wins(tmp_path, named, backend):
    folder = folder_of(tmp_path, "cosine")
    model = HuggingFaceEmbedding(folder, backend=backend, similarity_fn_name=named)

    assert model.backend == backend
    assert model.similarity_mode is MODES[named]
    found = np.asarray(model._model.similarity(PAIR, PAIR))
    np.testing.assert_allclose(found, EXPECTED[MODES[named]], atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_manhattan_is_refused_by_name(tmp_path, backend):
    folder = folder_of(tmp_path, "manhattan")

    with pytest.raises(ConfigError, match=r"'manhattan', which is not known here.*euclidean"):
        HuggingFaceEmbedding(folder, backend=backend)
    with pytest.raises(ConfigError, match="'manhattan'"):
        HuggingFaceEmbedding(str(BERT), backend=backend, similarity_fn_name="manhattan")
    HuggingFaceEmbedding(folder, backend=backend, similarity_fn_name="cosine")
