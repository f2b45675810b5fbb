"""Every reranker keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfield.rerankers.huggingface import HuggingFaceReranker
from nearfield.testing.fake import FakeReranker
from nearfield.testing.reranker_contract import RerankerContract

FOLDER = Path(__file__).parent.parent / "data" / "models" / "bert-cross"


class TestNative(RerankerContract):
    tolerance = 0.0  # the same pair, the same bits, whatever it is scored with

    @pytest.fixture
    def reranker(self):
        return HuggingFaceReranker(str(FOLDER), backend="native", on_truncation="ignore")


@pytest.mark.torch
class TestTorch(RerankerContract):
    @pytest.fixture
    def reranker(self):
        return HuggingFaceReranker(str(FOLDER), backend="torch", on_truncation="ignore")


class TestFake(RerankerContract):
    @pytest.fixture
    def reranker(self):
        return FakeReranker()
