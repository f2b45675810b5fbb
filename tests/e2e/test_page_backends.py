"""The page's blocks for ONNX and OpenVINO run as printed, on files like those of the hub."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.core import Settings
from nearfield.errors import ConfigError

PAGE = runpy.run_path(str(Path(__file__).with_name("page_blocks.py")))
TEXTS = ["Mars is the red planet.", "Dogs bark.", "Mars is the red planet."]
FILE = "openvino_model_qint8_quantized"

pytestmark = [pytest.mark.export, pytest.mark.slow]


def run(*blocks):
    names = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(PAGE[block], block, "exec"), names)
    return names


@pytest.fixture
def reference(surroundings):
    """Give the vectors of the stand-in model; all names of the hub are the same model here."""
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding

    yield HuggingFaceEmbedding("BAAI/bge-small-en-v1.5").encode(TEXTS)
    Settings.reset()


@pytest.fixture
def openvino_files(reference, surroundings):
    """Put an OpenVINO file into the hub cache, at ``main`` and at a pull request."""
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding

    model = HuggingFaceEmbedding("BAAI/bge-small-en-v1.5", backend="openvino")
    model.encode(TEXTS)
    exported = next(surroundings.rglob("openvino_model.xml"))
    for home in (surroundings / "hub").iterdir():
        snapshot = next((home / "snapshots").iterdir())
        (snapshot / "openvino").mkdir(exist_ok=True)
        for ending in (".xml", ".bin"):
            shutil.copy(exported.with_suffix(ending), snapshot / "openvino" / f"{FILE}{ending}")
        pull_request = home / "refs" / "refs" / "pr" / "16"
        pull_request.parent.mkdir(parents=True)
        pull_request.write_text(snapshot.name)


@pytest.mark.onnx
def test_a_model_without_an_onnx_file_is_exported(reference):
    run("ONNX_BACKEND")

    assert "onnx" in repr(Settings.embed_model)
    assert np.allclose(Settings.embed_model.encode(TEXTS), reference, atol=1e-3)


@pytest.mark.openvino
def test_a_checkpoint_is_chosen_by_its_file_name_and_by_its_revision(reference, openvino_files):
    names = run("QUANTIZED_CHECKPOINT")

    assert Settings.embed_model is names["quantized_model"]
    assert "openvino" in repr(Settings.embed_model)
    assert np.allclose(Settings.embed_model.encode(TEXTS), reference, atol=1e-3)

    run("PULL_REQUEST")

    assert Settings.embed_model is not names["quantized_model"]
    assert np.allclose(Settings.embed_model.encode(TEXTS), reference, atol=1e-3)


@pytest.mark.openvino
def test_the_benchmark_script_from_its_first_line_to_its_last(openvino_files, capsys):
    names = run("BENCHMARK_MODELS", "BENCHMARK")

    printed = capsys.readouterr().out
    assert printed.count("queries/sec (over 5 runs)") == 2
    assert "openvino" in repr(names["quantized_model"])
    assert "native" in repr(names["baseline_model"])
    scores = [np.asarray(names[f"{one}_similarity"]) for one in ("baseline", "quantized")]
    assert np.allclose(*scores, atol=1e-3)


@pytest.mark.torch
def test_a_gpu_is_used_or_missed_by_name(reference):
    import torch

    if torch.cuda.is_available():
        run("GPU")
        assert np.allclose(Settings.embed_model.encode(TEXTS), reference, atol=1e-2)
    else:
        with pytest.raises(ConfigError, match="cuda"):
            run("GPU")
