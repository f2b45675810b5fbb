"""Graphs are made under the ecosystem's names, once, and their cost is measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.settings import Settings
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime import export
from nearfield.runtime.export import export_model
from nearfield.runtime.export_report import measure_graphs, spearman

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
TEXTS = ["mars is the red planet", "venus is bright", "the sun is far away", "a lazy dog", "42"]


@pytest.fixture
def folder(tmp_path):
    """A model folder without graphs."""
    copy = tmp_path / "model"
    shutil.copytree(BERT, copy, ignore=shutil.ignore_patterns("onnx"))
    return copy


@pytest.fixture(autouse=True)
def _own_cache(tmp_path):
    Settings.cache_dir = tmp_path / "cache"


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("tensorrt", {}),
        ("openvino", {"optimize": "O3"}),
        ("openvino", {"quantize": "avx2", "texts": ["a"]}),
        ("openvino", {"quantize": "int8"}),
        ("onnx", {"optimize": "O9"}),
        ("onnx", {"quantize": "int3"}),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(folder, tmp_path, backend, options):
    with pytest.raises(ConfigError):
        export_model(folder, backend, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.onnx
@pytest.mark.export
@pytest.mark.slow
def test_a_folder_without_a_graph_is_exported_once_into_the_cache(folder, monkeypatch, caplog):
    first = HuggingFaceEmbedding(str(folder), backend="onnx")

    assert "exporting it to" in caplog.text
    assert "Exported in" in caplog.text
    assert not (folder / "onnx").exists()
    (graph,) = Settings.cache_dir.rglob("onnx/model.onnx")
    monkeypatch.setattr(export, "export_float32", lambda *_: pytest.fail("exported again"))
    again = HuggingFaceEmbedding(str(folder), backend="onnx")
    np.testing.assert_array_equal(again.encode(TEXTS), first.encode(TEXTS))
    native = HuggingFaceEmbedding(str(folder))
    assert again.fingerprint == native.fingerprint  # the same weights
    assert not [path for path in graph.parent.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.onnx
@pytest.mark.export
@pytest.mark.slow
def test_optimised_and_quantised_graphs_get_the_ecosystems_names(tmp_path):
    out = tmp_path / "out"
    shutil.copytree(BERT / "onnx", out / "onnx")

    graphs = export_model(BERT, "onnx", out=out, optimize="O2", quantize="avx2")
    quantised = export_model(BERT, "onnx", out=out, quantize="avx512_vnni")[1]

    names = [path.relative_to(out).as_posix() for path in graphs]
    assert names == ["onnx/model.onnx", "onnx/model_O2.onnx", "onnx/model_quint8_avx2.onnx"]
    assert quantised.name == "model_qint8_avx512_vnni.onnx"
    assert graphs[2].stat().st_size < graphs[0].stat().st_size

    reports = measure_graphs(BERT, "onnx", graphs, TEXTS)
    assert [report.path for report in reports] == graphs
    assert reports[0].cosine_min == pytest.approx(1, abs=1e-6)
    assert reports[0].speed == reports[0].size == 1
    assert reports[1].cosine_min > 0.99999
    assert 0.9 < reports[2].cosine_min <= reports[2].cosine_mean < 0.999999
    assert reports[2].size < 1
    assert reports[2].size_bytes == graphs[2].stat().st_size
    assert 0.5 < reports[2].spearman <= 1


@pytest.mark.openvino
@pytest.mark.export
@pytest.mark.slow
def test_openvino_is_quantised_on_the_users_texts(folder, tmp_path):
    graphs = export_model(folder, "openvino", out=tmp_path, quantize="int8", texts=TEXTS * 4)

    names = [path.relative_to(tmp_path).as_posix() for path in graphs]
    assert names == [
        "openvino/openvino_model.xml",
        "openvino/openvino_model_qint8_quantized.xml",
    ]
    assert all(path.with_suffix(".bin").is_file() for path in graphs)
    report = measure_graphs(folder, "openvino", graphs, TEXTS)[1]
    assert 0.9 < report.cosine_min < 0.999999
    assert report.size < 1


@pytest.mark.onnx
def test_a_pickled_model_is_refused_before_anything_loads_it(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ModelLoadError, match="a pickle"):
        export_model(folder, "onnx", out=tmp_path / "out")


@pytest.mark.onnx
def test_too_few_texts_to_compare_are_refused():
    with pytest.raises(ConfigError, match="at least 3"):
        measure_graphs(BERT, "onnx", [BERT / "onnx" / "model.onnx"], ["a"])


def test_rank_correlation_is_spearmans():
    left = np.array([1, 2, 3, 4, 5], np.float32)

    assert spearman(left, left**3) == pytest.approx(1)
    assert spearman(left, -left) == pytest.approx(-1)
    # By hand: ranks 1, 2, 3, 4, 5 and 2, 1, 4, 3, 5: 1 - 6 * 4 / (5 * 24).
    assert spearman(left, np.array([20, 10, 40, 30, 50], np.float32)) == pytest.approx(0.8)
    # Ties share their mean rank: 1.5, 1.5, 3 against 1, 2, 3.
    tied = spearman(np.array([1, 1, 2], np.float32), np.array([1, 2, 3], np.float32))
    assert tied == pytest.approx(np.sqrt(3) / 2)
    assert spearman(np.ones(3, np.float32), left[:3]) == 0


PUSH = """
import json
from pathlib import Path
from nearfield.runtime.export_report import push_graphs

try:
    graphs, options = [Path({graph!r})], dict(token="hf_secret", create_pr={create_pr})
    made = push_graphs({repo!r}, "onnx", graphs, **options)
    print(json.dumps([made.url, made.revision]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def push(run_python, hub, repo="a/b", *, create_pr=True):
    graph = str(BERT / "onnx" / "model.onnx")
    script = PUSH.format(repo=repo, graph=graph, create_pr=create_pr)
    return run_python(script, HF_ENDPOINT=hub.url)


def test_a_pull_request_gives_the_revision_to_pass_on(run_python, hub):
    hub.models["a/b"] = BERT

    url, revision = push(run_python, hub)

    assert revision == "refs/pr/7"
    assert url == f"{hub.url}/a/b/discussions/7"
    header, *files = hub.commits["a/b"]
    assert header["value"]["summary"] == "Add onnx files: model.onnx"
    assert [file["value"]["path"] for file in files] == ["onnx/model.onnx"]
    posts = [path for method, path in hub.asked if method == "POST" and "/commit/" in path]
    assert [path.partition("?")[2] for path in posts] == ["create_pr=1"]


def test_a_commit_without_a_pull_request_has_no_revision(run_python, hub):
    hub.models["a/b"] = BERT

    assert push(run_python, hub, create_pr=False)[1] is None


def test_a_push_the_hub_refuses_is_named_without_the_token(run_python, hub):
    kind, message = push(run_python, hub, "a/nobody")

    assert kind == "ModelLoadError"
    assert "'a/nobody'" in message
    assert "hf_secret" not in json.dumps(message)
