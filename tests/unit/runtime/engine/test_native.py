"""The engine's door: what goes in, what comes out, what is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime import native
from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.native import Head, NativeEngine, Pooling
from nearfield.runtime.pooling import apply_head
from nearfield.runtime.reference import token_states

LAYER = "encoder.layer.1."


@pytest.fixture
def without_compiled_engine(monkeypatch):
    monkeypatch.setattr(native, "_engine", None)
    monkeypatch.setattr(native, "_warned", False)


def test_no_texts_give_no_rows(make_encoder):
    vectors = NativeEngine(make_encoder(), Head()).encode([])
    assert vectors.shape == (0, 32)
    assert vectors.dtype == np.float32


def test_vectors_come_in_the_order_of_the_texts(make_encoder, some_texts):
    encoder = make_encoder()
    vectors = NativeEngine(encoder, Head()).encode(some_texts)
    for ids, vector in zip(some_texts, vectors, strict=True):
        np.testing.assert_allclose(
            vector, apply_head(token_states(encoder, ids), Head()), atol=1e-3
        )
    assert vectors.flags.c_contiguous


def test_a_text_of_no_tokens_gives_zeros_and_disturbs_no_other(make_encoder):
    engine = NativeEngine(make_encoder(), Head())
    vectors = engine.encode([[], [5, 6], []])
    assert not vectors[[0, 2]].any()
    assert vectors[1].tobytes() == engine.encode([[5, 6]]).tobytes()


def test_a_prompt_is_left_out_only_where_the_head_says_so(make_encoder):
    encoder = make_encoder()
    with_prompt = NativeEngine(encoder, Head()).encode([[3, 4, 5]], prompt_tokens=2)
    without = NativeEngine(encoder, Head(include_prompt=False)).encode([[3, 4, 5]], prompt_tokens=2)
    states = token_states(encoder, [3, 4, 5])
    np.testing.assert_allclose(with_prompt[0], apply_head(states, Head()), atol=1e-3)
    last = Head((Pooling.LAST_TOKEN,))
    np.testing.assert_allclose(without[0], apply_head(states, last), atol=1e-3)


@pytest.mark.parametrize("wrong", [-1, 97, 2**31, -(2**40)])
def test_an_id_outside_the_vocabulary_is_refused_and_named(make_encoder, wrong):
    engine = NativeEngine(make_encoder(), Head())
    with pytest.raises(ConfigError, match=f"Text 1 holds token id {wrong}"):
        engine.encode([[1, 2], [3, wrong]])


def test_an_id_that_is_no_number_is_refused(make_encoder):
    engine = NativeEngine(make_encoder(), Head())
    with pytest.raises(ConfigError, match="not a whole number"):
        engine.encode([[1, None]])


def test_a_text_longer_than_the_positions_is_refused(make_encoder):
    engine = NativeEngine(make_encoder(max_position_embeddings=8), Head())
    assert engine.encode([[1] * 8]).shape == (1, 32)
    with pytest.raises(ConfigError, match="Text 1 has 9 tokens, the model reads 8"):
        engine.encode([[1], [1] * 9])


def test_types_are_checked_against_their_table(make_encoder):
    engine = NativeEngine(make_encoder(), Head())
    assert engine.states([[1, 2]], token_types=[[0, 1]])[0].shape == (2, 32)
    with pytest.raises(ConfigError, match="token type 2"):
        engine.states([[1, 2]], token_types=[[0, 2]])
    with pytest.raises(ConfigError, match="token type"):
        engine.states([[1, 2]], token_types=[[0]])


@pytest.mark.parametrize("threads", [0, -3])
def test_less_than_one_thread_is_refused(make_encoder, threads):
    with pytest.raises(ConfigError, match="threads"):
        NativeEngine(make_encoder(), Head(), threads=threads)
    with pytest.raises(ConfigError, match="threads"):
        NativeEngine(make_encoder(), Head()).encode([[1]], threads=threads)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", ["output.dense.weight", "attention.self.query.weight", "intermediate.dense.bias"]
)
def test_a_weight_that_is_no_number_is_found_when_loading(make_tensors, name, value):
    config, tensors = make_tensors()
    tensors[LAYER + name].flat[3] = value
    with pytest.raises(ModelLoadError, match=r"Layer 1 .*NaN or infinite"):
        NativeEngine(read_encoder(config, tensors), Head())


@pytest.mark.parametrize(
    "name",
    [
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.LayerNorm.bias",
        LAYER + "attention.output.LayerNorm.weight",
    ],
)
@pytest.mark.parametrize("way", Pooling)
def test_nan_in_a_table_reaches_the_vector(isa, make_tensors, name, way):
    """What is not looked at when loading must not turn into a number on its way."""
    config, tensors = make_tensors()
    values = tensors[name]
    if values.ndim == 2:
        values[1] = np.nan
    else:
        values[7] = np.nan
    engine = NativeEngine(read_encoder(config, tensors), Head((way,)))
    assert np.isnan(engine.encode([[5, 1, 6]])).any()


def test_nan_stays_with_its_own_text(isa, make_tensors):
    config, tensors = make_tensors()
    tensors["embeddings.word_embeddings.weight"][1] = np.nan
    engine = NativeEngine(read_encoder(config, tensors), Head())
    vectors = engine.encode([[5, 6], [5, 1], [7]])
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False]


def test_each_layer_is_given_back_once_it_was_read(make_tensors):
    given_back = []
    config, tensors = make_tensors()
    encoder = read_encoder(config, tensors, release=lambda: given_back.append(1))
    NativeEngine(encoder, Head())
    assert len(given_back) == 2


def test_the_facts_name_what_runs(isa):
    facts = native.engine_facts()
    assert facts["compiled"]
    assert facts["instruction_set"] == isa
    assert facts["available"][-1] == "portable"
    assert facts["threads"] >= 1


def test_the_name_says_which_kernels_run(isa, make_encoder):
    assert NativeEngine(make_encoder(), Head()).name == f"native {isa}"


def test_kernels_this_processor_lacks_are_refused():
    with pytest.raises(ConfigError, match="No kernels 'sse9' here"):
        native.select_isa("sse9")


def test_without_the_compiled_engine_numpy_answers_the_same(
    make_encoder, some_texts, without_compiled_engine
):
    """The fallback is told once a process, and says what to install."""
    encoder = make_encoder()
    with pytest.warns(UserWarning, match="python3-dev"):
        plain = NativeEngine(encoder, Head())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NativeEngine(encoder, Head())
    assert plain.name == "numpy reference"
    assert not native.engine_facts()["compiled"]
    vectors = plain.encode([*some_texts, []])
    expected = [apply_head(token_states(encoder, ids), Head()) for ids in some_texts]
    np.testing.assert_array_equal(vectors[:-1], np.stack(expected))
    assert not vectors[-1].any()
    states = plain.states(some_texts[:2], token_types=[[0] * len(t) for t in some_texts[:2]])
    np.testing.assert_array_equal(states[1], token_states(encoder, some_texts[1]))


def test_importing_the_module_loads_no_tokenizer_and_no_torch():
    code = (
        "import sys, nearfield.runtime.native\n"
        "assert not {'tokenizers', 'torch', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
