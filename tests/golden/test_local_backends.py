"""Every backend gives the vectors sentence-transformers gave."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding

NAMES = (
    "bert",
    "distilbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "bert/cls",
    "bert/max",
    "bert/mean_sqrt_len",
    "bert/weighted",
    "bert/last",
    "bert/cls_and_mean",
    "bert/without_prompt",
    "bert/prompt",
    "bert/truncated",
    "bert/plain",
    "bert-dense",
)
MARKS = {name: getattr(pytest.mark, name) for name in ("torch", "onnx", "openvino")}
# Only the bert folder has a graph, which its variants share.
CASES = [
    *((name, "native") for name in NAMES),
    *(pytest.param(name, "torch", marks=MARKS["torch"]) for name in NAMES),
    *(
        pytest.param(name, backend, marks=MARKS[backend])
        for backend in ("onnx", "openvino")
        for name in NAMES
        if name.startswith("bert")
    ),
]
# The native engine keeps about 13 bits of weights and activations; the others are float32.
LEAST_COSINE = {"native": 0.99999, "torch": 0.9999995, "onnx": 0.9999995, "openvino": 0.9999995}
LENGTH_WITHIN = {"native": 1e-3, "torch": 1e-5, "onnx": 1e-5, "openvino": 1e-5}


def cosines(ours, theirs):
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def with_openvino_graph(folder, tmp_path):
    """Give a copy of a folder with its ONNX graph turned into OpenVINO's form."""
    import openvino

    copy = tmp_path / "with-graph"
    shutil.copytree(folder, copy)
    model = openvino.Core().read_model(str(folder / "onnx" / "model.onnx"))
    openvino.save_model(model, copy / "openvino" / "openvino_model.xml", compress_to_fp16=False)
    return copy


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_vectors_are_those_of_sentence_transformers(name, backend, golden, folder_of, tmp_path):
    folder = folder_of(name)
    if backend == "openvino":
        folder = with_openvino_graph(folder, tmp_path)
    model = HuggingFaceEmbedding(
        str(folder),
        backend=backend,
        normalize=False,
        truncate_dim=16 if name == "bert/truncated" else None,
        text_instruction=golden.prompt if name in {"bert/prompt", "bert/without_prompt"} else None,
        on_truncation="ignore",
    )

    vectors = model.encode(golden.texts)

    expected = golden.vectors[name]
    assert vectors.shape == expected.shape
    assert cosines(vectors, expected).min() >= LEAST_COSINE[backend]
    lengths, theirs = (np.linalg.norm(found, axis=1) for found in (vectors, expected))
    np.testing.assert_allclose(lengths, theirs, rtol=LENGTH_WITHIN[backend])


@pytest.mark.parametrize("name", ["bert", "distilbert", "mpnet", "roberta", "xlm-roberta"])
def test_what_is_cut_is_counted(name, golden, folder_of):
    """Of the golden texts one is longer than the 32 tokens the models read."""
    model = HuggingFaceEmbedding(str(folder_of(name)), on_truncation="ignore")

    report = model.encode_with_report(golden.texts)[1]

    longest = max(len(places) for places in model.measure.offsets(golden.texts))
    assert report.truncated_texts >= 1
    assert report.truncated_tokens >= longest - (32 - model.measure.special_tokens)


@pytest.mark.torch
@pytest.mark.onnx
def test_all_backends_of_one_folder_share_a_fingerprint_when_they_share_weights(golden, folder_of):
    """A vector of native may be compared with one of torch, and an index knows it."""
    native, torch, onnx = (
        HuggingFaceEmbedding(str(folder_of("bert")), backend=name)
        for name in ("native", "torch", "onnx")
    )

    assert native.fingerprint == torch.fingerprint
    assert onnx.fingerprint != native.fingerprint  # a graph's file may hold anything


@pytest.mark.parametrize(
    "backend",
    ["native", *(pytest.param(name, marks=MARKS[name]) for name in ("torch", "onnx"))],
)
def test_a_cut_that_is_scaled_and_one_that_is_not_are_told_apart(backend, folder_of):
    """The folder normalises, and whole vectors are the same with or without being asked to."""

    def made(**options):
        return HuggingFaceEmbedding(str(folder_of("bert")), backend=backend, **options)

    whole, whole_left, all_kept = made(), made(normalize=False), made(truncate_dim=32)
    all_kept_left = made(normalize=False, truncate_dim=32)
    cut, cut_left = made(truncate_dim=16), made(normalize=False, truncate_dim=16)

    assert whole.fingerprint == whole_left.fingerprint
    assert all_kept.fingerprint == all_kept_left.fingerprint
    assert cut.fingerprint != cut_left.fingerprint
    texts = ["mars", "venus and the moon"]
    np.testing.assert_array_equal(all_kept_left.encode(texts), whole_left.encode(texts))
    np.testing.assert_array_equal(cut_left.encode(texts), whole_left.encode(texts)[:, :16])
    assert np.linalg.norm(cut_left.encode(texts), axis=1).max() < 0.9


@pytest.mark.torch
def test_backends_share_a_fingerprint_for_what_is_cut_after_the_model_normalised(folder_of):
    native, torch = (
        HuggingFaceEmbedding(
            str(folder_of("bert")), backend=name, normalize=False, truncate_dim=16
        ).fingerprint
        for name in ("native", "torch")
    )

    assert native == torch
