"""Cross-encoders from model folders: what is read, cut, counted and refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.core.report import EmbeddingReport, reporting
from nearfield.errors import ConfigError, InputTooLongError, InvalidVectorsError, ModelLoadError
from nearfield.rerankers.huggingface import HuggingFaceReranker
from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

MODEL = Path(__file__).parents[2] / "data" / "models" / "bert-cross"
QUESTION = "which planet is known as the red planet?"
LONG = "it is raining cats and dogs here! " * 20


@pytest.fixture
def cross_encoder(tmp_path):
    """Give a folder to change."""
    return shutil.copytree(MODEL, tmp_path / "model")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


def type_the_text(folder):
    """Let the tokenizer give the text of a pair the type 1, which it leaves at 0."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    for part in content["post_processor"]["pair"][3:]:
        next(iter(part.values()))["type_id"] = 1
    path.write_text(json.dumps(content), "utf-8")


def with_tensors(folder, **changes):
    """Write the weights of a folder anew; ``None`` leaves a tensor out."""
    file = SafetensorsFile(folder / "model.safetensors")
    tensors = {name: np.array(file[name]) for name in file}
    tensors |= {name.replace("__", "."): values for name, values in changes.items()}
    write_safetensors(
        folder / "model.safetensors", {k: v for k, v in tensors.items() if v is not None}
    )


def test_native_is_chosen_where_it_can_run(cross_encoder):
    reranker = HuggingFaceReranker(str(cross_encoder))

    assert reranker.backend == "native"
    assert reranker.max_tokens == 32
    assert repr(reranker).startswith("HuggingFaceReranker(model_name=")


@pytest.mark.torch
def test_torch_is_chosen_for_what_native_cannot_run_and_says_why(cross_encoder):
    place = cross_encoder / "config.json"
    edit(place, sentence_transformers={"activation_fn": "torch.nn.modules.activation.Softplus"})

    reranker = HuggingFaceReranker(str(cross_encoder))

    assert reranker.backend == "torch"
    assert "Softplus is not known here" in repr(reranker)


def test_scores_go_through_a_sigmoid_unless_the_folder_says_otherwise(cross_encoder):
    logits = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars", "venus is bright"])
    edit(cross_encoder / "config.json", sentence_transformers=None)

    scores = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars", "venus is bright"])

    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize(
    "named",
    [
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sbert_ce_default_activation_function": "torch.nn.Identity"},
    ],
)
def test_the_older_name_of_the_activation_is_read(cross_encoder, named):
    expected = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"])
    edit(cross_encoder / "config.json", sentence_transformers=None, **named)

    assert HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"]) == expected


def test_the_activation_of_a_saved_cross_encoder_wins(cross_encoder):
    expected = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"])
    edit(cross_encoder / "config.json", sentence_transformers=None)
    own = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    (cross_encoder / "config_sentence_transformers.json").write_text(json.dumps(own))
    module = {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    (cross_encoder / "modules.json").write_text(json.dumps([module]))

    assert HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"]) == expected


def test_which_tokens_are_whose_matters_unless_the_tokenizer_does_not_say(cross_encoder):
    type_the_text(cross_encoder)
    typed = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"])
    names = ["input_ids", "attention_mask"]
    edit(cross_encoder / "tokenizer_config.json", model_input_names=names)

    untyped = HuggingFaceReranker(str(cross_encoder)).rerank(QUESTION, ["mars"])

    assert abs(typed - untyped) > 1e-3


def test_what_is_cut_is_counted_and_warned_of(cross_encoder):
    reranker = HuggingFaceReranker(str(cross_encoder))

    with (
        reporting(EmbeddingReport()) as report,
        pytest.warns(UserWarning, match="1 of 2 texts were, with their question, longer"),
    ):
        reranker.rerank(QUESTION, ["mars", LONG])

    assert report.truncated_texts == 1
    assert report.truncated_tokens > 100
    assert 32 < report.tokens < 64


def test_a_long_text_can_be_an_error(cross_encoder):
    reranker = HuggingFaceReranker(str(cross_encoder), on_truncation="error")

    with pytest.raises(InputTooLongError, match=r"Text 1 .* longer than the 32"):
        reranker.rerank(QUESTION, ["mars", LONG])


def test_a_shorter_limit_can_be_set_and_a_longer_than_the_models_not(cross_encoder):
    assert HuggingFaceReranker(str(cross_encoder), max_length=12).max_tokens == 12
    with pytest.raises(ConfigError, match="max_length=41"):
        HuggingFaceReranker(str(cross_encoder), max_length=41)
    with pytest.raises(ModelLoadError, match="leaves no room for a pair"):
        HuggingFaceReranker(str(cross_encoder), max_length=4)


def test_the_fingerprint_knows_what_changes_scores(cross_encoder):
    first = HuggingFaceReranker(str(cross_encoder))

    assert HuggingFaceReranker(str(cross_encoder)).fingerprint == first.fingerprint
    assert HuggingFaceReranker(str(cross_encoder), max_length=9).fingerprint != first.fingerprint
    edit(cross_encoder / "config.json", sentence_transformers=None)
    assert HuggingFaceReranker(str(cross_encoder)).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"model_input_names": ["input_ids", "attention_mask"]}),
        ("tokenizer_config.json", {"tokenizer_class": "MPNetTokenizer"}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
    ],
)
def test_a_folder_that_scores_otherwise_has_another_fingerprint(cross_encoder, name, change):
    type_the_text(cross_encoder)
    path = cross_encoder / name
    if not path.is_file():
        path.write_text("{}")
        # Else the tokenizer lowers every text by itself.
        edit(cross_encoder / "tokenizer_config.json", do_lower_case=False)
    first = HuggingFaceReranker(str(cross_encoder), backend="native")

    edit(path, **change)
    second = HuggingFaceReranker(str(cross_encoder), backend="native")

    asked = ("Which Planet is red?", ["Mars is the red planet."])
    assert abs(first.rerank(*asked) - second.rerank(*asked)) > 1e-3
    assert first.fingerprint != second.fingerprint


