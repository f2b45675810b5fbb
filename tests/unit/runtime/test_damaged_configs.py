"""What a model folder says of itself may be nonsense: the error names the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError, ModelLoadError, NearfieldError, UnknownModelError

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(BERT, copy)
    return copy


def say(folder, file, **said):
    path = folder / file
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | said))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("config.json", {"hidden_size": None}),
        ("config.json", {"num_attention_heads": "two"}),
        ("config.json", {"num_hidden_layers": -1}),
        ("config.json", {"layer_norm_eps": "tiny"}),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
        ("config_sentence_transformers.json", {"truncate_dim": "all"}),
        ("tokenizer_config.json", {"do_lower_case": "yes"}),
        ("1_Pooling/config.json", {"pooling_mode": 3}),
    ],
    ids=lambda part: json.dumps(part) if isinstance(part, dict) else part,
)
@pytest.mark.parametrize("backend", ["native", pytest.param("auto", marks=pytest.mark.torch)])
def test_nonsense_in_a_config_is_an_error_that_names_the_folder(folder, file, said, backend):
    say(folder, file, **said)

    with pytest.raises(NearfieldError, match=str(folder)):
        HuggingFaceEmbedding(str(folder), backend=backend)


def test_no_way_of_pooling_is_refused_by_name(folder):
    say(folder, "1_Pooling/config.json", pooling_mode=[])

    with pytest.raises(ModelLoadError, match=r"model: its Pooling module names no way of pooling"):
        HuggingFaceEmbedding(str(folder), backend="native")


@pytest.mark.torch
def test_what_sentence_transformers_cannot_make_of_a_folder_is_an_error_that_names_it(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(modules))

    with pytest.raises(ModelLoadError, match=f"sentence-transformers cannot load {folder}"):
        HuggingFaceEmbedding(str(folder), backend="torch")


def test_weights_that_do_not_fit_are_an_error_that_names_the_folder(folder):
    say(folder, "config.json", hidden_size=64)

    with pytest.raises(ModelLoadError, match=f"^{folder}: Tensor '.*' has shape"):
        HuggingFaceEmbedding(str(folder), backend="native")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"truncate_dim": True}, "truncate_dim must be a whole number of at least 1, not True"),
        ({"prompts": "query: "}, "prompts must be texts by name, not 'query: '"),
        ({"model_kwargs": "onnx"}, "model_kwargs must be settings by name, not 'onnx'"),
        ({"query_instruction": 5}, "query_instruction must be a text, not 5"),
        ({"text_instruction": b"x"}, "text_instruction must be a text, not b'x'"),
    ],
)
def test_nonsense_in_an_argument_is_an_error_that_names_it(said, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFaceEmbedding(str(BERT), **said)


def test_a_name_too_long_for_a_folder_is_no_model():
    with pytest.raises(UnknownModelError, match="cannot be the name of a model"):
        HuggingFaceEmbedding("x" * 5000)
