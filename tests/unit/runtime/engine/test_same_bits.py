"""A text gives the same bits whatever stands beside it and however many threads run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nearfield.runtime.native import Dense, Head, NativeEngine, Pooling

HEADS = [
    Head(),
    Head((Pooling.WEIGHTED_MEAN, Pooling.MAX), dense=(Dense(np.eye(24, 192, dtype=np.float32)),)),
]
# Large enough that texts of this test are shared out over threads.
BIG = {"hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 448}


@pytest.fixture
def engine(isa, make_encoder):
    return NativeEngine(make_encoder(model_type="mpnet", num_hidden_layers=3, **BIG), Head())


@pytest.fixture
def alone(engine, some_texts):
    """Give each text's vector, embedded by itself on one thread."""
    return np.concatenate([engine.encode([ids], threads=1) for ids in some_texts])


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_in_any_batch_at_any_number_of_threads(engine, some_texts, alone, threads):
    together = engine.encode(some_texts, threads=threads)
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("threads", [2, 5])
def test_when_one_text_is_shared_out_over_threads(engine, some_texts, alone, threads):
    one_by_one = [engine.encode([ids], threads=threads) for ids in some_texts]
    assert np.concatenate(one_by_one).tobytes() == alone.tobytes()


def test_in_any_order_and_beside_any_others(engine, some_texts, alone):
    rng = np.random.default_rng(0)
    for _ in range(10):
        chosen = rng.integers(0, len(some_texts), rng.integers(1, 60))
        vectors = engine.encode([some_texts[i] for i in chosen], threads=int(rng.integers(1, 4)))
        assert vectors.tobytes() == alone[chosen].tobytes()


@pytest.mark.parametrize("head", HEADS, ids=["plain", "dense"])
def test_with_any_head(isa, make_encoder, some_texts, head):
    engine = NativeEngine(make_encoder(**BIG), head)
    alone = np.concatenate([engine.encode([ids], threads=1) for ids in some_texts])
    assert engine.encode(some_texts, threads=3).tobytes() == alone.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("pooling", "place"), [(Pooling.CLS, 0), (Pooling.LAST_TOKEN, -1)])
@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_where_the_last_layer_computes_one_token_of_each_text_alone(
    isa, make_encoder, some_texts, family, pooling, place, threads
):
    encoder = make_encoder(model_type=family, num_hidden_layers=3, **BIG)
    engine = NativeEngine(encoder, Head((pooling, pooling), normalize=False))
    texts = [ids for ids in some_texts if ids]
    types = None if family == "mpnet" else [[n % 2 for n in range(len(ids))] for ids in texts]
    states = engine.states(texts, token_types=types)
    expected = np.array([np.tile(one[place], 2) for one in states])

    vectors = engine.encode(texts, token_types=types, threads=threads)
    assert vectors.tobytes() == expected.tobytes()
    # Beside a text of no tokens all are computed as ever.
    beside = engine.encode([[], *texts], token_types=types and [[], *types], threads=threads)
    assert beside.tobytes() == np.concatenate([np.zeros_like(expected[:1]), expected]).tobytes()


def test_a_prompt_that_is_left_out_may_be_all_there_is(isa, make_encoder):
    head = Head((Pooling.LAST_TOKEN,), normalize=False, include_prompt=False)
    engine = NativeEngine(make_encoder(**BIG), head)

    vectors = engine.encode([[5, 6], [5, 6, 7]], prompt_tokens=2)

    assert not vectors[0].any()
    assert vectors[1].tobytes() == engine.states([[5, 6, 7]])[0][-1].tobytes()


def test_when_callers_of_several_threads_share_one_engine(engine, some_texts, alone):
    with ThreadPoolExecutor(6) as callers:
        results = list(callers.map(lambda _: engine.encode(some_texts, threads=3), range(24)))
    assert {vectors.tobytes() for vectors in results} == {alone.tobytes()}


def test_when_built_again_on_another_number_of_threads(isa, make_encoder, some_texts):
    one, many = (NativeEngine(make_encoder(**BIG), Head(), threads=n) for n in (1, 4))
    assert one.encode(some_texts).tobytes() == many.encode(some_texts).tobytes()
