"""The embedding contract, on every backend that runs here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.testing.contracts import EmbeddingContract

MODELS = Path(__file__).parent.parent / "data" / "models"
BERT = str(MODELS / "bert")


class TestNative(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return HuggingFaceEmbedding(BERT, on_truncation="ignore")


class TestNativeWithPromptsFewerNumbersAndACache(EmbeddingContract):
    @pytest.fixture
    def model(self, tmp_path):
        return HuggingFaceEmbedding(
            str(MODELS / "roberta"),
            query_instruction="query: ",
            text_instruction="passage: ",
            truncate_dim=16,
            max_length=24,
            threads=1,
            embed_batch_size=2,
            on_truncation="ignore",
            cache=EmbeddingCache(tmp_path / "cache.sqlite"),
        )


@pytest.fixture(scope="module")
def torch_model():
    return HuggingFaceEmbedding(BERT, backend="torch", on_truncation="ignore")


@pytest.fixture(scope="module")
def openvino_model(tmp_path_factory):
    import openvino

    copy = tmp_path_factory.mktemp("openvino") / "bert"
    shutil.copytree(BERT, copy)
    graph = openvino.Core().read_model(str(copy / "onnx" / "model.onnx"))
    openvino.save_model(graph, copy / "openvino" / "openvino_model.xml", compress_to_fp16=False)
    return HuggingFaceEmbedding(str(copy), backend="openvino", on_truncation="ignore")


@pytest.mark.torch
class TestTorch(EmbeddingContract):
    @pytest.fixture
    def model(self, torch_model):
        return torch_model


@pytest.mark.onnx
class TestOnnx(EmbeddingContract):
    @pytest.fixture
    def model(self):
        return HuggingFaceEmbedding(BERT, backend="onnx", on_truncation="ignore")


@pytest.mark.openvino
class TestOpenvino(EmbeddingContract):
    @pytest.fixture
    def model(self, openvino_model):
        return openvino_model
