"""The compiled module refuses what does not fit before any loop sees it."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.runtime._native import _engine

HIDDEN, HEADS, INNER, WORDS, PLACES = 32, 2, 64, 9, 6


def floats(*shape):
    return np.full(shape, 0.1, np.float32)


def model_arguments(**changes):
    arguments = {
        "kernels": "portable", "hidden": HIDDEN, "heads": HEADS, "inner": INNER, "layers": 1,
        "activation": 1, "epsilon": 1e-12, "words": floats(WORDS, HIDDEN), "scale": None,
        "positions": floats(PLACES, HIDDEN), "types": None, "weight": floats(HIDDEN),
        "bias": floats(HIDDEN), "distance": None,
    }  # fmt: skip
    assert set(changes) <= set(arguments)
    return tuple((arguments | changes).values())


def layer_arguments(threads=1, **changes):
    square = (floats(HIDDEN, HIDDEN), None, floats(HIDDEN))
    parts = {
        "query": square, "key": square, "value": square, "mix": square,
        "inner": (floats(INNER, HIDDEN), None, floats(INNER)),
        "outer": (floats(HIDDEN, INNER), None, floats(HIDDEN)),
    }  # fmt: skip
    norms = changes.pop("norms", tuple(floats(HIDDEN) for _ in range(4)))
    assert set(changes) <= set(parts)
    return tuple((parts | changes).values()), norms, threads


@pytest.fixture
def model():
    model = _engine.model(*model_arguments())
    _engine.add_layer(model, *layer_arguments())
    return model


@pytest.mark.parametrize(
    "change",
    [
        {"kernels": "none"}, {"hidden": 0}, {"hidden": -32}, {"hidden": 33}, {"hidden": 2**30},
        {"heads": 0}, {"heads": 3}, {"inner": 0}, {"inner": 2**30}, {"layers": -1},
        {"layers": 2**20}, {"activation": 9}, {"words": floats(WORDS, HIDDEN + 1)},
        {"words": floats(HIDDEN)},
        {"words": floats(0, HIDDEN)}, {"words": floats(WORDS, HIDDEN).astype(np.int32)},
        {"words": np.asfortranarray(floats(WORDS, HIDDEN))},
        {"words": np.ones((WORDS, HIDDEN), np.int8)}, {"scale": floats(WORDS)},
        {"words": np.ones((WORDS, HIDDEN), np.int8), "scale": floats(WORDS - 1)},
        {"words": None}, {"positions": floats(7)}, {"positions": floats(0, HIDDEN)},
        {"positions": floats(2, HIDDEN).astype(np.float64)}, {"types": floats(2, 31)},
        {"weight": floats(HIDDEN - 1)}, {"bias": floats(HIDDEN + 1)},
        {"distance": floats(HEADS, 4)}, {"distance": floats(HEADS * 5 + 1)},
        {"distance": floats(0)},
    ],
    ids=str,
)  # fmt: skip
def test_a_model_that_does_not_fit_together_is_refused(change):
    with pytest.raises((ValueError, TypeError, BufferError)):
        _engine.model(*model_arguments(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"query": (floats(HIDDEN, INNER), None, floats(HIDDEN))},
        {"query": (floats(HIDDEN, HIDDEN), None, floats(HIDDEN - 1))},
        {"query": (floats(HIDDEN, HIDDEN), floats(HIDDEN), floats(HIDDEN))},
        {"outer": (floats(INNER, HIDDEN), None, floats(HIDDEN))},
        {"inner": (floats(HIDDEN, HIDDEN), None, floats(HIDDEN))},
        {"key": None}, {"key": (1, 2)}, {"value": (None, None, None)},
        {"norms": ()}, {"norms": (floats(HIDDEN),) * 5}, {"norms": (floats(HIDDEN - 1),) * 4},
        {"threads": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_layer_that_does_not_fit_is_refused(change):
    model = _engine.model(*model_arguments())
    with pytest.raises((ValueError, TypeError, BufferError)):
        _engine.add_layer(model, *layer_arguments(**change))


def test_a_layer_too_many_or_too_few_is_refused(model):
    with pytest.raises(ValueError, match="all its layers"):
        _engine.add_layer(model, *layer_arguments())
    begun = _engine.model(*model_arguments())
    with pytest.raises(ValueError, match="lacks layers"):
        _engine.encode(begun, None, *encode_arguments())


def encode_arguments(**changes):
    arguments = {
        "ids": np.array([1, 2, 3], np.int32), "positions": np.arange(3, dtype=np.int32),
        "types": None, "lengths": np.array([1, 2], np.int32), "skip": 0, "threads": 1,
        "out": np.zeros((3, HIDDEN), np.float32),
    }  # fmt: skip
    assert set(changes) <= set(arguments)
    return tuple((arguments | changes).values())


def ints(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ints(1, 2, WORDS)}, {"ids": ints(1, -1, 2)}, {"ids": ints(1, 2)},
        {"ids": np.array([1, 2, 3])}, {"ids": ints(1, 2, 3, 4)[::2]}, {"ids": [1, 2, 3]},
        {"positions": ints(0, 1, PLACES)}, {"positions": ints(0, 1, -1)}, {"positions": ints(0)},
        {"types": ints(0, 0, 0)}, {"lengths": ints(1, 3)}, {"lengths": ints(4, -1)},
        {"lengths": ints(2**31 - 1, 4)}, {"lengths": np.array([1, 2])}, {"skip": -1},
        {"threads": 0}, {"out": np.zeros((2, HIDDEN), np.float32)},
        {"out": np.zeros((3, HIDDEN))}, {"out": bytes(12 * HIDDEN)},
    ],
    ids=str,
)  # fmt: skip
def test_texts_that_do_not_fit_the_model_are_refused(model, change):
    with pytest.raises((ValueError, TypeError, BufferError, IndexError)):
        _engine.encode(model, None, *encode_arguments(**change))


def test_texts_that_fit_are_encoded(model):
    out = np.zeros((3, HIDDEN), np.float32)
    _engine.encode(model, None, *encode_arguments(out=out))
    assert np.isfinite(out).all()
    assert out.any(axis=1).all()


@pytest.mark.parametrize(
    "arguments",
    [
        (0, (1,), (), 1, True),
        (HIDDEN, (), (), 1, True),
        (HIDDEN, (6,), (), 1, True),
        (HIDDEN, (-1,), (), 1, True),
        (HIDDEN, ("x",), (), 1, True),
        (HIDDEN, (1,) * 7, (), 1, True),
        (HIDDEN, (1,), (), 0, True),
        (HIDDEN, (1,), (), HIDDEN + 1, True),
        (HIDDEN, (1,), ((floats(HIDDEN + 1, 4), floats(4), 0),), 4, True),
        (HIDDEN, (1,), ((floats(HIDDEN, 4), floats(3), 0),), 4, True),
        (HIDDEN, (1,), ((floats(HIDDEN, 4), floats(4), 5),), 4, True),
        (HIDDEN, (1,), (None,), 4, True),
    ],
    ids=str,
)
def test_a_head_that_does_not_fit_together_is_refused(arguments):
    with pytest.raises((ValueError, TypeError)):
        _engine.head(*arguments)


def test_a_head_of_another_model_is_refused(model):
    head = _engine.head(HIDDEN // 2, (1,), (), 4, True)
    with pytest.raises(ValueError, match="another model"):
        _engine.encode(model, head, *encode_arguments(out=floats(2, 4)))


def test_one_kind_of_object_does_not_pass_for_another(model):
    head = _engine.head(HIDDEN, (1,), (), HIDDEN, True)
    with pytest.raises(ValueError, match="PyCapsule"):
        _engine.encode(head, model, *encode_arguments())
