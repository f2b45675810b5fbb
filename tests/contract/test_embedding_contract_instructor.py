"""Instructor models, with a tiny random T5: the contract, and the arithmetic of the paper."""

from __future__ import annotations

import shutil
from typing import ClassVar

import numpy as np
import pytest

from nearfield.core.embeddings import resolve_embed_model
from nearfield.embeddings.instructor import InstructorEmbedding
from nearfield.errors import ModelLoadError
from nearfield.testing.contracts import EmbeddingContract

pytestmark = pytest.mark.torch

DIM = 16
WINDOW = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a T5 encoder of random weights with a tokenizer of characters, as a model folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "</s>": 1, **{c: n + 2 for n, c in enumerate(alphabet)}}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A </s>", special_tokens=[("</s>", 1)]
    )
    base = tmp_path_factory.mktemp("instructor")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(base / "t5")
    config = T5Config(
        vocab_size=len(vocabulary), d_model=DIM, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    T5EncoderModel(config).save_pretrained(base / "t5")
    transformer = modules.Transformer(str(base / "t5"), max_seq_length=WINDOW)
    pooling = modules.Pooling(DIM, pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device="cpu")
    model.save(str(base / "tiny"))
    return base / "tiny"


@pytest.fixture(scope="module")
def shared(folder):
    """Give a model of the tiny T5."""
    model = InstructorEmbedding(folder, device="cpu")
    model.on_truncation = "ignore"  # the contract's texts are long on purpose
    return model


class TestInstructor(EmbeddingContract):
    tolerance: ClassVar[float] = 1e-5

    # torch's modules are not made for several threads at once; one at a time is ours to ensure.
    @pytest.fixture
    def model(self, shared):
        return shared


def by_hand(model, instruction, text):
    """Give the mean over the text's tokens alone, instruction read but left out."""
    import torch

    transformer = model._model[0]
    tokenizer, encoder = transformer.tokenizer, transformer.auto_model
    read = tokenizer(instruction + text, return_tensors="pt", truncation=True, max_length=WINDOW)
    skipped = len(tokenizer(instruction, add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        states = encoder(**{k: read[k] for k in ("input_ids", "attention_mask")}).last_hidden_state
    mean = states[0, skipped:].mean(0).numpy()
    return mean / np.linalg.norm(mean)


def test_the_instruction_is_read_but_left_out_of_the_mean(folder):
    query, document = "Ask: ", "Tell: "
    model = InstructorEmbedding(
        folder, query_instruction=query, text_instruction=document, device="cpu"
    )
    for text in ("Mars", "the red planet"):
        asked = model.get_query_embedding(text)
        told = model.get_text_embedding(text)
        np.testing.assert_allclose(asked, by_hand(model, query, text), atol=1e-5)
        np.testing.assert_allclose(told, by_hand(model, document, text), atol=1e-5)
        assert asked != told


def test_one_instruction_may_serve_both(folder):
    model = InstructorEmbedding(folder, instruction="Represent: ", device="cpu")
    np.testing.assert_allclose(
        model.get_query_embedding("a"), model.get_text_embedding("a"), atol=1e-6
    )
    assert "Represent: " in repr(model)


def test_instructions_are_part_of_the_fingerprint(folder):
    fingerprints = {
        InstructorEmbedding(folder, instruction=words, device="cpu").fingerprint
        for words in ("", "a", "b")
    }
    assert len(fingerprints) == 3


def test_the_fingerprint_of_a_folder_is_that_of_what_is_in_it(folder, tmp_path):
    """Vectors of weights that were there before are not taken for those of the new ones."""
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "copy")
    before = InstructorEmbedding(copy, device="cpu").fingerprint
    assert before == InstructorEmbedding(folder, device="cpu").fingerprint
    (copy / "README.md").write_text("Read me.")
    (copy / "onnx").mkdir()
    (copy / "onnx" / "model.json").write_text("{}")
    assert before == InstructorEmbedding(copy, device="cpu").fingerprint

    weights = load_file(copy / "model.safetensors")
    weights["shared.weight"] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert before != InstructorEmbedding(copy, device="cpu").fingerprint


def test_what_the_model_does_not_read_is_counted_and_warned_of(folder):
    model = InstructorEmbedding(folder, instruction="Tell: ", device="cpu")
    length = WINDOW - len("Tell: ") - 1  # a token per character, and one at the end

    _, report = model.encode_with_report(["a" * length, "b" * (length + 5)])
    assert (report.truncated_texts, report.truncated_tokens) == (1, 5)
    assert report.tokens == 2 * WINDOW
    with pytest.warns(UserWarning, match=f"1 of 1 texts were longer than the {WINDOW} tokens"):
        model.get_text_embedding("b" * (length + 5))


def test_it_is_made_by_name(folder):
    assert resolve_embed_model(f"instructor:{folder}").dim == DIM


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        InstructorEmbedding(tmp_path / "nothing")
