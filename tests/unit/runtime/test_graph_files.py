"""The graph that is run is the one asked for, or the best one there."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from nearfield.errors import ModelLoadError
from nearfield.runtime import graph_files
from nearfield.runtime.graph_files import files_of, pick_graph, wanted_files
from nearfield.runtime.model_folder import read_folder

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


@pytest.fixture
def folder_with(tmp_path):
    """Make a model folder with (empty) graphs."""

    def make(*names):
        copy = tmp_path / "model"
        shutil.copytree(BERT, copy, ignore=shutil.ignore_patterns("onnx"))
        for name in names:
            (copy / name).parent.mkdir(exist_ok=True)
            (copy / name).write_bytes(b"")
        return read_folder(copy)

    return make


def picked(folder, backend, file_name=None):
    path = pick_graph(folder, backend, file_name)
    return path and path.relative_to(folder.path).as_posix()


@pytest.fixture
def _avx2(monkeypatch):
    monkeypatch.setattr(graph_files, "cpu_flags", lambda: frozenset({"avx2", "fma"}))


@pytest.mark.parametrize("name", ["onnx/model_O3.onnx", "model_O3.onnx"])
def test_a_file_is_found_with_or_without_its_folder(folder_with, name):
    folder = folder_with("onnx/model_O3.onnx", "onnx/model.onnx")

    assert picked(folder, "onnx", name) == "onnx/model_O3.onnx"


def test_a_file_that_is_not_there_is_refused_with_a_list(folder_with):
    folder = folder_with("openvino/openvino_model.xml")

    with pytest.raises(ModelLoadError, match=r"'absent\.xml'.*openvino/openvino_model\.xml"):
        pick_graph(folder, "openvino", "absent.xml")


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (("onnx/model.onnx", "onnx/model_O3.onnx"), "onnx/model.onnx"),
        (("model.onnx",), "model.onnx"),
        (("onnx/model_O1.onnx", "onnx/model_O3.onnx", "onnx/model_O4.onnx"), "onnx/model_O3.onnx"),
        ((), None),
    ],
)
def test_without_a_name_the_exact_graph_is_taken(folder_with, names, best):
    assert picked(folder_with(*names), "onnx") == best


@pytest.mark.usefixtures("_avx2")
def test_among_quantised_graphs_the_processors_own_is_taken(folder_with):
    folder = folder_with(
        "onnx/model_qint8_arm64.onnx",
        "onnx/model_qint8_avx512_vnni.onnx",
        "onnx/model_quint8_avx2.onnx",
    )

    assert picked(folder, "onnx") == "onnx/model_quint8_avx2.onnx"


@pytest.mark.usefixtures("_avx2")
def test_a_graph_for_another_processor_is_run_with_a_warning(folder_with):
    folder = folder_with("onnx/model_qint8_avx512_vnni.onnx")

    with pytest.warns(UserWarning, match="avx512_vnni, which this processor lacks"):
        assert picked(folder, "onnx", "model_qint8_avx512_vnni.onnx")


def test_weights_beside_a_graph_belong_to_it(tmp_path):
    for name in (
        "model.onnx",
        "model.onnx_data",
        "model.onnx.data",
        "model_O3.onnx",
        "m.xml",
        "m.bin",
    ):
        (tmp_path / name).write_bytes(b"")

    onnx = [path.name for path in files_of(tmp_path / "model.onnx")]
    openvino = [path.name for path in files_of(tmp_path / "m.xml")]

    assert onnx == ["model.onnx", "model.onnx.data", "model.onnx_data"]
    assert openvino == ["m.xml", "m.bin"]


@pytest.mark.parametrize(
    ("backend", "file_name", "place"),
    [
        ("onnx", None, "onnx/model.onnx"),
        ("onnx", None, "onnx/model.onnx_data"),
        ("onnx", "model_O3.onnx", "onnx/model_O3.onnx"),
        ("onnx", "onnx/model_O3.onnx", "onnx/model_O3.onnx"),
        ("openvino", None, "openvino/openvino_model.bin"),
        (
            "openvino",
            "openvino_model_qint8_quantized.xml",
            "openvino/openvino_model_qint8_quantized.bin",
        ),
    ],
)
def test_patterns_for_the_hub_name_graph_and_weights(backend, file_name, place):
    patterns = wanted_files(backend, file_name)

    assert any(fnmatch(place, pattern) for pattern in patterns)
    assert not any(fnmatch("onnx/model_O1.onnx", pattern) for pattern in patterns)


def test_backends_that_read_weights_want_no_graph():
    assert wanted_files("native", None) == wanted_files("torch", None) == ()
