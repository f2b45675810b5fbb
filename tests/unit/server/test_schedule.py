"""Whose turn it is, without threads or clocks."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.server.refusal import Refusal
from nearfield.server.schedule import (
    Item,
    Items,
    Piece,
    Pieces,
    Room,
    Work,
    cut_in_pieces,
    length_class,
)

pytestmark = pytest.mark.server


@pytest.fixture
def future():
    loop = asyncio.new_event_loop()
    yield loop.create_future()
    loop.close()


@pytest.fixture
def make_work(future):
    return lambda *texts, arrived=0.0: Work(texts, "document", arrived, future)


def item(work, row=0, tokens=8, group=0):
    return Item(work, row, None, tokens, group)


def test_what_is_due_first_is_computed_first(make_work):
    early, late = make_work("a"), make_work("b")
    items = Items()
    items.put(item(late), due=2.0)
    items.put(item(early), due=1.0)

    assert [one.work for one in items.take(8, 1000)] == [early, late]


def test_a_short_text_shares_no_batch_with_a_long_one(make_work):
    long, short = make_work("long"), make_work("short")
    items = Items()
    items.put(item(long, tokens=500), due=1.0)
    items.put(item(short, tokens=8), due=2.0)

    assert [one.work for one in items.take(8, 10_000)] == [long]
    assert [one.work for one in items.take(8, 10_000)] == [short]


def test_a_late_short_text_goes_before_the_rest_of_a_large_request(make_work):
    """The texts of a large request are due one after the other, not all at its arrival."""
    large, small = make_work(*"abcdefgh"), make_work("x", arrived=3.5)
    items = Items()
    for row in range(8):
        items.put(item(large, row), due=float(row))
    items.put(item(small), due=3.5)

    order = [one.work for one in items.take(9, 1000)]

    assert order.index(small) == 4


def test_a_batch_stays_within_its_tokens(make_work):
    items = Items()
    for row in range(10):
        items.put(item(make_work("a"), row, tokens=30), due=row)

    assert len(items.take(100, 100)) == 3


def test_a_text_over_the_budget_goes_alone(make_work):
    items = Items()
    for row in range(2):
        items.put(item(make_work("a"), row, tokens=3000), due=row)

    assert len(items.take(100, 2048)) == 1


def test_texts_of_different_groups_are_not_computed_together(make_work):
    items = Items()
    items.put(item(make_work("a"), group="query"), due=1.0)
    items.put(item(make_work("b"), group="document"), due=2.0)

    assert [one.group for one in items.take(8, 1000)] == ["query"]


def test_the_work_of_those_who_have_gone_is_dropped(make_work):
    gone, here = make_work("a"), make_work("b")
    items = Items()
    items.put(item(gone), due=1.0)
    items.put(item(here), due=2.0)
    gone.gone = True

    assert [one.work for one in items.take(8, 1000)] == [here]
    assert (items.texts, items.tokens) == (0, 0)


def test_an_empty_queue_gives_nothing():
    assert Items().take(8, 1000) == []


@given(
    st.lists(st.tuples(st.integers(1, 600), st.floats(0, 10), st.booleans()), max_size=60),
    st.integers(1, 16),
    st.integers(1, 2048),
)
def test_every_text_that_is_wanted_is_taken_once(entries, texts, tokens):
    """Whatever the lengths and times: none lost, none twice, no batch over its limits."""
    loop = asyncio.new_event_loop()
    items, wanted = Items(), []
    for row, (length, due, gone) in enumerate(entries):
        work = Work(["a"], "document", 0.0, loop.create_future())
        one = item(work, row, length)
        items.put(one, due)
        work.gone = gone
        if not gone:
            wanted.append(row)
    loop.close()
    taken = []
    while batch := items.take(texts, tokens):
        assert len(batch) <= texts
        assert len(batch) == 1 or sum(one.tokens for one in batch) <= tokens
        assert len({length_class(one.tokens) for one in batch}) == 1
        taken += [one.row for one in batch]

    assert sorted(taken) == wanted
    assert (items.texts, items.tokens) == (0, 0)


@pytest.mark.parametrize(
    ("tokens", "expected"), [(0, 0), (1, 0), (32, 0), (33, 1), (128, 1), (129, 2), (513, 3)]
)
def test_lengths_are_classed_by_factors_of_four(tokens, expected):
    assert length_class(tokens) == expected


def test_a_large_request_is_read_in_pieces(make_work):
    pieces = cut_in_pieces(make_work(*["ab"] * 10), texts=4, characters=100)

    assert [(piece.start, piece.end, piece.size) for piece in pieces] == [
        (0, 4, 8),
        (4, 8, 8),
        (8, 10, 4),
    ]


def test_a_long_text_is_a_piece_of_its_own(make_work):
    pieces = cut_in_pieces(make_work("a", "b" * 200, "c"), texts=4, characters=100)

    assert [(piece.start, piece.end) for piece in pieces] == [(0, 1), (1, 2), (2, 3)]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=50), st.integers(1, 8))
def test_pieces_cover_a_request_in_order(texts, most):
    loop = asyncio.new_event_loop()
    work = Work(texts, "document", 0.0, loop.create_future())
    loop.close()
    pieces = cut_in_pieces(work, texts=most, characters=40)

    rows = [row for piece in pieces for row in range(piece.start, piece.end)]
    assert rows == list(range(len(texts)))


def test_short_texts_are_read_beside_a_long_one_and_only_one_such_at_a_time(make_work):
    pieces = Pieces(long_characters=100)
    first = Piece(make_work("a" * 101), 0, 1, 101)
    second = Piece(make_work("b" * 101), 0, 1, 101)
    short = Piece(make_work("c"), 0, 1, 1)
    for due, piece in enumerate((first, second, short)):
        pieces.put(piece, due)

    assert pieces.take(8) == [first]
    assert pieces.take(8) == [short]
    assert not pieces
    pieces.done([first])
    assert pieces.take(8) == [second]


def test_pieces_of_those_who_have_gone_are_not_read(make_work):
    pieces = Pieces(long_characters=100)
    gone, here = make_work("a"), make_work("b")
    pieces.put(Piece(gone, 0, 1, 1), 0)
    pieces.put(Piece(here, 0, 1, 1), 1)
    gone.gone = True

    assert [piece.work for piece in pieces.take(8)] == [here]


@pytest.mark.parametrize("size", [1, 101])
def test_a_long_text_behind_one_that_has_gone_is_read_at_once(make_work, size):
    """A thread that is given nothing waits, and nobody may come to wake it."""
    pieces = Pieces(long_characters=100)
    gone, here = make_work("a" * size), make_work("b" * 101)
    pieces.put(Piece(gone, 0, 1, size), 0)
    pieces.put(Piece(here, 0, 1, 101), 1)
    gone.gone = True

    assert [piece.work for piece in pieces.take(8)] == [here]
    assert not pieces


def test_a_full_queue_says_when_to_come_again():
    room = Room(max_requests=2, max_texts=100)
    room.enter(1, lambda: 7)
    room.enter(1, lambda: 7)

    with pytest.raises(Refusal) as caught:
        room.enter(1, lambda: 7)

    assert caught.value.status == 429
    assert caught.value.headers == {"retry-after": "7"}


def test_there_is_room_again_when_a_request_leaves():
    room = Room(max_requests=1, max_texts=100)
    room.enter(1, lambda: 1)
    room.leave(1)
    room.enter(1, lambda: 1)

    assert (room.requests, room.texts) == (1, 1)


def test_a_request_larger_than_the_queue_is_taken_when_nothing_else_waits():
    room = Room(max_requests=9, max_texts=10)
    room.enter(50, lambda: 1)

    with pytest.raises(Refusal):
        room.enter(1, lambda: 1)