def test_a_reranker_travels_without_its_weights(cross_encoder):
    first = HuggingFaceReranker(str(cross_encoder), max_length=20, token="hf_secret")
    packed = pickle.dumps(first)

    second = pickle.loads(packed)

    assert len(packed) < 2_000
    assert b"hf_secret" not in packed
    np.testing.assert_array_equal(
        second.rerank(QUESTION, ["mars", "venus"]), first.rerank(QUESTION, ["mars", "venus"])
    )


def test_an_embedding_model_is_refused_by_name(cross_encoder):
    edit(cross_encoder / "config.json", architectures=["BertModel"])

    with pytest.raises(ModelLoadError, match="holds a BertModel, no cross-encoder"):
        HuggingFaceReranker(str(cross_encoder))


@pytest.mark.parametrize("labels", [{"id2label": {"0": "no", "1": "yes"}}, {"id2label": None}])
def test_a_model_of_several_labels_is_refused(cross_encoder, labels):
    edit(cross_encoder / "config.json", **labels)

    with pytest.raises(ModelLoadError, match="gives 2 labels"):
        HuggingFaceReranker(str(cross_encoder))


def test_a_folder_without_its_head_is_refused(cross_encoder):
    with_tensors(cross_encoder, classifier__bias=None)

    with pytest.raises(ModelLoadError, match="lacks the tensors 'classifier'"):
        HuggingFaceReranker(str(cross_encoder), backend="native")


def test_a_head_of_another_width_is_refused(cross_encoder):
    with_tensors(cross_encoder, classifier__weight=np.zeros((1, 31), np.float32))

    with pytest.raises(ConfigError, match="Dense head 1"):
        HuggingFaceReranker(str(cross_encoder), backend="native")


def test_a_head_of_more_scores_than_it_says_is_refused(cross_encoder):
    with_tensors(
        cross_encoder,
        classifier__weight=np.zeros((3, 32), np.float32),
        classifier__bias=np.zeros(3, np.float32),
    )

    with pytest.raises(ModelLoadError, match="gives another number"):
        HuggingFaceReranker(str(cross_encoder), backend="native")


def test_scores_that_are_no_numbers_name_the_text(cross_encoder):
    with_tensors(cross_encoder, classifier__bias=np.array([np.nan], np.float32))
    reranker = HuggingFaceReranker(str(cross_encoder), backend="native")

    with pytest.raises(InvalidVectorsError, match=r"gave nan for text 0 \('mars'\)"):
        reranker.rerank(QUESTION, ["mars"])


@pytest.mark.parametrize("kind", ["LogitScore", "Dense"])
def test_modules_that_are_not_known_are_refused_natively(cross_encoder, kind):
    package = "sentence_transformers.base.modules"
    modules = [{"path": "", "type": f"{package}.Transformer"}, {"path": "1", "type": f"x.{kind}"}]
    (cross_encoder / "modules.json").write_text(json.dumps(modules))

    with pytest.raises(ModelLoadError, match=f"modules Transformer, {kind} are not known"):
        HuggingFaceReranker(str(cross_encoder), backend="native")


def test_a_model_with_a_prompt_is_refused_natively(cross_encoder):
    own = {"default_prompt_name": "query", "prompts": {"query": "q: "}}
    (cross_encoder / "config_sentence_transformers.json").write_text(json.dumps(own))

    with pytest.raises(ModelLoadError, match="puts a prompt before its texts"):
        HuggingFaceReranker(str(cross_encoder), backend="native")


@pytest.mark.torch
def test_the_prompt_a_folder_puts_before_its_texts_is_part_of_the_fingerprint(cross_encoder):
    own = cross_encoder / "config_sentence_transformers.json"
    named = {}
    for prompt in ("q: ", "what planet is red "):
        own.write_text(json.dumps({"default_prompt_name": "query", "prompts": {"query": prompt}}))
        named[prompt] = HuggingFaceReranker(str(cross_encoder)).fingerprint

    assert len(set(named.values())) == len(named)


@pytest.mark.parametrize("backend", ["onnx", "openvino", "nosuch"])
def test_other_backends_are_refused(cross_encoder, backend):
    with pytest.raises(ConfigError, match="native"):
        HuggingFaceReranker(str(cross_encoder), backend=backend)


@pytest.mark.torch
def test_a_pickle_is_refused_on_torch(cross_encoder):
    (cross_encoder / "model.safetensors").unlink()
    (cross_encoder / "pytorch_model.bin").write_bytes(b"")

    with pytest.raises(ModelLoadError, match="pickle"):
        HuggingFaceReranker(str(cross_encoder), backend="torch")


@pytest.mark.torch
def test_a_device_that_is_not_there_is_refused(cross_encoder):
    with pytest.raises(ConfigError, match="'cuda:99'"):
        HuggingFaceReranker(str(cross_encoder), device="cuda:99")
