"""Requests of many clients through the threads of one model; order is made by events, not time."""

import asyncio
import threading
import time

import numpy as np
import pytest

from nearfield.embeddings.bundled import BundledEmbedding
from nearfield.errors import InvalidVectorsError, ModelLoadError, QuotaExceededError
from nearfield.server.batcher import Batcher
from nearfield.server.config import Limits
from nearfield.server.lane import Reading, lane_of
from nearfield.server.metrics import Metrics
from nearfield.server.refusal import Refusal
from nearfield.server.schedule import Room

pytestmark = pytest.mark.server


class Lane:
    """A model whose vector of a text is a number it holds; it waits where it is told to."""

    def __init__(self, parallel=1):
        self.parallel = parallel
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)

    def read(self, texts, input_type):
        if "unreadable" in texts:
            raise ModelLoadError("unreadable")
        return Reading(texts, [len(text) for text in texts], [0] * len(texts))

    def group(self, input_type):
        return input_type

    def compute(self, payloads, group, *, threads):
        self.batches.append(list(payloads))
        self.begun.release()
        self.gate.wait()
        if "poison" in payloads:
            raise ValueError("poison")
        if "unpaid" in payloads:
            raise QuotaExceededError("no credit left")
        if "nan" in payloads:
            return [[float("nan"), 0.0]] * len(payloads)
        return [[float(len(text)), float(sum(map(ord, text)))] for text in payloads]


@pytest.fixture
def start():
    made = []

    def begin(lane, *, requests=1000, clock=time.monotonic, **limits):
        room = Room(requests, 100_000)
        metrics = Metrics()
        batcher = Batcher(lane, Limits(**limits), room, metrics.of_model("m"), clock=clock)
        batcher.room, batcher.counted = room, metrics
        made.append((batcher, lane))
        return batcher

    yield begin
    for batcher, lane in made:
        if isinstance(lane, Lane):
            lane.gate.set()
        batcher.close()


async def begun(lane, batches=1):
    """Wait until the model has begun so many more batches."""
    for _ in range(batches):
        await asyncio.to_thread(lane.begun.acquire)


def vector(text):
    return [float(len(text)), float(sum(map(ord, text)))]


async def test_every_request_gets_its_own_vectors_in_its_order(start):
    batcher = start(Lane(parallel=2))
    requests = [[f"{name}{row}" * (row + 1) for row in range(name % 5 + 1)] for name in range(200)]

    works = await asyncio.gather(*(batcher.run(texts, "document") for texts in requests))

    for texts, work in zip(requests, works, strict=True):
        assert work.vectors.tolist() == [vector(text) for text in texts]


async def test_requests_that_wait_are_computed_together(start):
    lane = Lane()
    batcher = start(lane)
    lane.gate.clear()
    first = asyncio.create_task(batcher.run(["first"], "document"))
    await begun(lane)
    others = [asyncio.create_task(batcher.run([f"text {n}"], "document")) for n in range(9)]
    await asyncio.sleep(0)
    lane.gate.set()
    await asyncio.gather(first, *others)

    assert sorted(map(len, lane.batches)) != [1] * 10
    assert sum(map(len, lane.batches)) == 10


async def test_a_text_that_fails_hurts_its_own_request_only(start):
    lane = Lane()
    batcher = start(lane)
    lane.gate.clear()
    first = asyncio.create_task(batcher.run(["first"], "document"))
    await begun(lane)
    good = [asyncio.create_task(batcher.run([f"good {n}"], "document")) for n in range(5)]
    bad = asyncio.create_task(batcher.run(["poison"], "document"))
    await asyncio.sleep(0)
    lane.gate.set()

    for number, task in enumerate(good):
        assert (await task).vectors.tolist() == [vector(f"good {number}")]
    with pytest.raises(ValueError, match="poison"):
        await bad
    await first


async def test_a_provider_that_fails_whatever_the_texts_is_asked_once(start):
    """Each text alone would be refused as well, after all the waits between its tries."""
    lane = Lane()
    batcher = start(lane)

    with pytest.raises(QuotaExceededError):
        await batcher.run(["unpaid", "other"], "document")
    assert lane.batches == [["unpaid", "other"]]


async def test_vectors_that_are_no_numbers_are_refused_by_request(start):
    batcher = start(Lane())

    with pytest.raises(InvalidVectorsError):
        await batcher.run(["nan"], "document")
    assert (await batcher.run(["fine"], "document")).vectors.tolist() == [vector("fine")]


async def test_a_text_that_cannot_be_read_hurts_its_own_request_only(start):
    batcher = start(Lane())

    bad, good = await asyncio.gather(
        batcher.run(["unreadable"], "document"),
        batcher.run(["readable"], "document"),
        return_exceptions=True,
    )

    assert isinstance(bad, ModelLoadError)
    assert good.vectors.tolist() == [vector("readable")]


