"""The retry policy, as arithmetic."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.retry import RetryPolicy, is_transient, retry_after


@pytest.mark.parametrize("status", [None, 408, 409, 429, 500, 502, 503, 529])
def test_these_may_pass(status):
    assert is_transient(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_these_never_pass(status):
    assert not is_transient(status)


def test_an_empty_account_does_not_fill_by_waiting():
    assert not is_transient(429, "insufficient_quota")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(1_000_060, usegmt=True)}, 60),
        ({"retry-after": formatdate(999_000, usegmt=True)}, 0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_wait_asked_for_is_read(headers, seconds):
    assert retry_after(headers, 1_000_000) == seconds


def test_waits_double_up_to_the_longest():
    policy = RetryPolicy()
    waits = [policy.wait(failures, chance=1) for failures in range(1, 11)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert policy.wait(11) is None


def test_being_asked_to_wait_for_nothing_is_no_reason_to_hurry():
    """So say some proxies, and every date that is past by our clock."""
    policy = RetryPolicy()
    assert [policy.wait(n, asked_s=0, chance=1) for n in range(1, 11)] == [
        policy.wait(n, chance=1) for n in range(1, 11)
    ]


def test_a_short_wait_asked_for_is_kept_once_and_no_shorter_than_the_doubling_later():
    waits = [RetryPolicy().wait(failures, asked_s=0.02, chance=0) for failures in (1, 2, 3)]
    assert waits == pytest.approx([0.02, 0.5, 1])
    assert RetryPolicy().wait(3, asked_s=30, chance=0) == 30


def test_chance_shortens_a_wait_by_half_at_most():
    assert RetryPolicy().wait(3, chance=0) == 1
    assert RetryPolicy().wait(3, chance=1) == 2


def test_a_service_never_reached_is_given_up_soon():
    policy = RetryPolicy()
    assert policy.wait(2, unreached=True) is not None
    assert policy.wait(3, unreached=True) is None
    assert RetryPolicy(max_retries=0).wait(1, unreached=True) is None


def test_all_waits_together_are_bounded():
    assert RetryPolicy().wait(2, waited_s=599.9) is None


@given(
    st.integers(1, 100),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1000),
    st.booleans(),
    st.floats(0, 1),
)
def test_a_wait_is_never_negative_nor_beyond_the_bounds(failures, asked, waited, unreached, chance):
    policy = RetryPolicy()
    wait = policy.wait(failures, asked_s=asked, waited_s=waited, unreached=unreached, chance=chance)
    if wait is not None:
        assert 0 <= wait <= policy.longest_asked_wait_s + policy.first_wait_s
        assert waited + wait <= policy.total_wait_s
        assert asked is None or wait >= asked
