"""A model folder is read as sentence-transformers reads it; what is unsafe or broken is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nearfield.errors import ModelLoadError
from nearfield.runtime.model_files import check_links
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.pooling import Activation, Pooling
from nearfield.runtime.safetensors import write_safetensors
from nearfield.runtime.tokenizer_files import tokenizer_files

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(BERT, copy)
    return copy


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def change(folder, name, **facts):
    path = folder / name
    put(folder, name, json.loads(path.read_text()) | facts if path.is_file() else facts)


def set_modules(folder, *kinds, package="sentence_transformers.models"):
    modules = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": f"{package}.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    put(folder, "modules.json", modules)


def test_modules_limits_and_weights_are_read(folder):
    model = read_folder(folder)

    assert model.modules.pooling == (Pooling.MEAN,)
    assert model.modules.normalize
    assert model.max_tokens == 32
    assert model.position_limit == 40
    assert model.weight_files == (folder / "model.safetensors",)
    assert "embeddings.word_embeddings.weight" in model.tensors()
    model.require_understood()


def test_a_plain_transformer_is_pooled_by_the_mean(folder):
    (folder / "modules.json").unlink()

    model = read_folder(folder)

    assert model.modules.pooling == (Pooling.MEAN,)
    assert not model.modules.normalize


def test_a_causal_language_model_is_pooled_by_its_last_token(folder):
    (folder / "modules.json").unlink()
    change(folder, "config.json", architectures=["Qwen3ForCausalLM"])

    assert read_folder(folder).modules.pooling == (Pooling.LAST_TOKEN,)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls"}, (Pooling.CLS,)),
        ({"pooling_mode": ["mean", "max"]}, (Pooling.MEAN, Pooling.MAX)),
        ({"pooling_mode_weightedmean_tokens": True}, (Pooling.WEIGHTED_MEAN,)),
        ({"pooling_mode_lasttoken": True}, (Pooling.LAST_TOKEN,)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, (Pooling.MEAN_SQRT_LEN,)),
        ({}, (Pooling.MEAN,)),
    ],
)
def test_both_spellings_of_pooling_are_read(folder, config, pooling):
    put(folder, "1_Pooling/config.json", config)

    assert read_folder(folder).modules.pooling == pooling


def test_newer_paths_of_module_classes_are_read(folder):
    put(
        folder,
        "modules.json",
        [
            {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
            {
                "path": "1_Pooling",
                "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
            },
        ],
    )

    assert read_folder(folder).not_understood is None


def test_the_sentence_config_is_read(folder):
    put(
        folder,
        "config_sentence_transformers.json",
        {
            "prompts": {"query": "Q: ", "document": ""},
            "default_prompt_name": "query",
            "similarity_fn_name": "dot",
            "truncate_dim": 16,
        },
    )

    model = read_folder(folder)

    assert model.prompts == {"query": "Q: ", "document": ""}
    assert model.default_prompt_name == "query"
    assert model.similarity == "dot"
    assert model.truncate_dim == 16
    assert model.head().truncate_dim == 16


def test_a_limit_beyond_the_positions_is_brought_down(folder):
    change(folder, "sentence_bert_config.json", max_seq_length=4096)

    assert read_folder(folder).max_tokens == 40


def test_without_a_sentence_config_the_tokenizer_says_the_limit(folder):
    (folder / "sentence_bert_config.json").unlink()
    change(folder, "tokenizer_config.json", model_max_length=24)
    assert read_folder(folder).max_tokens == 24

    change(folder, "tokenizer_config.json", model_max_length=int(1e30))
    assert read_folder(folder).max_tokens == 40


def test_positions_that_begin_after_the_padding_are_not_counted(folder):
    change(folder, "config.json", model_type="roberta", pad_token_id=1)
    change(folder, "sentence_bert_config.json", max_seq_length=None)
    (folder / "tokenizer_config.json").unlink()

    assert read_folder(folder).max_tokens == 38


def test_a_dense_layer_is_read_with_its_weights(folder):
    shutil.copytree(BERT.parent / "bert-dense", folder, dirs_exist_ok=True)

    model = read_folder(folder)

    (dense,) = model.head().dense
    assert dense.weight.shape == (24, 32)
    assert dense.bias.shape == (24,)
    assert dense.activation is Activation.TANH
    assert model.weight_files[1] == folder / "2_Dense" / "model.safetensors"


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (("Transformer", "Pooling", "LSTM"), "'LSTM' is not known here"),
        (("Transformer", "Dense"), "'Dense' stands at an unusual place"),
        (("Transformer", "Pooling", "Normalize", "Dense"), "'Dense' stands at an unusual place"),
        (("Transformer", "Pooling", "Pooling"), "'Pooling' stands at an unusual place"),
        (("CLIPModel",), "'CLIPModel' is not known here"),
        (("Transformer",), "names no Pooling module"),
    ],
)
def test_modules_that_are_not_known_are_named_not_guessed(folder, kinds, reason):
    set_modules(folder, *kinds)

    with pytest.raises(ModelLoadError, match=reason):
        read_folder(folder).require_understood()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"activation_function": "my.own.Swish"}, "my.own.Swish"),
        ({"activation_function": "my.own.Tanh"}, "my.own.Tanh"),
        ({"module_input_name": "token_embeddings"}, "something else than the vector"),
    ],
)
def test_a_dense_layer_of_another_kind_is_named(folder, config, reason):
    set_modules(folder, "Transformer", "Pooling", "Dense")
    put(folder, "2_Dense/config.json", config)

    with pytest.raises(ModelLoadError, match=reason):
        read_folder(folder).require_understood()


@pytest.mark.parametrize("config", [{"pooling_mode": "middle"}, {"pooling_mode_middle": True}])
def test_an_unknown_pooling_is_named(folder, config):
    put(folder, "1_Pooling/config.json", config)

    with pytest.raises(ModelLoadError, match=r"'(pooling_mode_)?middle'"):
        read_folder(folder).require_understood()


def test_code_of_the_models_own_is_refused_by_name(folder):
    set_modules(folder, "Transformer", "Pooling", package="custom_code")

    with pytest.raises(ModelLoadError, match=r"custom_code\.Transformer .*trust_remote_code"):
        read_folder(folder).require_understood()


def test_a_config_that_names_code_is_refused(folder):
    change(folder, "config.json", auto_map={"AutoModel": "modeling.Mine"})

    with pytest.raises(ModelLoadError, match="auto_map"):
        read_folder(folder).require_understood()


def test_pickled_weights_are_refused_with_the_cure(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin, a pickle.*refs/pr"):
        read_folder(folder).tensors()


def test_absent_weights_are_named(folder):
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelLoadError, match=r"has no model\.safetensors"):
        _ = read_folder(folder).weight_files


def test_shards_are_found_by_their_index(folder):
    whole = read_folder(folder).tensors()
    names = list(whole)
    parts = {
        "model-00001-of-00002.safetensors": names[:5],
        "model-00002-of-00002.safetensors": names[5:],
    }
    for file, some in parts.items():
        write_safetensors(folder / file, {name: whole[name] for name in some})
    (folder / "model.safetensors").unlink()
    index = {name: file for file, some in parts.items() for name in some}
    put(folder, "model.safetensors.index.json", {"weight_map": index})

    model = read_folder(folder)

    assert set(model.tensors()) == set(names)
    assert [path.name for path in model.weight_files] == sorted(parts)

    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="lacks model-00002-of-00002"):
        read_folder(folder).tensors()


def test_an_index_that_leads_out_of_the_folder_is_refused(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    put(folder, "model.safetensors.index.json", {"weight_map": {"w": "../outside.safetensors"}})

    with pytest.raises(ModelLoadError, match="leads out of the model's folder"):
        read_folder(folder).tensors()


def test_a_module_path_that_leads_out_of_the_folder_is_refused(folder):
    put(
        folder,
        "modules.json",
        [{"type": "sentence_transformers.models.Transformer", "path": "../x"}],
    )

    with pytest.raises(ModelLoadError, match="outside the folder"):
        read_folder(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    outside = tmp_path / "secret.json"
    (folder / "config.json").rename(outside)
    (folder / "config.json").symlink_to(outside)

    with pytest.raises(ModelLoadError, match=r"config\.json leads out of the model's folder"):
        read_folder(folder)


def test_any_link_out_of_the_folder_is_found(folder, tmp_path):
    (tmp_path / "other.txt").write_text("x")
    check_links(folder)
    (folder / "1_Pooling" / "notes.txt").symlink_to(tmp_path / "other.txt")

    with pytest.raises(ModelLoadError, match=r"notes\.txt leads out"):
        check_links(folder)


def test_links_within_the_folder_are_followed(folder):
    (folder / "config.json").rename(folder / "real.json")
    (folder / "config.json").symlink_to("real.json")

    assert read_folder(folder).max_tokens == 32


def test_links_of_a_hub_cache_are_followed(folder, tmp_path):
    """There a snapshot is made of links into the blobs beside it."""
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("c" * 40)
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (snapshot / "config.json").rename(blobs / "abc")
    (snapshot / "config.json").symlink_to("../../blobs/abc")

    assert read_folder(snapshot).max_tokens == 32


def test_a_link_to_nothing_is_named(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("gone.json")

    with pytest.raises(ModelLoadError, match=r"tokenizer\.json is a link to nothing"):
        tokenizer_files(read_folder(folder))


@pytest.mark.parametrize("name", ["config.json", "modules.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("content", ['{"a": ', "", "[1, 2", '"text"'])
def test_a_broken_description_is_named(folder, name, content):
    put(folder, name, content)

    with pytest.raises(ModelLoadError, match=name.rpartition("/")[2].replace(".", r"\.")):
        read_folder(folder)


def test_a_git_lfs_pointer_is_named(folder):
    put(folder, "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    with pytest.raises(ModelLoadError, match="Git LFS pointer"):
        read_folder(folder).tensors()


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelLoadError, match=r"is not a model folder: config\.json is missing"):
        read_folder(tmp_path)


def test_a_folder_without_a_tokenizer_says_how_to_make_one(folder):
    (folder / "tokenizer.json").unlink()

    with pytest.raises(ModelLoadError, match="save_pretrained"):
        tokenizer_files(read_folder(folder))
