"""Every fault a service can have: the right result or the right error, in bounded time."""

from __future__ import annotations

import asyncio
import json
import socket
from email.utils import formatdate

import numpy as np
import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.errors import (
    AuthenticationError,
    BadRequestError,
    InvalidVectorsError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitError,
)
from nearfield.testing import faults
from nearfield.testing.clock import FakeClock
from nearfield.testing.faults import refused
from nearfield.testing.openai_server import word_vectors

pytestmark = pytest.mark.openai

TEXTS = ["one small step", "two small steps", "three"]


def right(texts, dim=16):
    return word_vectors(texts, dim)


def assert_right(vectors, texts):
    np.testing.assert_array_equal(vectors, right(texts))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (refused(401, "bad key"), AuthenticationError, "OPENAI_API_KEY"),
        (refused(403, "country"), AuthenticationError, "not allowed"),
        (refused(404, "no", code="model_not_found"), BadRequestError, "model's name"),
        (refused(404, "no"), BadRequestError, "api_base"),
        (refused(429, "pay", code="insufficient_quota"), QuotaExceededError, "credit"),
        (
            faults.Fault(429, b'{"error": {"type": "insufficient_quota", "code": "429"}}'),
            QuotaExceededError,
            "credit",
        ),
        (faults.web_page(), ProviderError, "web page"),
        (faults.Fault(200, b""), ProviderError, "not JSON"),
        (faults.Fault(200, b"[1]"), ProviderError, "not a JSON object"),
        (faults.Fault(200, b'{"ok": true}'), ProviderError, "no list of vectors"),
        (faults.too_few(), InvalidVectorsError, "2 vectors for 3 texts"),
        (faults.too_many(), InvalidVectorsError, "4 vectors for 3 texts"),
        (faults.twice_the_same_index(), InvalidVectorsError, "index 0"),
        (faults.null_vector(), InvalidVectorsError, "None instead of numbers .*'one small step'"),
        (faults.not_a_number(), InvalidVectorsError, "NaN or infinity .*'one small step'"),
        (faults.other_length(), InvalidVectorsError, "3 numbers where 16 .*'three'"),
        (refused(302, "moved", location="http://127.0.0.1:9/"), ProviderError, "302"),
    ],
)
def test_final_faults_are_told_at_once_and_not_tried_again(
    server, make, clock, embed, *, fault, error, words
):
    model = make()
    server.always(fault)
    with pytest.raises(error, match=words) as caught:
        embed(model, TEXTS)
    assert not caught.value.retryable
    assert len(server.calls) == 1
    assert clock.sleeps == []


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_passing_faults_are_tried_again_until_they_pass(server, make, clock, embed, status):
    server.script(refused(status), refused(status))
    model = make()
    assert_right(embed(model, TEXTS), TEXTS)
    assert len(server.calls) == 3
    assert clock.sleeps == pytest.approx([0.375, 0.75])
    assert (model.totals.requests, model.totals.retries) == (3, 2)
    assert model.totals.waited_s == pytest.approx(1.125)
    assert set(server.billed.values()) == {1}


@pytest.mark.parametrize("fault", [faults.reset(), faults.half_a_body()])
def test_a_lost_connection_is_tried_again(server, make, embed, fault):
    server.script(fault)
    assert_right(embed(make(), TEXTS), TEXTS)
    assert len(server.calls) == 2


@pytest.mark.parametrize("fault", [faults.hang(), faults.drip(0.05)], ids=["hang", "drip"])
def test_a_request_ends_in_time_however_slow_the_answer(server, make, embed, fault):
    server.script(fault, fault)
    model = make(timeout=0.2, max_retries=1)
    with pytest.raises(ProviderTimeoutError, match=r"0.2 s.* Gave up after 2 tries"):
        embed(model, TEXTS)
    assert len(server.calls) == 2


def test_an_answer_over_a_client_of_the_callers_own_ends_in_time_too(server, make):
    import openai

    server.always(faults.Fault(ending="slow_body", pause_s=0.05))
    with openai.DefaultHttpxClient() as own:
        model = make(timeout=0.2, max_retries=0, http_client=own)
        with pytest.raises(ProviderTimeoutError):
            model.encode(TEXTS)


def test_a_hang_is_tried_again(server, make, embed):
    server.script(faults.hang())
    assert_right(embed(make(timeout=0.2), TEXTS), TEXTS)


