"""Pacing, as arithmetic over a clock handed in."""

from __future__ import annotations

import pytest

from nearfield.core.pacing import LONGEST_LEARNT_WAIT_S, Pace, duration_s
from nearfield.errors import ConfigError


def test_without_limits_nobody_waits():
    pace = Pace()
    assert [pace.reserve(1e9, 0) for _ in range(100)] == [0] * 100


def test_a_minutes_worth_goes_at_once_and_the_rest_evenly():
    pace = Pace(requests_per_minute=3)
    assert [pace.reserve(0, 0) for _ in range(6)] == pytest.approx([0, 0, 0, 20, 40, 60])


def test_what_was_not_used_comes_back_with_time_but_not_beyond_a_minutes_worth():
    pace = Pace(requests_per_minute=60)
    for _ in range(60):
        pace.reserve(0, 0)
    assert pace.reserve(0, 0) == pytest.approx(1)
    assert [pace.reserve(0, 1000) for _ in range(61)][-2:] == pytest.approx([0, 1])


def test_tokens_are_counted_beside_requests():
    pace = Pace(requests_per_minute=1000, tokens_per_minute=600)
    assert pace.reserve(500, 0) == 0
    assert pace.reserve(200, 0) == pytest.approx(10)


def test_a_request_larger_than_the_limit_goes_when_the_bucket_is_full():
    pace = Pace(tokens_per_minute=60)
    assert pace.reserve(600, 0) == 0
    assert pace.reserve(1, 0) == pytest.approx(541)


def test_tokens_reserved_but_not_used_are_given_back():
    pace = Pace(tokens_per_minute=60)
    pace.reserve(60, 0)
    pace.correct(60, 30, 0)
    assert pace.reserve(30, 0) == 0
    assert pace.reserve(30, 0) == pytest.approx(30)


def test_what_was_reserved_and_never_sent_is_given_back_whole():
    pace = Pace(requests_per_minute=60, tokens_per_minute=600)
    for _ in range(100):
        pace.reserve(60, 0)
        pace.give_back(60, 0)
        pace.settle(60)
    assert pace.reserve(600, 0) == 0
    assert pace.reserve(60, 0) == pytest.approx(6)


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute"])
def test_a_limit_that_lets_nothing_through_is_refused(name, limit):
    with pytest.raises(ConfigError, match=f"{name} must be more than 0"):
        Pace(**{name: limit})


def test_a_hold_stops_everybody_until_it_ends():
    pace = Pace()
    pace.hold(5, 100)
    pace.hold(2, 100)
    assert pace.reserve(0, 101) == pytest.approx(4)
    assert pace.reserve(0, 105) == 0


def headers(limit, left, reset, kind="requests"):
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(left),
        f"x-ratelimit-reset-{kind}": reset,
    }


def test_limits_are_learnt_from_headers():
    pace = Pace()
    pace.reserve(0, 0)
    pace.learn(headers(60, 1, "59s"), 0, 0)
    pace.settle(0)
    assert pace.reserve(0, 0) == 0
    assert pace.reserve(0, 0) == pytest.approx(1)


def test_requests_under_way_are_taken_off_what_the_service_says_is_left():
    pace = Pace()
    for _ in range(3):
        pace.reserve(0, 0)
    pace.learn(headers(60, 2, "58s"), 0, 0)
    assert pace.reserve(0, 0) == pytest.approx(1)


def test_limits_given_by_hand_are_not_overruled():
    pace = Pace(requests_per_minute=1000)
    pace.reserve(0, 0)
    pace.learn(headers(60, 0, "60s"), 0, 0)
    assert pace.reserve(0, 0) == 0


def test_a_limit_by_the_day_does_not_make_us_sleep_for_hours():
    pace = Pace()
    pace.reserve(0, 0)
    pace.learn(headers(200, 0, "8h"), 0, 0)
    pace.settle(0)
    for _ in range(10):
        assert pace.reserve(0, 0) <= LONGEST_LEARNT_WAIT_S


def test_headers_that_make_no_sense_are_ignored():
    pace = Pace()
    for wrong in (headers("x", 0, "1s"), headers(0, 0, "1s"), headers(10, "", "1s"), {}):
        pace.learn(wrong, 0, 0)
    assert [pace.reserve(0, 0) for _ in range(20)] == [0] * 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h2m3s", 3723),
        ("7", 7),
        ("1d", 86400),
        ("soon", None),
        ("5x", None),
        ("", None),
        (None, None),
    ],
)
def test_durations_are_read_as_the_service_writes_them(text, seconds):
    assert duration_s(text) == seconds
