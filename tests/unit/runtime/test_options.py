"""What is asked for decides on the backend; what cannot be is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime import options as module
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.options import Options, choose_by_folder, choose_by_keywords

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


def chosen(**facts):
    choice = choose_by_keywords(Options(**facts))
    return choice and choice.backend


def test_a_named_backend_is_taken():
    for backend in ("native", "torch", "onnx", "openvino"):
        assert chosen(backend=backend) == backend


@pytest.mark.parametrize(
    ("facts", "backend"),
    [
        ({}, None),
        ({"device": "cpu"}, None),
        ({"parallel_process": True}, None),
        ({"device": "cuda"}, "torch"),
        ({"device": "cuda:1"}, "torch"),
        ({"device": "mps"}, "torch"),
        ({"target_devices": ("cuda:0", "cuda:1")}, "torch"),
        ({"further": {"similarity_fn_name": "dot"}}, "torch"),
        ({"model_kwargs": {"torch_dtype": "float16"}}, "torch"),
        ({"model_kwargs": {"dtype": "float16"}}, "torch"),
        ({"model_kwargs": {"dtype": "int8"}}, "native"),
        ({"model_kwargs": {"dtype": "int8"}, "device": "cpu"}, "native"),
        ({"model_kwargs": {"dtype": "int8"}, "device": "cuda"}, "torch"),
        ({"model_kwargs": {"dtype": "int8", "attn_implementation": "sdpa"}}, "torch"),
        ({"model_kwargs": {"attn_implementation": "sdpa"}}, "torch"),
        ({"model_kwargs": {"file_name": "model_O3.onnx"}}, "onnx"),
        ({"model_kwargs": {"provider": "CPUExecutionProvider"}}, "onnx"),
        ({"model_kwargs": {"file_name": "openvino/openvino_model.xml"}}, "openvino"),
        ({"model_kwargs": {"ov_config": {}}}, "openvino"),
    ],
)
def test_what_only_one_backend_knows_leads_to_it(facts, backend):
    assert chosen(**facts) == backend


def test_the_reason_is_said():
    assert choose_by_keywords(Options(device="cuda:1")).why == "for device 'cuda:1'"
    assert "'foo'" in choose_by_keywords(Options(further={"foo": 1})).why
    assert choose_by_keywords(Options(backend="torch", further={"foo": 1})).why == ""


@pytest.mark.parametrize("backend", ["native", "onnx", "openvino"])
def test_an_unknown_keyword_is_refused_where_the_backend_was_named(backend):
    with pytest.raises(TypeError, match=f"{backend}.*'foo'"):
        Options(backend=backend, further={"foo": 1})
    with pytest.raises(TypeError, match="torch_dtype"):
        Options(backend=backend, model_kwargs={"torch_dtype": "float16"})
    Options(backend="torch", further={"foo": 1}, model_kwargs={"torch_dtype": "float16"})


@pytest.mark.parametrize(
    "facts",
    [
        {"backend": "tpu"},
        {"on_truncation": "maybe"},
        {"max_length": 0},
        {"truncate_dim": -1},
        {"threads": 0},
        {"backend": "native", "device": "cuda"},
        {"backend": "native", "model_kwargs": {"dtype": "float16"}},
    ],
)
def test_what_cannot_be_is_refused(facts):
    with pytest.raises(ConfigError):
        Options(**facts)


def test_a_file_name_may_have_its_folder_apart():
    options = Options(model_kwargs={"file_name": "model.onnx", "subfolder": "onnx"})

    assert options.file_name == "onnx/model.onnx"


@pytest.fixture
def other_architecture(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(BERT, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "modernbert"}))
    return folder


def installed(monkeypatch, *names):
    monkeypatch.setattr(module, "find_spec", lambda name: name in names or None)


def test_a_supported_architecture_runs_natively():
    assert choose_by_folder(read_folder(BERT), Options()).backend == "native"


def test_another_architecture_runs_on_torch_and_says_why(other_architecture, monkeypatch):
    installed(monkeypatch, "sentence_transformers", "onnxruntime")

    choice = choose_by_folder(read_folder(other_architecture), Options())

    assert choice.backend == "torch"
    assert "modernbert" in choice.why


def test_without_torch_the_folders_own_graph_is_run(other_architecture, monkeypatch):
    installed(monkeypatch, "onnxruntime")

    assert choose_by_folder(read_folder(other_architecture), Options()).backend == "onnx"


def test_with_neither_torch_is_chosen_to_say_what_to_install(other_architecture, monkeypatch):
    installed(monkeypatch)

    assert choose_by_folder(read_folder(other_architecture), Options()).backend == "torch"


def test_code_of_the_models_own_is_refused_unless_trusted(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(BERT, folder)
    config = json.loads((folder / "config.json").read_text())
    code = {"auto_map": {"AutoModel": "modeling.Mine"}}
    (folder / "config.json").write_text(json.dumps(config | code))

    with pytest.raises(ModelLoadError, match="trust_remote_code=True"):
        choose_by_folder(read_folder(folder), Options())
    trusted = choose_by_folder(read_folder(folder), Options(trust_remote_code=True))
    assert trusted.backend == "torch"
