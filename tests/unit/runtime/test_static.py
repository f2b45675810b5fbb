"""A word table gives each text the mean of its tokens' rows."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.static import StaticEmbedding
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.safetensors import write_safetensors
from nearfield.runtime.static import TOKENS_AT_ONCE, StaticEngine, StaticFolder, read_static
from nearfield.testing.contracts import EmbeddingContract

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
VOCABULARY = len(json.loads((BERT / "tokenizer.json").read_text())["model"]["vocab"])
UNKNOWN = 1
TABLE = np.random.default_rng(3).standard_normal((VOCABULARY, 8)).astype(np.float32)


@pytest.fixture
def make(tmp_path):
    """Write a model folder."""

    def write(config=None, name="model", **tensors):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(BERT / "tokenizer.json", folder)
        write_safetensors(folder / "model.safetensors", tensors or {"embeddings": TABLE})
        (folder / "config.json").write_text(json.dumps(config or {"normalize": False}))
        return folder

    return write


def expected(model, texts, table=TABLE, weights=None):
    """The definition, one token at a time."""
    rows = []
    for ids in model.measure.encode(texts).ids:
        known = [token for token in ids if token != UNKNOWN]
        factors = [1 if weights is None else weights[token] for token in known]
        total = sum(
            f * table[token].astype(np.float64) for f, token in zip(factors, known, strict=True)
        )
        rows.append(total / len(known) if known else np.zeros(table.shape[1]))
    return np.array(rows)


TEXTS = ["mars is the red planet", "", "☃", "venus is bright", "a"]


def test_unknown_words_take_no_room_under_the_limit(make):
    model = StaticEmbedding(str(make()), normalize=False, max_length=4)
    text = "☃ ☃ mars ☃ is ☃ the ☃ red planet"

    vector, report = model.encode_with_report([text])

    np.testing.assert_allclose(vector, model.encode(["mars is the red"]), atol=1e-6)
    assert report.truncated_tokens == 1  # "planet"; what is unknown is never read


def test_a_vector_is_the_mean_of_its_rows(make):
    model = StaticEmbedding(str(make()), normalize=False)

    np.testing.assert_allclose(model.encode(TEXTS), expected(model, TEXTS), atol=1e-6)
    assert not model.encode(["", "☃"]).any()  # nothing known: zeros, not NaN


def test_vectors_have_length_one_when_asked_or_when_the_model_says(make):
    plain, normed = make(), make({"normalize": True}, "normed")

    for model in (StaticEmbedding(str(plain)), StaticEmbedding(str(normed), normalize=False)):
        lengths = np.linalg.norm(model.encode(TEXTS), axis=1)
        np.testing.assert_allclose(lengths, [1, 0, 0, 1, 1], atol=1e-6)


def test_weights_and_mapping_are_heeded(make):
    draw = np.random.default_rng(4)
    weights = draw.random(VOCABULARY).astype(np.float32)
    mapping = draw.integers(0, 10, VOCABULARY)
    folder = make(embeddings=TABLE[:10].astype(np.float16), weights=weights, mapping=mapping)
    model = StaticEmbedding(str(folder), normalize=False)

    table = TABLE[:10].astype(np.float16).astype(np.float32)[mapping]
    np.testing.assert_allclose(
        model.encode(TEXTS), expected(model, TEXTS, table, weights), atol=1e-6
    )


def test_many_texts_are_done_in_parts(make):
    model = StaticEmbedding(str(make()), on_truncation="ignore")
    texts = [f"mars {'is red ' * (number % 40)}{number}" for number in range(600)]
    assert sum(map(len, model.measure.encode(texts).ids)) > TOKENS_AT_ONCE

    whole = model.encode(texts)

    apart = np.concatenate([model.encode([text]) for text in texts[::37]])
    np.testing.assert_allclose(whole[::37], apart, atol=1e-6)


def test_a_text_longer_than_a_part_is_done_too(make):
    folder = read_static(make())
    engine = StaticEngine(folder, scale=False)
    long = [2 + number % 50 for number in range(TOKENS_AT_ONCE * 2)]

    vectors = engine.encode([[5], long, [6]])

    np.testing.assert_allclose(vectors[1], TABLE[long].mean(axis=0), atol=1e-4)
    np.testing.assert_array_equal(vectors[[0, 2]], TABLE[[5, 6]])


def test_no_texts_give_no_vectors(make):
    assert StaticEmbedding(str(make())).encode([]).shape == (0, 8)


def test_truncate_dim_keeps_the_first_numbers(make):
    folder = str(make())
    model = StaticEmbedding(folder, truncate_dim=3, normalize=False)

    assert model.dim == 3
    np.testing.assert_array_equal(
        model.encode(TEXTS), StaticEmbedding(folder, normalize=False).encode(TEXTS)[:, :3]
    )
    with pytest.raises(ConfigError, match="truncate_dim"):
        StaticEmbedding(folder, truncate_dim=9)


def test_the_limit_is_512_tokens_unless_said(make):
    assert StaticEmbedding(str(make())).max_tokens == 512
    assert StaticEmbedding(str(make({"seq_length": 9}, "short"))).max_tokens == 9
    assert StaticEmbedding(str(make(name="own")), max_length=7).max_tokens == 7


def test_fingerprints_and_pickles_follow_the_model(make):
    model = StaticEmbedding(str(make()))
    same = StaticEmbedding(str(make(name="copy")))
    other = StaticEmbedding(str(make(name="other", embeddings=TABLE + 1)))

    assert model.fingerprint == same.fingerprint
    assert len({model.fingerprint, other.fingerprint}) == 2
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))


@pytest.mark.torch
def test_the_form_of_sentence_transformers_is_read(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize
    from sentence_transformers.models import StaticEmbedding as Theirs
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(BERT / "tokenizer.json"))
    theirs = SentenceTransformer(
        modules=[Theirs(tokenizer, embedding_weights=TABLE), Normalize()], device="cpu"
    )
    theirs.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)

    ours = StaticEmbedding(str(tmp_path / "theirs"), normalize=False)

    texts = [text for text in TEXTS if text]
    np.testing.assert_allclose(ours.encode(texts), theirs.encode(texts), atol=1e-6)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), r"has no tokenizer\.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"has no model\.safetensors"),
        (lambda f: write_safetensors(f / "model.safetensors", {"w": TABLE}), "holds no word table"),
        (
            lambda f: write_safetensors(f / "model.safetensors", {"embeddings": TABLE[:5]}),
            r"tokens but vectors for 5",
        ),
        (
            lambda f: write_safetensors(
                f / "model.safetensors",
                {"embeddings": TABLE, "mapping": np.full(VOCABULARY, VOCABULARY)},
            ),
            "rows its table does not have",
        ),
        (
            lambda f: write_safetensors(
                f / "model.safetensors", {"embeddings": TABLE, "weights": np.ones(3, np.float32)}
            ),
            "3 weights for",
        ),
        (
            lambda f: (f / "modules.json").write_text(
                '[{"path": "", "type": "sentence_transformers.models.Transformer"}]'
            ),
            "Transformer module. Use HuggingFaceEmbedding",
        ),
    ],
)
def test_what_is_no_word_table_is_named(make, damage, reason):
    folder = make()
    damage(folder)

    with pytest.raises(ModelLoadError, match=reason):
        StaticEmbedding(str(folder))


class TestContract(EmbeddingContract):
    @pytest.fixture
    def model(self, make):
        return StaticEmbedding(str(make()), on_truncation="ignore")


def test_a_folder_says_which_files_are_its_own(make):
    folder = make()
    static: StaticFolder = read_static(folder)

    assert static.files == (folder / "model.safetensors", folder / "tokenizer.json")
    assert static.unknown == UNKNOWN
    assert static.tokens == VOCABULARY


@pytest.mark.parametrize(
    "option",
    [
        {"threads": 0},
        {"max_length": 0},
        {"max_length": "9"},
        {"truncate_dim": 0},
        {"truncate_dim": 10_000},
        {"on_truncation": "cut"},
        {"embed_batch_size": 0},
        {"num_workers": 0},
    ],
)
def test_options_out_of_range_are_refused_by_name(option, make):
    folder = make()

    with pytest.raises(ConfigError, match=next(iter(option))):
        StaticEmbedding(str(folder), **option)


def test_long_and_short_texts_give_the_mean_of_their_rows(make):
    """Short texts are added up place by place, long ones alone; in any company."""
    model = StaticEmbedding(str(make()), normalize=False)
    texts = ["mars", "", "red planet " * 40, "mars is red", "venus " * 64, "a " * 65]
    engine, ids = model._runner.engine, model._runner.tokenizer.encode(texts).ids

    vectors = model.encode(texts)

    for row, tokens in zip(vectors, ids, strict=True):
        known = [token for token in tokens if token != engine._folder.unknown]
        rows = engine._table[known] if known else np.zeros((1, 8))
        np.testing.assert_allclose(row, rows.mean(axis=0), atol=1e-6)
    for text, row in zip(texts, vectors, strict=True):
        np.testing.assert_array_equal(model.encode([text])[0], row)
