"""A word table is made of an encoder by the published recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.embeddings.static import StaticEmbedding
from nearfield.errors import ConfigError
from nearfield.runtime.distill import distill, principal_components, zipf_weights

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


def test_the_table_is_loaded_as_a_static_model(tmp_path):
    model = StaticEmbedding(str(distill(BERT, tmp_path / "table", dim=12)))

    assert model.dim == 12
    vectors = model.encode(["mars is the red planet", "venus"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_row_is_its_tokens_vector_turned_and_weighed(tmp_path):
    """Turning keeps distances, so those between rows are those the encoder gives."""
    place = distill(BERT, tmp_path / "table", dim=32)
    table = StaticEmbedding(str(place), normalize=False)._runner.engine._table
    vocabulary = json.loads((BERT / "tokenizer.json").read_text())["model"]["vocab"]
    words = ["a", "m", "t"]
    encoder = HuggingFaceEmbedding(str(BERT))

    rows = [vocabulary[word] for word in words]
    unweighed = table[rows] / zipf_weights(len(vocabulary))[rows, None]

    assert encoder.measure.encode(words).ids == encoder.measure.framed(rows)
    states = encoder._runner.engine.states(encoder.measure.framed(rows))
    means = np.stack([state.mean(axis=0) for state in states])
    ours = np.linalg.norm(unweighed[:, None] - unweighed, axis=2)
    theirs = np.linalg.norm(means[:, None] - means, axis=2)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_second_run_gives_the_same_file(tmp_path):
    first, second = (distill(BERT, tmp_path / name, dim=8) for name in ("one", "two"))

    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.parametrize("dim", [0, 33])
def test_a_size_out_of_range_is_refused(tmp_path, dim):
    with pytest.raises(ConfigError, match="dim must be from 1 to 32"):
        distill(BERT, tmp_path / "table", dim=dim)


def test_components_are_ordered_and_uncorrelated():
    draw = np.random.default_rng(0)
    matrix = (draw.standard_normal((500, 6)) * [5, 1, 3, 0.1, 2, 4] + 7).astype(np.float32)

    found = principal_components(matrix, 4)

    covariance = np.cov(found.T)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-6)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_rarer_tokens_weigh_more():
    weights = zipf_weights(30_000)

    assert (np.diff(weights) > 0).all()
    assert 0 < weights[0] < weights[-1] < 1
