"""The numpy encoder against transformers, and its formulas against exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearfield.runtime import native, reference
from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.encoder import Norm

FAMILIES = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
    "distilbert": "DistilBertModel",
    "mpnet": "MPNetModel",
}


def test_gelu_is_x_times_the_normal_distribution():
    x = np.linspace(-8, 8, 1001)
    exact = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(reference.gelu(x), exact, atol=6e-7)


def test_gelu_by_tanh_follows_its_formula():
    assert reference.gelu_tanh(np.array([1.0]))[0] == pytest.approx(0.8411919906)


def test_a_normed_row_has_mean_zero_and_variance_one():
    x = np.random.default_rng(0).normal(3, 5, (4, 64))
    out = reference.layer_norm(x, Norm(np.ones(64, np.float32), np.zeros(64, np.float32)), 1e-12)
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=1), 1, rtol=1e-9)


def transformers_model(family, hidden, activation):
    """Make a tiny random model of transformers: it, its configuration, its tensors."""
    import torch
    import transformers

    name = FAMILIES[family]
    model_class = getattr(transformers, name)
    sizes = {"vocab_size": 97, "max_position_embeddings": 90, "pad_token_id": 1}
    if family == "distilbert":
        sizes |= {"dim": hidden, "n_heads": 4, "n_layers": 2, "hidden_dim": 80}
        sizes |= {"activation": activation}
    else:
        sizes |= {"hidden_size": hidden, "num_attention_heads": 4, "num_hidden_layers": 2}
        sizes |= {"intermediate_size": 80, "hidden_act": activation}
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # the defaults hide errors: zero biases, tiny weights
            parameter.copy_(torch.randn_like(parameter) * 0.1 + (parameter == 1))
    tensors = {key: value.numpy() for key, value in model.state_dict().items()}
    return model, model.config.to_dict(), tensors


@pytest.mark.torch
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("hidden", [32, 48, 128])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_agree_with_transformers(family, hidden, activation):
    """Architectures without weights at hand are held to torch by random ones."""
    import torch

    model, config, tensors = transformers_model(family, hidden, activation)
    encoder = read_encoder(config, tensors)
    rng = np.random.default_rng(1)
    texts = [[0, *rng.integers(3, 97, n).tolist(), 2] for n in (1, 6, 40, 80)]
    with torch.no_grad():
        expected = [model(torch.tensor([ids]))[0][0].numpy() for ids in texts]
    engine = native.NativeEngine(encoder, native.Head())
    for ids, states, ours in zip(texts, expected, engine.states(texts), strict=True):
        plain = reference.token_states(encoder, ids)
        np.testing.assert_allclose(plain, states, atol=2e-5)
        np.testing.assert_allclose(ours, states, atol=6e-3)
        cosine = (ours * states).sum() / np.linalg.norm(ours) / np.linalg.norm(states)
        assert cosine > 0.999999


@pytest.mark.torch
@pytest.mark.parametrize("activation", ["gelu_new", "gelu_pytorch_tanh"])
def test_the_gelu_by_tanh_agrees_with_transformers(activation):
    import torch

    model, config, tensors = transformers_model("bert", 32, activation)
    encoder = read_encoder(config, tensors)
    ids = list(range(3, 40))
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0][0].numpy()
    np.testing.assert_allclose(reference.token_states(encoder, ids), expected, atol=2e-5)
    engine = native.NativeEngine(encoder, native.Head())
    np.testing.assert_allclose(engine.states([ids])[0], expected, atol=6e-3)


@pytest.mark.torch
def test_a_padding_token_inside_a_text_keeps_its_own_position():
    """RoBERTa numbers positions over real tokens, wherever the padding id stands."""
    import torch

    model, config, tensors = transformers_model("roberta", 32, "gelu")
    encoder = read_encoder(config, tensors)
    ids = [0, 5, 1, 6, 7, 2]
    with torch.no_grad():
        expected = model(torch.tensor([ids]), attention_mask=torch.ones(1, 6))[0][0].numpy()
    np.testing.assert_allclose(reference.token_states(encoder, ids), expected, atol=2e-5)
    engine = native.NativeEngine(encoder, native.Head())
    np.testing.assert_allclose(engine.states([ids])[0], expected, atol=6e-3)


@pytest.mark.torch
def test_token_types_agree_with_transformers():
    """A pair of texts, as cross-encoders take it."""
    import torch

    model, config, tensors = transformers_model("bert", 32, "gelu")
    encoder = read_encoder(config, tensors)
    ids, types = [3, 4, 5, 6, 7], [0, 0, 0, 1, 1]
    with torch.no_grad():
        kinds = torch.tensor([types])
        expected = model(torch.tensor([ids]), token_type_ids=kinds)[0][0].numpy()
    plain = reference.token_states(encoder, ids, token_types=types)
    np.testing.assert_allclose(plain, expected, atol=2e-5)
    engine = native.NativeEngine(encoder, native.Head())
    ours = engine.states([ids], token_types=[types])[0]
    np.testing.assert_allclose(ours, expected, atol=6e-3)
