"""Surroundings for code as users write it: a folder of texts, a hub, and OpenAI, none of them real.

The hub is a cache on disk that holds a tiny model under each of the names in
``HUB_MODELS``; OpenAI and Azure are played by a loopback server.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

HUB_MODELS = (
    "BAAI/bge-small-en-v1.5",
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
)
CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"
DATA = {
    "planets.md": (
        "# Planets\n\n"
        "Venus is often called Earth's twin because of its similar size and proximity. "
        "Mars, known for its reddish appearance, is often referred to as the Red Planet. "
        "Jupiter, the largest planet in our solar system, has a prominent red spot. "
        "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.\n"
    ),
    "animals.txt": (
        "Dogs bark when strangers come to the door. Cats sleep for most of the day. "
        "Whales are mammals that live in the sea and breathe air.\n"
    ),
    "cooking.txt": (
        "Boil the pasta in salted water for nine minutes. Bread dough needs an hour to rise. "
        "Onions turn sweet when they are fried slowly.\n"
    ),
}


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """A folder with texts, and stand-ins for what is not on this machine."""
    # Before the environment is changed: it is read at import, and would be kept.
    from huggingface_hub import constants

    from nearfield.testing.openai_server import OpenAIServer

    (tmp_path / "data").mkdir()
    for name, text in DATA.items():
        (tmp_path / "data" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path / "cache"))
    hub = tmp_path / "hub"
    for model in HUB_MODELS:
        put_in_cache(hub, model)
    cross_encoder = Path(__file__).parents[1] / "data" / "models" / "bert-cross"
    shutil.copytree(cross_encoder, cached(hub, CROSS_ENCODER), dirs_exist_ok=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.azure_endpoint)
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
        yield tmp_path


def cached(hub, model):
    """Make the folder a hub cache keeps a model in."""
    commit = "0" * 40
    home = hub / f"models--{model.replace('/', '--')}"
    folder = home / "snapshots" / commit
    folder.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    return folder


def put_in_cache(hub, model, *, dim=32, layers=2):
    """Write a tiny BERT into a hub cache, as ``hf download`` would have."""
    folder = cached(hub, model)
    (folder / "1_Pooling").mkdir()
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(DATA.values()).lower())))
    letters = [
        f"{hashes}{one}" for one in "abcdefghijklmnopqrstuvwxyz0123456789" for hashes in ("", "##")
    ]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *words]))
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * dim,
        "max_position_embeddings": 128,
        "type_vocab_size": 2,
        "vocab_size": len(vocabulary),
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    files = {
        "config.json": config,
        "modules.json": [
            {
                "idx": number,
                "name": str(number),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for number, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": dim,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast", "model_max_length": 128},
        "tokenizer.json": tokenizer_json(vocabulary),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "2_Normalize").mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(bert_weights(config)))


def tokenizer_json(vocabulary):
    def special(word):
        flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
        return {"id": vocabulary.index(word), "content": word, "special": True, **flags}

    ends = [{"SpecialToken": {"id": word, "type_id": 0}} for word in ("[CLS]", "[SEP]")]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    other = {"Sequence": {"id": "B", "type_id": 1}}
    closing = {"SpecialToken": {"id": "[SEP]", "type_id": 1}}
    return {
        "version": "1.0",
        "added_tokens": [special(word) for word in vocabulary[:4]],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [ends[0], text, ends[1]],
            "pair": [ends[0], text, ends[1], other, closing],
            "special_tokens": {
                word: {"id": word, "ids": [vocabulary.index(word)], "tokens": [word]}
                for word in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(vocabulary)},
        },
    }


def bert_weights(config):
    """Draw random weights for a BERT of this shape, always the same."""
    draw = np.random.default_rng(8086)
    dim, inner = config["hidden_size"], config["intermediate_size"]
    weights = {}

    def matrix(name, *shape):
        weights[name] = draw.normal(0, 0.3, shape).astype(np.float32)

    def dense(name, rows, columns):
        matrix(f"{name}.weight", rows, columns)
        weights[f"{name}.bias"] = np.zeros(rows, np.float32)

    def norm(name):
        weights[f"{name}.weight"] = np.ones(dim, np.float32)
        weights[f"{name}.bias"] = np.zeros(dim, np.float32)

    matrix("embeddings.word_embeddings.weight", config["vocab_size"], dim)
    matrix("embeddings.position_embeddings.weight", config["max_position_embeddings"], dim)
    matrix("embeddings.token_type_embeddings.weight", 2, dim)
    norm("embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense(f"{layer}.attention.{part}", dim, dim)
        norm(f"{layer}.attention.output.LayerNorm")
        dense(f"{layer}.intermediate.dense", inner, dim)
        dense(f"{layer}.output.dense", dim, inner)
        norm(f"{layer}.output.LayerNorm")
    dense("pooler.dense", dim, dim)
    return weights


def safetensors(tensors):
    """Write the safetensors format: length of the header, header, bytes."""
    header, parts, end = {"__metadata__": {"format": "pt"}}, [], 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [start, end]}
        parts.append(array.tobytes())
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(parts)