async def test_the_work_of_a_client_that_has_gone_is_not_done(start):
    lane = Lane()
    batcher = start(lane)
    lane.gate.clear()
    first = asyncio.create_task(batcher.run(["first"], "document"))
    await begun(lane)
    gone = asyncio.create_task(batcher.run(["gone"] * 300, "document"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    lane.gate.set()
    await first
    await batcher.run(["last"], "document")

    assert all("gone" not in batch for batch in lane.batches)
    assert batcher.room.texts == 0


async def test_a_short_request_does_not_wait_for_a_large_one_that_came_before(start):
    """What arrives later is due before most of a request that would take long alone."""
    lane = Lane()
    batcher = start(lane, batch_texts=4, clock=lambda: 0.0)
    lane.gate.clear()
    large = asyncio.create_task(batcher.run(["large text"] * 400, "document"))
    await begun(lane)
    short = asyncio.create_task(batcher.run(["short"], "document"))
    while batcher._items.texts != 396 + 1:  # noqa: ASYNC110 - until a thread has read it
        await asyncio.sleep(0)
    lane.gate.set()
    await asyncio.gather(short, large)

    place = next(n for n, batch in enumerate(lane.batches) if "short" in batch)
    assert place == 1  # of a hundred batches


async def test_the_queue_is_bounded_and_opens_again(start):
    lane = Lane()
    batcher = start(lane, requests=2)
    lane.gate.clear()
    waiting = [asyncio.create_task(batcher.run(["wait"], "document")) for _ in range(2)]
    await begun(lane)
    with pytest.raises(Refusal) as caught:
        await batcher.run(["one too many"], "document")
    lane.gate.set()
    await asyncio.gather(*waiting)

    assert caught.value.status == 429
    await batcher.run(["room again"], "document")


async def test_a_request_that_waited_too_long_is_refused_and_never_computed(start):
    lane = Lane()
    now = [0.0]
    batcher = start(lane, request_timeout_s=5.0, clock=lambda: now[0])
    lane.gate.clear()
    first = asyncio.create_task(batcher.run(["first"], "document"))
    await begun(lane)
    late = asyncio.create_task(batcher.run(["late"], "document"))
    await asyncio.sleep(0)
    batcher.expire()
    assert not late.done()
    now[0] = 5.1
    batcher.expire()

    for task in (first, late):
        with pytest.raises(Refusal) as caught:
            await task
        assert caught.value.status == 503
    lane.gate.set()
    await batcher.run(["last"], "document")
    assert all("late" not in batch for batch in lane.batches)


async def test_a_request_of_too_many_tokens_is_refused(start):
    batcher = start(Lane(), max_request_tokens=100)

    with pytest.raises(Refusal, match="more than 100 tokens"):
        await batcher.run(["x" * 60, "y" * 60], "document")


async def test_closing_answers_those_who_wait(start):
    lane = Lane()
    batcher = start(lane)
    lane.gate.clear()
    tasks = [asyncio.create_task(batcher.run([f"text {n}"], "document")) for n in range(3)]
    await begun(lane)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    while not batcher._closing:  # noqa: ASYNC110 - it is set in a thread
        await asyncio.sleep(0)
    lane.gate.set()
    await closing

    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, Refusal) or one.left == 0 for one in done)
    with pytest.raises(Refusal, match="stopped"):
        await batcher.run(["late"], "document")


@pytest.mark.parametrize("input_type", ["document", "query"])
async def test_the_vectors_are_the_librarys_bit_for_bit(start, input_type):
    model = BundledEmbedding(on_truncation="ignore")
    batcher = start(lane_of(model))
    texts = [f"{'word ' * (n * 17 % 300)}number {n}" for n in range(40)]
    alone = model.encode(texts, input_type=input_type)
    cut = model.totals.truncated_tokens

    works = await asyncio.gather(*(batcher.run([text], input_type) for text in texts))
    whole = await batcher.run(texts, input_type)

    assert np.array_equal(np.concatenate([work.vectors for work in works]), alone)
    assert np.array_equal(whole.vectors, alone)
    assert whole.cut == cut > 0


async def test_the_models_own_totals_count_what_is_served_as_what_it_embeds_itself(start):
    model = BundledEmbedding(on_truncation="ignore")
    texts = ["word " * 400, "word"]
    model.encode(texts)
    alone = model.totals.as_dict()
    batcher = start(lane_of(model))
    await batcher.run(texts, "document")

    assert alone["truncated_tokens"] > 0
    assert model.totals.as_dict() == {name: 2 * count for name, count in alone.items()}


async def test_tokens_that_are_left_out_are_counted(start):
    batcher = start(lane_of(BundledEmbedding(on_truncation="ignore")))
    works = [await batcher.run([text], "document") for text in ("word " * 400, "word")]

    assert works[0].cut > 0
    assert batcher.counted.totals()["truncated_tokens"] == works[0].cut


async def test_metrics_count_texts_tokens_and_batches(start):
    batcher = start(Lane())
    await batcher.run(["abc", "defgh"], "document")

    assert batcher.counted.totals() == {
        "requests": 0,
        "texts": 2,
        "tokens": 8,
        "truncated_tokens": 0,
    }
