"""The model inside the package: what it is, and what it refuses."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.embeddings.bundled import FOLDER, NAME, SUMS, BundledEmbedding, verify
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.errors import ConfigError, InputTooLongError, ModelLoadError

LONG = "word " * 300


@pytest.fixture(scope="module")
def model():
    return BundledEmbedding()


@pytest.fixture
def copied(tmp_path):
    """Give a copy of the model's folder, to be damaged."""
    return shutil.copytree(FOLDER, tmp_path / "model")


def test_it_has_a_name_a_width_and_a_window(model):
    assert model.model_name == NAME
    assert model.dim == 384
    assert model.max_tokens == 256
    assert model.encode(["a text"]).shape == (1, 384)


def test_vectors_have_length_one(model):
    vectors = model.encode(["", "a", "Mars is red.", LONG[:500]])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_near_texts_have_near_vectors(model):
    query = model.get_query_embedding("Which planet is red?")
    mars, soup = model.encode(["Mars looks red from afar.", "Boil the lentils for an hour."])
    assert model.similarity(query, mars) > model.similarity(query, soup) + 0.3


def test_no_texts_give_no_vectors(model):
    assert model.encode([]).shape == (0, 384)


def test_a_vector_does_not_depend_on_the_batch(model):
    texts = ["one", "two words", LONG[:400], "and four more words"]
    together = model.encode(texts)
    for row, text in enumerate(texts):
        assert np.array_equal(model.encode([text])[0], together[row])


def test_the_fingerprint_is_the_bundled_models_own(model):
    assert model.fingerprint.startswith(f"{NAME}/")
    assert model.fingerprint == BundledEmbedding(threads=1).fingerprint


def test_it_never_answers_for_the_name_of_the_original():
    with pytest.raises(ModelLoadError, match="all-MiniLM-L6-v2"):
        HuggingFaceEmbedding("sentence-transformers/all-MiniLM-L6-v2", local_files_only=True)


@pytest.mark.parametrize("name", [None, "default", "local", "bundled"])
def test_no_name_and_its_names_lead_to_it(name):
    assert isinstance(resolve_embed_model(name), BundledEmbedding)


def test_a_long_text_is_cut_with_a_warning():
    with pytest.warns(UserWarning, match="1 of 1 texts were longer than the 256 tokens"):
        BundledEmbedding().encode([LONG])


def test_a_long_text_is_refused_where_cutting_is_forbidden():
    with pytest.raises(InputTooLongError, match="longer than the 256"):
        BundledEmbedding(on_truncation="error").encode([LONG])


def test_an_unknown_way_to_truncate_is_refused():
    with pytest.raises(ConfigError, match="on_truncation"):
        BundledEmbedding(on_truncation="sometimes")


def test_two_models_share_the_weights(model):
    assert BundledEmbedding(on_truncation="ignore")._runner.engine is model._runner.engine


def test_a_pickled_model_leaves_its_weights_behind(model):
    pickled = pickle.dumps(model)
    assert len(pickled) < 10_000
    again = pickle.loads(pickled)
    assert np.array_equal(again.encode(["a text"]), model.encode(["a text"]))


def test_every_file_has_a_published_hash():
    verify()
    listed = {line.partition("  ")[2] for line in (FOLDER / SUMS).read_text().splitlines()}
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert files - listed == {SUMS, "LICENSE", "PROVENANCE.md"}
    assert listed <= files


def test_one_changed_byte_is_noticed(copied):
    weights = copied / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    with pytest.raises(ModelLoadError, match=r"model\.safetensors is damaged"):
        verify(copied)


def test_a_missing_file_is_named(copied):
    (copied / "tokenizer.json").unlink()
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json cannot be read"):
        verify(copied)


@pytest.mark.parametrize("content", ["", "not a list of hashes"])
def test_a_spoilt_list_of_hashes_is_no_permission(copied, content):
    (copied / SUMS).write_text(content)
    with pytest.raises(ModelLoadError, match="Install nearfield again"):
        verify(copied)
