"""Every backend gives the scores sentence-transformers' CrossEncoder gave."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.rerankers.huggingface import HuggingFaceReranker
from nearfield.runtime import native

ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")
BACKENDS = ("native", pytest.param("torch", marks=pytest.mark.torch))
# The compiled engine keeps about 13 bits of weights and activations, and random weights forgive
# less than trained ones; that head, pairs and cuts are right is shown by the numpy reference.
TOLERANCE = {"native": 2e-4, "torch": 1e-6}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_sentence_transformers(
    architecture, backend, golden, reranking, cross_encoder_of
):
    """Among the pairs: an empty text, and ones where either part or both are cut."""
    folder = cross_encoder_of(architecture)
    reranker = HuggingFaceReranker(str(folder), backend=backend, on_truncation="ignore")

    questions = (golden.texts[4], golden.texts[6])
    scores = [reranker.rerank(question, golden.texts) for question in questions]

    expected = reranking[f"{architecture}/scores"]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE[backend])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_numpy_reference_gives_the_same_to_the_last_digits(
    architecture, golden, reranking, cross_encoder_of, monkeypatch
):
    monkeypatch.setattr(native, "_engine", None)
    monkeypatch.setattr(native, "_warned", True)
    reranker = HuggingFaceReranker(
        str(cross_encoder_of(architecture)), backend="native", on_truncation="ignore"
    )

    scores = reranker.rerank(golden.texts[6], golden.texts)

    assert reranker.backend == "native"
    np.testing.assert_allclose(scores, reranking[f"{architecture}/scores"][1], rtol=0, atol=1e-6)
