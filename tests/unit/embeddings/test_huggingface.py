"""HuggingFaceEmbedding takes what the page and LlamaIndex's users write, and says what it does."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.settings import Settings
from nearfield.core.vectors import SimilarityMode
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import (
    ConfigError,
    InputTooLongError,
    InvalidVectorsError,
    MissingDependencyError,
    ModelLoadError,
)
from nearfield.runtime import native
from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
WEIGHTS = "model.safetensors"
LONG = "it is raining cats and dogs " * 20


@pytest.fixture(autouse=True)
def _own_cache(tmp_path):
    Settings.cache_dir = tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(BERT, copied)
    return copied


def change(path, **facts):
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | facts))


def test_what_it_is_can_be_asked():
    model = HuggingFaceEmbedding(model_name=str(BERT))

    assert model.backend == "native"
    assert model.dim == 32
    assert model.max_tokens == 32
    assert model.similarity_mode is SimilarityMode.COSINE
    assert model.measure.special_tokens == 2
    assert repr(model) == (
        f"HuggingFaceEmbedding(model_name={str(BERT)!r}, backend='native', dim=32, max_tokens=32)"
    )


def test_a_name_with_local_before_it_is_run_here():
    model = resolve_embed_model(f"local:{BERT}")

    assert isinstance(model, HuggingFaceEmbedding)
    assert model.encode(["mars"]).shape == (1, 32)


def test_prompts_are_applied_shown_and_can_be_switched_off(folder):
    change(folder / "config_sentence_transformers.json", prompts={"query": "query: "})
    plain = HuggingFaceEmbedding(str(BERT))

    model = HuggingFaceEmbedding(str(folder))
    off = HuggingFaceEmbedding(str(folder), query_instruction="")

    expected = plain.get_text_embedding("query: mars")
    np.testing.assert_allclose(model.get_query_embedding("mars"), expected, atol=1e-6)
    np.testing.assert_array_equal(
        model.get_text_embedding("mars"), plain.get_text_embedding("mars")
    )
    np.testing.assert_array_equal(off.get_query_embedding("mars"), plain.get_text_embedding("mars"))
    assert "prompts={'query': 'query: '}" in repr(model)
    assert "prompts=" not in repr(off)
    assert model.fingerprint != off.fingerprint == plain.fingerprint


@pytest.mark.parametrize("backend", ["native", pytest.param("torch", marks=pytest.mark.torch)])
def test_a_default_prompt_is_applied_and_shown(folder, backend):
    change(
        folder / "config_sentence_transformers.json",
        prompts={"query": "", "document": "", "sts": "Similar to: "},
    )
    plain = HuggingFaceEmbedding(str(BERT), backend=backend)

    model = HuggingFaceEmbedding(str(folder), backend=backend, default_prompt_name="sts")
    given = HuggingFaceEmbedding(
        str(BERT), backend=backend, prompts={"ret": "Similar to: "}, default_prompt_name="ret"
    )

    expected = plain.get_text_embedding("Similar to: mars")
    for chosen in (model, given):
        np.testing.assert_allclose(chosen.get_text_embedding("mars"), expected, atol=1e-6)
        np.testing.assert_allclose(chosen.get_query_embedding("mars"), expected, atol=1e-6)
        assert "prompts={'query': 'Similar to: ', 'document': 'Similar to: '}" in repr(chosen)
    assert model.fingerprint == given.fingerprint != plain.fingerprint


def test_a_default_prompt_leaves_the_choice_of_the_backend_alone():
    model = HuggingFaceEmbedding(str(BERT), prompts={"ret": "R: "}, default_prompt_name="ret")

    assert model.backend == "native"


def test_cuts_are_counted_and_warned_of_once():
    model = HuggingFaceEmbedding(str(BERT))

    with pytest.warns(UserWarning, match="2 of 3 texts were longer than the 32 tokens") as caught:
        model.encode([LONG, "short", LONG + "!"])

    assert len(caught) == 1
    assert model.totals.truncated_texts == 2
    assert model.totals.truncated_tokens > 100
    assert 0 < model.totals.tokens <= 3 * 32


def test_cuts_can_be_an_error_that_names_the_text():
    model = HuggingFaceEmbedding(str(BERT), on_truncation="error")

    model.encode(["short"])
    with pytest.raises(InputTooLongError, match=r"Text 1 \('it is raining.*32.*Split it"):
        model.encode(["short", LONG])


def test_cuts_can_be_ignored_but_are_counted():
    model = HuggingFaceEmbedding(str(BERT), on_truncation="ignore")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode([LONG])

    assert model.totals.truncated_texts == 1


def test_max_length_changes_what_is_read():
    model = HuggingFaceEmbedding(str(BERT), max_length=8, on_truncation="ignore")

    words = "mars is the red planet of rings and the sun"
    short = "mars is the red planet"
    assert model.max_tokens == 8
    assert model.encode_with_report([words])[1].truncated_texts == 1
    assert not np.allclose(model.encode([words]), HuggingFaceEmbedding(str(BERT)).encode([words]))
    assert model.encode([short]).shape == (1, 32)


def test_max_length_beyond_the_model_is_refused():
    with pytest.raises(ConfigError, match="max_length=41 is more than the 40"):
        HuggingFaceEmbedding(str(BERT), max_length=41)


def test_truncate_dim_keeps_the_first_numbers_at_length_one():
    whole = HuggingFaceEmbedding(str(BERT)).encode(["mars", "venus"])
    model = HuggingFaceEmbedding(str(BERT), truncate_dim=8)

    vectors = model.encode(["mars", "venus"])

    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert model.dim == 8
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_what_the_folder_normalises_is_cut_after_it_unless_asked_to_be_scaled(
    folder, compiled, monkeypatch
):
    """Dense layer and all; and so where the folder names the cut itself."""
    if not compiled:
        monkeypatch.setattr(native, "_engine", None)
        monkeypatch.setattr(native, "_warned", True)
    shutil.copytree(BERT.parent / "bert-dense", folder, dirs_exist_ok=True)
    whole = HuggingFaceEmbedding(str(folder), normalize=False).encode(["mars", "venus"])

    asked = HuggingFaceEmbedding(str(folder), normalize=False, truncate_dim=8)
    change(folder / "config_sentence_transformers.json", truncate_dim=8)
    named = HuggingFaceEmbedding(str(folder), normalize=False)
    scaled = HuggingFaceEmbedding(str(folder)).encode(["mars", "venus"])

    for model in (asked, named):
        vectors = model.encode(["mars", "venus"])
        assert (model.dim, vectors.flags.c_contiguous) == (8, True)
        np.testing.assert_array_equal(vectors, whole[:, :8])
    assert asked.fingerprint == named.fingerprint
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("backend", ["native", pytest.param("torch", marks=pytest.mark.torch)])
@pytest.mark.parametrize("size", [0, 33])
def test_truncate_dim_out_of_range_is_refused(size, backend, normalize):
    with pytest.raises(ConfigError, match="truncate_dim must be"):
        HuggingFaceEmbedding(str(BERT), truncate_dim=size, backend=backend, normalize=normalize)


def test_normalize_off_leaves_it_to_the_model(folder):
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))

    raw = HuggingFaceEmbedding(str(folder), normalize=False).encode(["mars"])
    scaled = HuggingFaceEmbedding(str(folder)).encode(["mars"])
    by_model = HuggingFaceEmbedding(str(BERT), normalize=False).encode(["mars"])

    assert abs(np.linalg.norm(raw) - 1) > 0.1
    np.testing.assert_allclose(scaled, raw / np.linalg.norm(raw), atol=1e-6)
    assert np.linalg.norm(by_model) == pytest.approx(1, abs=1e-5)


def test_the_page_compares_by_the_inner_model():
    model = HuggingFaceEmbedding(str(BERT))
    query = model.get_query_embedding("mars")
    texts = model.get_text_embedding_batch(["mars", "venus is bright", "the sun"])

    scores = model._model.similarity(query, texts)

    assert scores.shape == (1, 3)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert model._model.encode("mars").shape == (32,)
    assert model._model.encode(["mars", "venus"]).shape == (2, 32)


def test_the_folders_own_comparison_is_used(folder):
    change(folder / "config_sentence_transformers.json", similarity_fn_name="euclidean")

    model = HuggingFaceEmbedding(str(folder))

    assert model.similarity_mode is SimilarityMode.EUCLIDEAN
    assert model._model.similarity([0.0, 0.0], [3.0, 4.0]).tolist() == [[-5.0]]


def test_a_call_is_one_plan_not_many_small_ones(monkeypatch):
    model = HuggingFaceEmbedding(str(BERT))
    sizes = []
    embed = model._runner.embed
    monkeypatch.setattr(
        model._runner,
        "embed",
        lambda texts, prompt: sizes.append(len(texts)) or embed(texts, prompt),
    )

    model.encode([f"text {number}" for number in range(300)])

    assert sizes == [300]


@pytest.mark.parametrize("roundtrip", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
def test_it_survives_pickling(roundtrip):
    model = HuggingFaceEmbedding(str(BERT), query_instruction="query: ")

    again = roundtrip(model)

    np.testing.assert_array_equal(again.encode(["mars"]), model.encode(["mars"]))
    assert again.get_query_embedding("mars") == model.get_query_embedding("mars")
    assert again.fingerprint == model.fingerprint


def test_a_model_that_may_not_ask_the_hub_may_not_after_pickling_either(tmp_path):
    snapshot = tmp_path / "hub" / "models--owner--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(BERT, snapshot)
    model = HuggingFaceEmbedding(
        "owner/tiny", revision="a" * 40, cache_folder=tmp_path / "hub", local_files_only=True
    )
    pickled = pickle.dumps(model)
    shutil.rmtree(snapshot)

    with pytest.raises(ModelLoadError, match="local_files_only=True") as caught:
        pickle.loads(pickled)

    assert str(tmp_path / "hub") in str(caught.value)


def test_products_of_8_bits_are_asked_for_shown_and_part_of_the_fingerprint():
    exact = HuggingFaceEmbedding(str(BERT))
    rounded = HuggingFaceEmbedding(str(BERT), model_kwargs={"dtype": "int8"})
    assert "backend='native' (for model_kwargs['dtype']), dtype='int8', dim" in repr(rounded)
    assert "dtype" not in repr(exact)
    assert rounded.fingerprint != exact.fingerprint
    named = HuggingFaceEmbedding(str(BERT), backend="native", model_kwargs={"dtype": "float32"})
    assert named.fingerprint == exact.fingerprint
    text = ["it is raining cats and dogs"]
    assert (exact.encode(text) @ rounded.encode(text).T).item() > 0.98
    again = pickle.loads(pickle.dumps(rounded))
    np.testing.assert_array_equal(again.encode(text), rounded.encode(text))


def test_no_threads_at_all_is_refused():
    with pytest.raises(ConfigError, match="threads must be a whole number of at least 1, not 0"):
        HuggingFaceEmbedding(str(BERT), threads=0)


def test_weights_that_give_nan_name_the_text(folder):
    tensors = {k: v.copy() for k, v in SafetensorsFile(folder / "model.safetensors").items()}
    tensors["encoder.layer.1.output.LayerNorm.bias"][3] = np.nan
    write_safetensors(folder / "model.safetensors", tensors)
    model = HuggingFaceEmbedding(str(folder))

    with pytest.raises(InvalidVectorsError, match=r"NaN.*text 0 \('mars'\)"):
        model.encode(["mars", "venus"])


def test_an_unknown_keyword_is_refused_where_the_backend_was_named():
    with pytest.raises(TypeError, match="'temperature'"):
        HuggingFaceEmbedding(str(BERT), backend="native", temperature=1)


def test_a_device_native_cannot_run_on_is_refused():
    with pytest.raises(ConfigError, match="'cuda'"):
        HuggingFaceEmbedding(str(BERT), backend="native", device="cuda")


@pytest.mark.parametrize(
    ("backend", "library", "extra"),
    [
        ("torch", "torch", "torch"),
        ("onnx", "onnxruntime", "onnx"),
        ("openvino", "openvino", "openvino"),
    ],
)
def test_a_missing_library_gives_the_line_that_installs_it(
    backend, library, extra, folder, monkeypatch
):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    (folder / "openvino").mkdir()
    for suffix in ("xml", "bin"):
        (folder / "openvino" / f"openvino_model.{suffix}").write_bytes(b"")

    with pytest.raises(MissingDependencyError) as caught:
        HuggingFaceEmbedding(str(folder), backend=backend)
    assert f"[{extra}]" in caught.value.install
    assert caught.value.install in str(caught.value)


def test_a_missing_exporter_gives_the_line_that_installs_it(folder, monkeypatch):
    import sys

    shutil.rmtree(folder / "onnx")
    monkeypatch.setitem(sys.modules, "optimum", None)
    monkeypatch.setitem(sys.modules, "optimum.exporters.onnx", None)

    with pytest.raises(MissingDependencyError) as caught:
        HuggingFaceEmbedding(str(folder), backend="onnx")
    assert "[export]" in caught.value.install


def test_export_forbidden_and_no_graph_is_an_error(folder):
    shutil.rmtree(folder / "onnx")

    with pytest.raises(ModelLoadError, match="export=False"):
        HuggingFaceEmbedding(str(folder), backend="onnx", model_kwargs={"export": False})


# On torch.


@pytest.mark.torch
def test_a_keyword_only_sentence_transformers_knows_leads_there_and_is_said():
    model = HuggingFaceEmbedding(str(BERT), config_kwargs={"hidden_dropout_prob": 0.5})

    assert model.backend == "torch"
    assert "backend='torch' (for 'config_kwargs')" in repr(model)
    assert model._model[0].auto_model.config.hidden_dropout_prob == 0.5


@pytest.mark.torch
def test_a_keyword_nobody_knows_is_refused_by_sentence_transformers():
    with pytest.raises(TypeError, match="temperature"):
        HuggingFaceEmbedding(str(BERT), temperature=1)


@pytest.mark.torch
def test_a_device_that_is_not_there_is_named_never_replaced():
    import torch

    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ConfigError, match=f"'{absent}'"):
        HuggingFaceEmbedding(str(BERT), device=absent)


@pytest.mark.torch
@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
@pytest.mark.parametrize("value", ["bfloat16", "torch"])
def test_both_spellings_of_the_number_type_are_taken(key, value):
    import torch

    dtype = torch.bfloat16 if value == "torch" else value
    model = HuggingFaceEmbedding(str(BERT), model_kwargs={key: dtype})

    assert model._model.dtype is torch.bfloat16
    assert "model_kwargs" in repr(model)
    exact = HuggingFaceEmbedding(str(BERT))
    assert model.fingerprint != exact.fingerprint
    cosine = model.encode(["mars is red"]) @ exact.encode(["mars is red"]).T
    assert cosine[0, 0] > 0.99


@pytest.mark.torch
def test_a_number_type_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="'float7'"):
        HuggingFaceEmbedding(str(BERT), model_kwargs={"dtype": "float7"})


@pytest.mark.torch
def test_torch_counts_cuts_too():
    model = HuggingFaceEmbedding(str(BERT), backend="torch", on_truncation="error")

    with pytest.raises(InputTooLongError, match="Text 0"):
        model.encode([LONG])


@pytest.mark.torch
def test_the_page_gets_a_tensor_on_torch():
    import torch

    model = HuggingFaceEmbedding(str(BERT), backend="torch")

    scores = model._model.similarity(
        model.get_query_embedding("mars"), model.get_text_embedding_batch(["mars", "venus"])
    )

    assert isinstance(scores, torch.Tensor)
    assert scores.shape == (1, 2)


@pytest.mark.torch
def test_pickles_are_refused_on_torch(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin is a pickle"):
        HuggingFaceEmbedding(str(folder), backend="torch")


@pytest.mark.torch
def test_a_link_out_of_the_folder_is_refused_on_torch(folder, tmp_path):
    outside = tmp_path / "notes.json"
    outside.write_text("{}")
    (folder / "added_tokens.json").symlink_to(outside)

    with pytest.raises(ModelLoadError, match=r"added_tokens\.json leads out"):
        HuggingFaceEmbedding(str(folder), backend="torch")


def add_module(folder, kind, config, weights):
    """Put a module of sentence-transformers after those the folder has."""
    modules = json.loads((folder / "modules.json").read_text())
    place = folder / f"3_{kind}"
    entry = {"idx": 3, "name": "3", "path": place.name}
    entry["type"] = f"sentence_transformers.models.{kind}"
    (folder / "modules.json").write_text(json.dumps([*modules, entry]))
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    write_safetensors(place / "model.safetensors", weights, {"format": "pt"})


@pytest.mark.torch
def test_a_module_unknown_here_runs_on_torch(folder):
    ones = np.ones(32, np.float32)
    add_module(folder, "LayerNorm", {"dimension": 32}, {"norm.weight": ones, "norm.bias": ones})

    model = HuggingFaceEmbedding(str(folder))

    assert "backend='torch' (its module 'LayerNorm' is not known here)" in repr(model)
    assert model.encode(["mars"]).shape == (1, 32)


@pytest.mark.torch
def test_a_layer_after_the_normalising_undoes_it_and_the_fingerprint_knows(folder):
    config = {"in_features": 32, "out_features": 32, "bias": False}
    config["activation_function"] = "torch.nn.modules.linear.Identity"
    add_module(folder, "Dense", config, {"linear.weight": 3 * np.eye(32, dtype=np.float32)})

    scaled, left = (HuggingFaceEmbedding(str(folder), normalize=each) for each in (True, False))

    np.testing.assert_allclose(3 * scaled.encode(["mars"]), left.encode(["mars"]), rtol=1e-5)
    assert scaled.fingerprint != left.fingerprint


@pytest.mark.torch
@pytest.mark.slow
def test_processes_end_with_a_model_that_nobody_closed(folder):
    model = HuggingFaceEmbedding(
        str(folder), backend="torch", parallel_process=True, target_devices=["cpu"]
    )
    model.encode(["mars"])
    (process,) = model._runner._pool["processes"]

    del model

    with pytest.raises(ValueError, match="closed"):  # which is done once it has ended
        process.is_alive()


@pytest.mark.torch
@pytest.mark.slow
def test_processes_are_started_once_and_stopped(folder):
    model = HuggingFaceEmbedding(
        str(folder),
        backend="torch",
        parallel_process=True,
        target_devices=["cpu", "cpu"],
        on_truncation="ignore",
    )
    plain = HuggingFaceEmbedding(str(folder), backend="torch", on_truncation="ignore")
    try:
        texts = [f"text {number} {LONG}" for number in range(8)]
        np.testing.assert_allclose(model.encode(texts), plain.encode(texts), atol=1e-5)
        pool = model._runner._pool
        report = model.encode_with_report(texts)[1]
        assert model._runner._pool is pool
        assert report.truncated_texts == 8
        with ThreadPoolExecutor(2) as threads:  # two calls at once get their own vectors each
            cats = [f"cats {number}" for number in range(40)]
            rain = [f"the rain {number}" for number in range(40)]
            of_cats, of_rain = threads.map(model.encode, (cats, rain))
        np.testing.assert_allclose(of_cats, plain.encode(cats), atol=1e-5)
        np.testing.assert_allclose(of_rain, plain.encode(rain), atol=1e-5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model._runner.engine.model, "encode", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.encode(["stopped"])
        assert model._runner._pool is None
        np.testing.assert_allclose(model.encode(cats), plain.encode(cats), atol=1e-5)
    finally:
        model.close()
    assert model._runner._pool is None


def _interrupted(*_texts, **_options):
    raise KeyboardInterrupt


@pytest.mark.torch
@pytest.mark.slow
def test_a_prompt_that_is_switched_off_is_so_in_other_processes_too(folder):
    change(
        folder / "config_sentence_transformers.json",
        prompts={"query": "query: ", "document": "passage: "},
        default_prompt_name="query",
    )
    off = {"query_instruction": "", "text_instruction": "", "backend": "torch"}
    plain = HuggingFaceEmbedding(str(folder), **off)
    model = HuggingFaceEmbedding(
        str(folder), parallel_process=True, target_devices=["cpu", "cpu"], **off
    )
    try:
        np.testing.assert_allclose(model.encode(["mars"]), plain.encode(["mars"]), atol=1e-5)
    finally:
        model.close()


@pytest.mark.torch
def test_a_pickle_that_is_trusted_is_read_and_part_of_the_fingerprint(folder):
    import torch

    safe = HuggingFaceEmbedding(str(folder), backend="torch")
    tensors = {
        name: torch.tensor(np.array(t)) for name, t in SafetensorsFile(folder / WEIGHTS).items()
    }
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelLoadError, match="trust_remote_code=True"):
        HuggingFaceEmbedding(str(folder), backend="torch")

    model = HuggingFaceEmbedding(str(folder), backend="torch", trust_remote_code=True)
    np.testing.assert_allclose(model.encode(["mars"]), safe.encode(["mars"]), atol=1e-6)
    trusted = model.fingerprint
    tensors["embeddings.LayerNorm.bias"] += 1
    torch.save(tensors, folder / "pytorch_model.bin")
    other = HuggingFaceEmbedding(str(folder), backend="torch", trust_remote_code=True)
    assert other.fingerprint != trusted


@pytest.mark.torch
def test_the_number_of_a_device_is_a_graphics_card_and_not_the_cpu(folder):
    with pytest.raises(ConfigError, match="There is no device 0 here"):
        HuggingFaceEmbedding(str(folder), device=0)


def test_the_native_engine_has_all_cores_at_work_with_parallel_process_or_without(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = HuggingFaceEmbedding(
            str(folder), parallel_process=True, target_devices=["cpu", "cpu"]
        )

    assert model.backend == "native"
    plain = HuggingFaceEmbedding(str(folder))
    np.testing.assert_array_equal(model.encode(["mars"]), plain.encode(["mars"]))


@pytest.mark.onnx
def test_where_parallel_process_does_nothing_it_is_said(folder):
    with pytest.warns(UserWarning, match="parallel_process=True does nothing on backend='onnx'"):
        HuggingFaceEmbedding(str(folder), backend="onnx", parallel_process=True)


def test_the_native_engine_refuses_other_devices_in_either_keyword(folder):
    for where in ({"device": "cuda:1"}, {"target_devices": ["cpu", "cuda:1"]}):
        with pytest.raises(ConfigError, match="runs on the CPU, not on 'cuda:1'"):
            HuggingFaceEmbedding(str(folder), backend="native", **where)
