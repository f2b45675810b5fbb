"""Model folders in the shapes the golden vectors were made from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.runtime.encoder import widen
from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

HERE = Path(__file__).parent
MODELS = HERE.parent / "data" / "models"
ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")


class Golden:
    """The texts, and the vectors sentence-transformers gave for them."""

    def __init__(self):
        content = json.loads((HERE / "local_texts.json").read_text("utf-8"))
        self.texts = content["texts"]
        self.prompt = content["prompt"]
        self.poolings = content["poolings"]
        with np.load(HERE / "local_vectors.npz") as vectors:
            self.vectors = dict(vectors)


@pytest.fixture(scope="session")
def golden():
    return Golden()


@pytest.fixture
def folder_of(golden, tmp_path):
    """Give the folder of a golden name, such as ``"bert/cls"``."""

    def folder(name):
        architecture, _, variant = name.partition("/")
        if not variant and architecture != "bert-dense":
            return MODELS / architecture
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(MODELS / "bert", copy)
        if architecture == "bert-dense":
            shutil.copytree(MODELS / "bert-dense", copy, dirs_exist_ok=True)
        elif variant == "plain":
            (copy / "modules.json").unlink()
            (copy / "sentence_bert_config.json").unlink()
        elif variant in golden.poolings:
            modules = json.loads((copy / "modules.json").read_text())
            (copy / "modules.json").write_text(json.dumps(modules[:2]))
            pooling = {"word_embedding_dimension": 32, **golden.poolings[variant]}
            (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        return copy

    return folder


@pytest.fixture(scope="session")
def reranking():
    """Give the heads, and the scores sentence-transformers' CrossEncoder gave with them."""
    with np.load(HERE / "reranking.npz") as stored:
        return dict(stored)


@pytest.fixture
def cross_encoder_of(reranking, tmp_path):
    """Give the folder of an architecture with a classification head; the config may be changed."""

    def folder(architecture, **changes):
        copy = tmp_path / f"{architecture}-cross"
        copy.mkdir(exist_ok=True)
        kind = {"distilbert": "DistilBert", "mpnet": "MPNet", "xlm-roberta": "XLMRoberta"}.get(
            architecture, architecture.capitalize()
        )
        config = json.loads((MODELS / architecture / "config.json").read_text("utf-8"))
        config |= {
            "architectures": [f"{kind}ForSequenceClassification"],
            "id2label": {"0": "LABEL_0"},
            "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
        }
        (copy / "config.json").write_text(json.dumps(config | changes))
        settings = json.loads((MODELS / architecture / "tokenizer_config.json").read_text("utf-8"))
        (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 32}))
        shutil.copy(MODELS / architecture / "tokenizer.json", copy)
        prefix = {"xlm-roberta": "roberta"}.get(architecture, architecture)
        encoder = SafetensorsFile(MODELS / architecture / "model.safetensors")
        tensors = {f"{prefix}.{name}": widen(encoder[name]) for name in encoder}
        at = f"{architecture}/head/"
        heads = {
            name.removeprefix(at): reranking[name] for name in reranking if name.startswith(at)
        }
        write_safetensors(copy / "model.safetensors", {**tensors, **heads})
        return copy

    return folder
