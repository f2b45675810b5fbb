"""``nearfield export``, run as users run it: a whole folder, its cost, and a pull request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ModelLoadError
from nearfield.runtime.export_report import push_graphs

MODELS = Path(__file__).parents[2] / "data" / "models"
BERT = MODELS / "bert"
NEARFIELD = Path(sys.executable).with_name("nearfield")


class TransportError(Exception):
    """What an HTTP library raises: nothing of ours, nothing of the system's."""


def export(*words, cwd, **variables):
    """Run the command to its end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    home = {"HF_HOME": str(cwd / "hf"), "PYTHONWARNINGS": "error:::nearfield"}
    return subprocess.run(
        [NEARFIELD, "export", *map(str, words)],
        cwd=cwd,
        env={**kept, **home, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def exported(tmp_path):
    """A folder that has its float32 graph already."""
    shutil.copytree(BERT / "onnx", tmp_path / "out" / "onnx")
    return tmp_path


@pytest.mark.onnx
@pytest.mark.export
@pytest.mark.slow
def test_the_cost_is_measured_and_the_line_printed_runs_the_folder(exported, monkeypatch):
    words = (BERT, "--backend", "onnx", "--quantize", "avx2", "--out", "out")
    done = export(*words, "--json", cwd=exported)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    whole, quantised = told["graphs"]
    assert whole["cosine_min"] == pytest.approx(1, abs=1e-6)
    assert whole["size"] == whole["speed"] == 1
    assert 0.9 < quantised["cosine_min"] <= quantised["cosine_mean"] < 0.999999
    assert 0.5 < quantised["spearman"] < 1
    assert quantised["size"] < 1
    assert told["pull_request"] is None
    monkeypatch.chdir(exported)
    model = eval(told["use"], {"HuggingFaceEmbedding": HuggingFaceEmbedding})
    texts = ["mars is the red planet", "a lazy dog"]
    near = np.sum(model.encode(texts) * HuggingFaceEmbedding(str(BERT)).encode(texts), axis=1)
    assert 0.9 < near.min() < 0.999999


@pytest.mark.openvino
@pytest.mark.export
@pytest.mark.slow
def test_a_model_with_a_dense_layer_is_whole_in_openvino(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(BERT, model, ignore=shutil.ignore_patterns("onnx"))
    shutil.copytree(MODELS / "bert-dense", model, dirs_exist_ok=True)
    (tmp_path / "mine.txt").write_text("mars is red\n\nvenus is bright\na lazy dog\n" * 4)

    words = (model, "--backend", "openvino", "--out", "out", "--texts", "mine.txt")
    done = export(*words, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    head, row, _, line = done.stdout.splitlines()
    assert head.split()[:4] == ["graph", "MB", "size", "speed"]
    assert row.split()[0] == "openvino_model.xml"
    assert 'HuggingFaceEmbedding("out", backend="openvino", model_kwargs=' in line
    made = HuggingFaceEmbedding(str(tmp_path / "out"), backend="openvino").encode(["mars is red"])
    want = HuggingFaceEmbedding(str(model), backend="native").encode(["mars is red"])
    assert made.shape == want.shape
    assert np.sum(made * want) > 0.99999


@pytest.mark.onnx
@pytest.mark.export
@pytest.mark.slow
def test_a_push_proposes_what_was_asked_for_and_prints_the_revision(exported, hub):
    hub.models["me/model"] = BERT

    words = (BERT, "--backend", "onnx", "--quantize", "avx2", "--out", "out")
    done = export(
        *words, "--push", "me/model", "--create-pr", cwd=exported, HF_ENDPOINT=hub.url, HF_TOKEN="t"
    )

    assert done.returncode == 0, done.stderr
    assert f"Pushed to {hub.url}/me/model/discussions/7" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        'HuggingFaceEmbedding("me/model", backend="onnx", revision="refs/pr/7", '
        'model_kwargs={"file_name": "onnx/model_quint8_avx2.onnx"})'
    )
    header, *files = hub.commits["me/model"]
    assert [file["value"]["path"] for file in files] == ["onnx/model_quint8_avx2.onnx"]
    assert "model.onnx" in header["value"]["description"]  # what it was compared with


@pytest.mark.parametrize("said", ["connection refused", ""])
def test_a_push_that_does_not_arrive_is_one_of_our_errors(said, monkeypatch):
    """Newer releases of the hub's library let their transport's own errors through."""

    def fail(*_args, **_more):
        raise TransportError(said)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", fail)
    graph = BERT / "onnx" / "model.onnx"

    with pytest.raises(ModelLoadError, match=f"'me/model': {said or 'TransportError'}. Check name"):
        push_graphs("me/model", "onnx", [graph], token="t")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--backend", "onnx", "--create-pr"), 2, "name the repository"),
        (("--backend", "openvino", "--optimize", "O3"), 1, "optimize is for onnx"),
        (("--backend", "tensorrt"), 2, "tensorrt"),
        (("--backend", "onnx", "--quantize", "int3"), 1, "int3"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(tmp_path, words, code, says):
    done = export(BERT, *words, "--out", "out", cwd=tmp_path)

    assert done.returncode == code
    assert says in done.stderr
    assert not (tmp_path / "out").exists()
