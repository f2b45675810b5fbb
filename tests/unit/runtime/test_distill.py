"""A word table is made of an encoder by the published recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.embeddings.static import StaticEmbedding
from nearfield.errors import ConfigError
from nearfield.runtime.distill import (
    EVENED,
    distill,
    principal_components,
    text_tokens,
    zipf_weights,
)

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


def test_the_table_is_loaded_as_a_static_model(tmp_path):
    model = StaticEmbedding(str(distill(BERT, tmp_path / "table", dim=12)))

    assert model.dim == 12
    vectors = model.encode(["mars is the red planet", "venus"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_rows_are_what_the_encoder_makes_of_tokens_evened_and_weighed(tmp_path):
    place = distill(BERT, tmp_path / "table", dim=32)
    table = StaticEmbedding(str(place), normalize=False)._runner.engine._table
    encoder = HuggingFaceEmbedding(str(BERT))
    tokens = text_tokens(encoder.measure.spellings())

    states = encoder._runner.engine.states(encoder.measure.framed(tokens))
    means = np.stack([state.mean(axis=0) for state in states]).astype(np.float64)
    _, spread, turned = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    evened = (means - means.mean(axis=0)) @ turned.T / (spread / len(means) ** 0.5) ** EVENED

    unweighed = table[tokens] / zipf_weights(len(tokens))[:, None]
    steps = np.abs(evened[1:] - evened[:-1])
    np.testing.assert_allclose(np.abs(unweighed[1:] - unweighed[:-1]), steps, atol=2e-2)


def test_what_stands_for_no_text_has_no_row_and_no_rank(tmp_path):
    place = distill(BERT, tmp_path / "table", dim=8)
    table = StaticEmbedding(str(place), normalize=False)._runner.engine._table
    spellings = HuggingFaceEmbedding(str(BERT)).measure.spellings()

    assert spellings[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert not table[:5].any()
    assert table[5:].any(axis=1).all()


def test_words_and_signs_stand_for_text_and_bracketed_names_do_not():
    spellings = [
        "[PAD]",
        "[unused7]",
        "<s>",
        "</s>",
        "[",
        "]",
        "<",
        "the",
        "##ing",
        "\u0120a",
        "<0x0A>",
        "",
    ]

    assert text_tokens(spellings).tolist() == [4, 5, 6, 7, 8, 9, 10, 11]


def test_the_table_reads_texts_as_its_teacher_does(tmp_path):
    """Its config and the tokenizer's may disagree on lower case: the table has but the second."""
    teacher = tmp_path / "teacher"
    shutil.copytree(BERT, teacher)
    path = teacher / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": False}))

    table = StaticEmbedding(str(distill(teacher, tmp_path / "table", dim=8)))

    framed = HuggingFaceEmbedding(str(teacher)).measure.encode(["MARS is red"]).ids
    assert [ids[1:-1] for ids in framed] == table.measure.encode(["MARS is red"]).ids


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


@pytest.mark.parametrize("evened", [0.5, 1.0])
def test_evened_components_differ_less_in_their_spread(evened):
    draw = np.random.default_rng(0)
    matrix = (draw.standard_normal((500, 4)) * [5, 1, 3, 0.2] + 7).astype(np.float32)

    own, found = principal_components(matrix, 4), principal_components(matrix, 4, evened=evened)

    np.testing.assert_allclose(found.std(axis=0), own.std(axis=0) ** (1 - evened), rtol=1e-6)


def test_a_direction_in_which_nothing_differs_stays_finite():
    matrix = np.zeros((10, 3), np.float32)
    matrix[:, 0] = np.arange(10)

    assert np.isfinite(principal_components(matrix, 3, evened=1)).all()


def test_rarer_tokens_weigh_more():
    weights = zipf_weights(30_000)

    assert (np.diff(weights) > 0).all()
    assert 0 < weights[0] < weights[-1] < 1
