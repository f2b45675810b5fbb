"""A hand-over between two threads: nothing lost, nobody left waiting."""

from __future__ import annotations

import threading

import pytest

from nearfield.core.channel import AbandonedError, Channel


def sending(channel, items):
    thread = threading.Thread(target=channel.feed, args=(items,), daemon=True)
    thread.start()
    return thread


def test_items_arrive_in_order_and_end():
    channel = Channel(capacity=2)
    sending(channel, range(1000))

    assert list(channel) == list(range(1000))


def test_the_sender_runs_no_further_ahead_than_the_capacity():
    sent = []

    def items():
        for number in range(10):
            sent.append(number)
            yield number

    channel = Channel(capacity=2)
    thread = sending(channel, items())
    received = iter(channel)
    next(received)
    channel.abandon()
    thread.join(10)

    assert not thread.is_alive()
    assert len(sent) <= 4  # one received, two waiting, one in hand


def test_the_senders_failure_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        message = "the source broke"
        raise ValueError(message)

    channel = Channel(capacity=5)
    sending(channel, items())
    received = []

    with pytest.raises(ValueError, match="the source broke"):
        received.extend(item for item in channel if received.append(item))
    assert received == [1, 2]


def test_a_sender_is_told_when_the_receiver_has_gone():
    channel = Channel()
    channel.put(1)
    channel.abandon(OSError("the disk is full"))

    with pytest.raises(AbandonedError):
        channel.put(2)
    with pytest.raises(OSError, match="the disk is full"):
        channel.check()


def test_a_sender_that_waits_is_woken_when_the_receiver_leaves():
    channel = Channel()
    channel.put(1)
    thread = sending(channel, [2])  # waits: the channel is full
    channel.abandon()
    thread.join(10)

    assert not thread.is_alive()


def test_a_finished_channel_gives_what_was_sent_before():
    channel = Channel(capacity=3)
    channel.put("a")
    channel.finish()

    assert list(channel) == ["a"]
    channel.check()
