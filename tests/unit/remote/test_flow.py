"""A batch as requests, without a network: the driver here is a few lines of the test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.errors import BadRequestError, RateLimitError
from nearfield.remote.flow import embedding_flow


def drive(texts, poisoned=(), *, most=10_000, hopeless=lambda _text: None):
    """Run a flow against a service that refuses some texts, and too many at once."""
    sent, kept = [], []
    flow = embedding_flow(texts, hopeless=hopeless, keep=lambda part, _rows: kept.extend(part))
    try:
        part = next(flow)
        while True:
            sent.append(part)
            if len(part) > most:
                part = flow.throw(BadRequestError("too much", status=413))
            elif any(texts[number] in poisoned for number in part):
                part = flow.throw(BadRequestError("bad", status=400, param="input"))
            else:
                part = flow.send(np.array([[number, 1] for number in part], np.float32))
    except StopIteration as end:
        return end.value, sent, kept
    except BadRequestError as error:
        return error, sent, kept


def test_a_batch_that_passes_is_one_request():
    vectors, sent, kept = drive(["a", "b", "c"])
    assert vectors[:, 0].tolist() == [0, 1, 2]
    assert sent == [[0, 1, 2]]
    assert kept == []


@given(st.integers(1, 64), st.integers(1, 64))
def test_a_batch_too_large_is_halved_until_it_passes(count, most):
    vectors, sent, _ = drive([str(n) for n in range(count)], most=most)
    assert vectors[:, 0].tolist() == list(range(count))
    assert len(sent) <= 4 * count / min(most, count) + 1


@given(st.integers(1, 200), st.data())
def test_one_refused_text_is_found_in_few_requests_and_all_others_are_kept(count, data):
    bad = data.draw(st.integers(0, count - 1))
    texts = [f"text {n}" for n in range(count)]
    error, sent, kept = drive(texts, {texts[bad]})
    assert isinstance(error, BadRequestError)
    assert error.texts == (texts[bad],)
    assert sorted(kept) == [n for n in range(count) if n != bad]
    assert len(sent) <= 2 * np.ceil(np.log2(max(count, 2))) + 1


@given(st.integers(4, 10), st.data())
def test_in_a_batch_of_ten_every_refused_text_is_found(count, data):
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2))
    texts = [f"text {n}" for n in range(count)]
    error, _, kept = drive(texts, {texts[n] for n in bad})
    assert error.texts == tuple(texts[n] for n in sorted(bad))
    assert len(kept) == count - len(bad)


def test_the_number_of_requests_is_bounded_whatever_is_refused():
    texts = [f"text {n}" for n in range(2048)]
    error, sent, _ = drive(texts, set(texts[::2]))
    assert isinstance(error, BadRequestError)
    assert len(sent) <= 110


def test_a_text_known_to_be_hopeless_is_never_sent():
    error, sent, kept = drive(["a", "", "b"], hopeless=lambda text: None if text else "empty")
    assert sent == [[0, 2]]
    assert error.texts == ("",)
    assert kept == [0, 2]


def test_any_other_failure_ends_the_batch():
    flow = embedding_flow(["a", "b"], hopeless=lambda _: None, keep=lambda *_: None)
    next(flow)
    with pytest.raises(RateLimitError):
        flow.throw(RateLimitError("slow down", status=429))