def test_an_address_where_nobody_listens_is_told_soon(make, clock, embed):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    model = make(api_base=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(ProviderUnavailableError, match="Check the network and api_base"):
        embed(model, TEXTS)
    assert len(clock.sleeps) == 2


def test_the_wait_a_service_asks_for_is_kept(server, make, clock, embed):
    server.script(refused(429, retry_after="7"))
    assert_right(embed(make(), TEXTS), TEXTS)
    assert clock.sleeps == [pytest.approx(7.25)]


def test_the_wait_may_be_asked_for_as_a_date(server, make, clock, embed):
    server.script(refused(429, retry_after=formatdate(clock.time + 30, usegmt=True)))
    assert_right(embed(make(), TEXTS), TEXTS)
    assert clock.sleeps == [pytest.approx(30.25)]


def test_a_service_that_asks_to_come_back_at_once_is_left_alone_all_the_same(
    server, make, clock, embed
):
    """All tries within a moment would be none."""
    server.script(*[refused(503, retry_after="0")] * 5)
    assert_right(embed(make(), TEXTS), TEXTS)
    assert clock.sleeps == sorted(clock.sleeps)
    assert sum(clock.sleeps) > 10


class Cancelling(FakeClock):
    """A clock at which all waiting is cancelled."""

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        raise KeyboardInterrupt

    async def asleep(self, seconds):
        self.sleeps.append(seconds)
        raise asyncio.CancelledError


def test_calls_cancelled_while_they_wait_for_a_limit_use_nothing_of_it_up(server, make, embed):
    model = make(requests_per_minute=1)
    embed(model, TEXTS)
    model._service.clock = clock = Cancelling()
    for _ in range(3):
        with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
            embed(model, ["another text"])
    assert clock.sleeps == pytest.approx([60, 60, 60])
    assert len(server.calls) == 1


def test_a_wait_of_an_hour_is_refused_at_once(server, make, clock, embed):
    server.always(refused(429, "slow down", retry_after="3600"))
    with pytest.raises(RateLimitError, match="asks to wait 3600 s") as caught:
        embed(make(), TEXTS)
    assert caught.value.retry_after_s == 3600
    assert clock.sleeps == []


def test_patience_ends(server, make, clock, embed):
    server.always(refused(500, "down"))
    with pytest.raises(ProviderUnavailableError, match=r"500: down\..*Gave up after 11 tries"):
        embed(make(), TEXTS)
    assert len(server.calls) == 11
    assert sum(clock.sleeps) <= 600


def test_no_retries_means_none(server, make, clock, embed):
    server.always(refused(503))
    with pytest.raises(ProviderUnavailableError):
        embed(make(max_retries=0), TEXTS)
    assert (len(server.calls), clock.sleeps) == (1, [])


def test_vectors_out_of_order_are_put_in_order(server, make, embed):
    server.script(faults.out_of_order())
    assert_right(embed(make(), TEXTS), TEXTS)


def test_floats_are_read_where_base64_was_asked_for(server, make, embed):
    server.floats = True
    np.testing.assert_allclose(embed(make(), TEXTS), right(TEXTS), atol=1e-7)
    assert server.calls[0].body["encoding_format"] == "base64"


def test_base64_is_read_where_floats_were_asked_for(server, make, embed):
    def as_base64(reply):
        from nearfield.wire.openai import embeddings_reply

        vectors = np.array([item["embedding"] for item in reply["data"]], np.float32)
        return embeddings_reply(vectors, model="m", tokens=1, encoding_format="base64")

    server.script(faults.Fault(change=as_base64))
    assert_right(embed(make(additional_kwargs={"encoding_format": "float"}), TEXTS), TEXTS)
    assert server.calls[0].body["encoding_format"] == "float"


def test_a_body_too_large_is_sent_in_halves(server, make, embed):
    server.max_body_bytes = 600
    texts = [f"text number {n} with some words in it" for n in range(40)]
    assert_right(embed(make(embed_batch_size=40), texts), texts)
    assert set(server.billed.values()) == {1}


def test_one_poisoned_text_fails_alone_and_is_named_and_the_rest_is_kept(
    server, make, embed, tmp_path
):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    model = make(cache=cache, num_workers=1)
    texts = [f"text {n}" for n in range(10)]
    server.poison("text 3")
    with pytest.raises(BadRequestError, match="1 of 10 texts was refused: 'text 3'") as caught:
        embed(model, texts)
    assert caught.value.texts == ("text 3",)
    assert caught.value.status == 400
    assert len(server.calls) <= 9

    others = [text for text in texts if text != "text 3"]
    before = len(server.calls)
    assert_right(embed(model, others), others)
    assert len(server.calls) == before
    assert set(server.billed) == set(others)
    assert set(server.billed.values()) == {1}


def test_several_poisoned_texts_are_all_named(server, make, embed):
    texts = [f"text {n}" for n in range(10)]
    server.poison("text 0", "text 5", "text 9")
    with pytest.raises(BadRequestError) as caught:
        embed(make(), texts)
    assert caught.value.texts == ("text 0", "text 5", "text 9")


def test_a_batch_of_nothing_but_poisoned_texts_is_named_text_by_text(server, make, embed, tmp_path):
    """As when a call is made again, and all others are in the cache."""
    model = make(cache=EmbeddingCache(tmp_path / "cache.sqlite"))
    texts = [f"text {n}" for n in range(10)]
    server.poison("text 0", "text 5", "text 9")
    for _ in range(2):
        with pytest.raises(BadRequestError) as caught:
            embed(model, texts)
        assert caught.value.texts == ("text 0", "text 5", "text 9")


def test_a_cache_from_before_the_model_changed_is_told_with_the_way_out(
    server, make, embed, tmp_path
):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    embed(make(cache=cache), ["kept"])
    server.dim = 8
    for _ in range(2):
        with pytest.raises(InvalidVectorsError, match=r"16.* from its cache.*cache clear"):
            embed(make(cache=cache), ["kept", "new"])


def test_a_request_refused_whatever_the_texts_is_not_narrowed_down_for_ever(server, make, embed):
    server.always(refused(400, "no such parameter"))
    with pytest.raises(BadRequestError, match="no such parameter"):
        embed(make(embed_batch_size=2048), [f"text {n}" for n in range(2048)])
    assert len(server.calls) < 30


def test_a_refusal_of_another_field_is_told_at_once(server, make, embed):
    with pytest.raises(BadRequestError, match="does not support specifying dimensions"):
        embed(make(dimensions=8), TEXTS)
    assert len(server.calls) == 1


def test_an_empty_text_is_refused_without_asking_and_the_rest_is_embedded(
    server, make, embed, tmp_path
):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    with pytest.raises(BadRequestError, match="1 of 3 texts was refused: ''"):
        embed(make(cache=cache), ["a", "", "b"])
    assert server.embedded == [["a", "b"]]
    assert cache.info().vectors == 2


def test_nothing_of_a_reply_at_fault_is_stored(server, make, embed, tmp_path):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    server.always(faults.not_a_number())
    with pytest.raises(InvalidVectorsError):
        embed(make(cache=cache), TEXTS)
    assert cache.info().vectors == 0


def test_a_model_whose_vectors_change_length_is_caught(server, make, embed):
    model = make()
    embed(model, TEXTS)
    server.dim = 8
    with pytest.raises(InvalidVectorsError, match="8 numbers after vectors of 16"):
        embed(model, ["another text"])


def test_a_failure_in_one_of_many_batches_keeps_what_was_paid_for(server, make, embed, tmp_path):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    model = make(cache=cache, num_workers=4, max_retries=0)
    texts = [f"text {n}" for n in range(200)]
    server.script(*[None] * 7, refused(500))
    with pytest.raises(ProviderUnavailableError):
        embed(model, texts)
    assert cache.info().vectors == len(server.billed) >= 70
    assert_right(embed(model, texts), texts)
    assert set(server.billed.values()) == {1}


def test_a_key_that_the_service_repeats_is_in_no_error(server, make, embed, caplog):
    secret = "a-very-secret-key-1234567890"
    model = make(api_key=secret)
    caplog.set_level("DEBUG", "nearfield")
    with pytest.raises(AuthenticationError) as caught:
        embed(model, ["a private text"])
    import traceback

    whole = "".join(traceback.format_exception(caught.value))
    assert secret not in whole
    assert "[key]" in str(caught.value)
    assert secret not in caplog.text
    assert "a private text" not in caplog.text


def test_a_key_in_a_right_looking_answer_is_in_no_error(server, make, embed):
    secret = "a-very-secret-key-1234567890"
    server.api_key = None
    server.always(faults.Fault(200, json.dumps({"error": f"{secret} is not known"}).encode()))
    with pytest.raises(ProviderError, match=r"no list of vectors.*\[key\]") as caught:
        embed(make(api_key=secret), TEXTS)
    assert secret not in str(caught.value)


def test_a_redirect_takes_no_key_elsewhere(server, make, embed):
    from nearfield.testing.openai_server import OpenAIServer

    with OpenAIServer() as elsewhere:
        server.always(refused(307, location=f"{elsewhere.url}/embeddings"))
        with pytest.raises(ProviderError, match="307"):
            embed(make(), TEXTS)
        assert elsewhere.calls == []


def test_limits_per_minute_space_out_the_requests(server, make, clock, embed):
    model = make(embed_batch_size=1, num_workers=1, requests_per_minute=6)
    texts = [f"text {n}" for n in range(9)]
    assert_right(embed(model, texts), texts)
    assert clock.sleeps == pytest.approx([10, 10, 10])
    assert model.totals.waited_s == pytest.approx(30)


def test_limits_are_learnt_from_the_answers(server, make, clock, embed):
    server.headers = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "50s",
    }
    model = make(embed_batch_size=1, num_workers=1)
    assert_right(embed(model, TEXTS), TEXTS)
    assert clock.sleeps == pytest.approx([0.5, 0.5])


def test_a_call_cancelled_on_the_way_leaves_no_connection_busy(server, make):
    async def cancel_one():
        model = make()
        server.script(faults.hang())
        task = asyncio.create_task(model.aencode(TEXTS))
        await asyncio.to_thread(server.wait_for_calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_right(await model.aencode(TEXTS), TEXTS)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel_one())


def test_the_error_of_a_scripted_fault_carries_what_the_service_said(server, make, embed):
    body = json.dumps({"error": {"message": "m", "code": "c", "param": "model"}}).encode()
    server.script(faults.Fault(400, body, {"x-request-id": "req-7"}))
    with pytest.raises(BadRequestError) as caught:
        embed(make(), TEXTS)
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "c", "model")
    assert error.request_id == "req-7"
