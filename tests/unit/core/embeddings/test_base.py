"""What every model gives its users, whichever hook its author wrote."""

from __future__ import annotations

import asyncio
import pickle
import threading

import numpy as np
import pytest

from nearfield.core.cache import EmbeddingCache
from nearfield.core.embeddings import BaseEmbedding, SimilarityMode
from nearfield.errors import ConfigError, DimensionMismatchError, InvalidVectorsError
from nearfield.testing.fake import FakeEmbedding

TEXTS = ["one", "three", "", "one", "seventeen"]


def row(text, kind=1.0):
    return [float(len(text)), kind, 1.0]


class OneHook(BaseEmbedding):
    """Defines the provider's hook."""

    def _encode(self, texts, input_type):
        return np.array([row(text, 2.0 if input_type == "query" else 1.0) for text in texts])


class ThreeHooks(BaseEmbedding):
    """Defines LlamaIndex's hooks."""

    def _get_query_embedding(self, query):
        return row(query, 2.0)

    def _get_text_embedding(self, text):
        return row(text)

    def _get_text_embeddings(self, texts):
        return [row(text) for text in texts]


class TwoHooks(BaseEmbedding):
    """Leaves out the hook for many texts."""

    def _get_query_embedding(self, query):
        return np.array(row(query, 2.0))

    def _get_text_embedding(self, text):
        return np.array(row(text))


class AsyncHooks(TwoHooks):
    """Adds coroutines of its own."""

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)

    async def _aget_text_embedding(self, text):
        return self._get_text_embedding(text)


KINDS = [OneHook, ThreeHooks, TwoHooks, AsyncHooks]


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_come_in_the_order_of_the_texts_duplicates_included(kind):
    vectors = kind().encode(TEXTS)

    assert vectors.tolist() == [row(text) for text in TEXTS]
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous


def test_an_iterator_is_refused_with_the_remedy_before_it_is_used_up():
    texts = iter(TEXTS)
    with pytest.raises(TypeError, match=r"got list_iterator\. Write list\(texts\)"):
        OneHook().encode(texts)
    assert list(texts) == TEXTS


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_is_embedded_as_a_question(kind):
    assert kind().encode(["a"], input_type="query").tolist() == [row("a", 2.0)]
    assert kind().get_query_embedding("a") == row("a", 2.0)
    assert kind().get_text_embedding("a") == row("a")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("input_type", ["query", "document"])
async def test_async_gives_what_sync_gives(kind, input_type):
    model = kind(embed_batch_size=2)

    waited = await model.aencode(TEXTS, input_type=input_type)

    assert waited.tolist() == model.encode(TEXTS, input_type=input_type).tolist()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_name_of_llama_index_and_langchain_works(kind):
    model = kind()
    rows = [row(text) for text in TEXTS]

    assert model.get_text_embeddings(TEXTS) == rows
    assert model.get_text_embedding_batch(TEXTS, show_progress=True) == rows
    assert model.embed_documents(TEXTS) == rows
    assert model.embed_query("a") == row("a", 2.0)
    assert await model.aget_text_embedding("a") == row("a")
    assert await model.aget_text_embeddings(TEXTS) == rows
    assert await model.aget_text_embedding_batch(TEXTS) == rows
    assert await model.aget_query_embedding("a") == row("a", 2.0)
    assert await model.aembed_documents(TEXTS) == rows
    assert await model.aembed_query("a") == row("a", 2.0)


def test_lists_hold_plain_floats():
    vector = OneHook().get_text_embedding("a")

    assert type(vector) is list
    assert {type(number) for number in vector} == {float}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_vectors_are_the_callers_own_also_where_the_model_writes_over_its_own(way):
    class Reusing(BaseEmbedding):
        """Computes into the same array each time, which nobody else may write."""

        def __init__(self):
            super().__init__()
            self.array = np.zeros((10, 3), np.float32)

        def _encode(self, texts, input_type):
            self.array[: len(texts)] = [row(text) for text in texts]
            shown = self.array[: len(texts)]
            shown.flags.writeable = False
            return shown

    model = Reusing()
    first, second = (
        model.encode([text]) if way == "sync" else asyncio.run(model.aencode([text]))
        for text in ("a", "three")
    )
    assert (first.tolist(), second.tolist()) == ([row("a")], [row("three")])
    first /= 2


def test_equal_texts_are_computed_once_per_call():
    model = FakeEmbedding(embed_batch_size=2)

    model.encode(["a", "b", "a", "a", "c"])

    assert model.computed == ["a", "b", "c"]


def test_no_text_gives_a_matrix_of_no_rows_and_the_right_width():
    assert FakeEmbedding(dim=7).encode([]).shape == (0, 7)
    model = OneHook()
    assert model.encode([]).shape == (0, 0)
    model.encode(["a"])
    assert model.encode([]).shape == (0, 3)


@pytest.mark.parametrize("texts", ["one text", b"bytes", [1], ["a", None], ["a", ["b"]]])
def test_what_is_no_list_of_texts_is_a_type_error(texts):
    with pytest.raises(TypeError, match=r"one text|is of type"):
        FakeEmbedding().encode(texts)


@pytest.mark.parametrize("text", [None, 3, ["a"]])
def test_what_is_no_text_is_a_type_error(text):
    with pytest.raises(TypeError, match="Expected a text"):
        FakeEmbedding().get_text_embedding(text)
    with pytest.raises(TypeError, match="Expected a text"):
        FakeEmbedding().get_query_embedding(text)


def test_an_unknown_input_type_is_refused():
    with pytest.raises(ConfigError, match="input_type"):
        FakeEmbedding().encode(["a"], input_type="passage")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([[1.0, 2.0]], "1 vectors for 3 texts"),
        ([[1.0, 2.0]] * 4, "4 vectors for 3 texts"),
        ([[1.0, 2.0], [float("nan"), 0.0], [1.0, 2.0]], "NaN"),
        ([[1.0, 2.0], [float("inf"), 0.0], [1.0, 2.0]], "infinity"),
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], "one length"),
        ([[1.0, 2.0], ["x", "y"], [1.0, 2.0]], "not rows of numbers"),
        ([[], [], []], "no numbers"),
        (None, "shape"),
        (7.0, "shape"),
    ],
)
@pytest.mark.parametrize("way", ["sync", "async"])
def test_vectors_that_cannot_be_right_are_an_error_that_names_the_text(values, says, way):
    class Wrong(BaseEmbedding):
        def _encode(self, texts, input_type):
            return values

    texts = ["first text", "second text", "third text"]
    with pytest.raises(InvalidVectorsError, match=says) as caught:
        Wrong().encode(texts) if way == "sync" else asyncio.run(Wrong().aencode(texts))

    culprit = "second text" if says in ("NaN", "infinity") else "text"
    assert culprit in str(caught.value)


def test_vectors_of_another_length_in_a_later_batch_are_an_error():
    class Growing(BaseEmbedding):
        def _encode(self, texts, input_type):
            return [[1.0] * len(texts[0])]

    with pytest.raises(InvalidVectorsError, match="numbers"):
        Growing(embed_batch_size=1).encode(["ab", "abc"])


@pytest.mark.parametrize(
    ("defined", "expected"),
    [
        ("_get_text_embedding", row("abc")),
        ("_get_query_embedding", row("abc")),
        ("_get_text_embeddings", [row("abc")]),
    ],
)
def test_a_missing_hook_falls_back_to_the_one_there_is(defined, expected):
    kind = type("Single", (BaseEmbedding,), {defined: lambda self, text: expected})

    assert kind().get_text_embedding("abc") == row("abc")
    assert kind().get_query_embedding("abc") == row("abc")
    assert kind().get_text_embeddings(["abc"]) == [row("abc")]


def test_a_class_that_cannot_compute_is_a_type_error_naming_the_method():
    class Nothing(BaseEmbedding):
        pass

    with pytest.raises(TypeError, match=r"Nothing cannot embed: define _encode"):
        Nothing()
    with pytest.raises(TypeError, match="_get_text_embedding"):
        BaseEmbedding()


def test_a_subclass_may_override_the_single_hooks_of_a_provider():
    class Provider(BaseEmbedding):
        def _encode(self, texts, input_type):
            return [[1.0] for _ in texts]

    class Adapted(Provider):
        def _get_query_embedding(self, query):
            return [2.0]

    assert Adapted().get_query_embedding("a") == [2.0]
    assert Adapted().get_text_embedding("a") == [1.0]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_subclass_of_an_asynchronous_model_may_override_the_blocking_hook_alone(way):
    """Its coroutines must not go on computing what it has replaced."""

    class Provider(BaseEmbedding):
        def _encode(self, texts, input_type):
            return [[float(len(text))] for text in texts]

        async def _aencode(self, texts, input_type):
            return Provider._encode(self, texts, input_type)

    class Prefixed(Provider):
        def _encode(self, texts, input_type):
            return super()._encode([f"passage: {text}" for text in texts], input_type)

    model = Prefixed()
    vectors = model.encode(["a"]) if way == "sync" else asyncio.run(model.aencode(["a"]))
    assert vectors.tolist() == [[10.0]]


@pytest.mark.parametrize("parent", [ThreeHooks, AsyncHooks])
async def test_a_hook_overridden_below_wins_over_those_above_that_belong_to_it(parent):
    class Mine(parent):
        def _get_text_embedding(self, text):
            return [7.0, 7.0, 7.0]

    assert Mine().get_text_embedding("a") == [7, 7, 7]
    assert await Mine().aget_text_embedding("a") == [7, 7, 7]
    assert await Mine().aget_query_embedding("a") == row("a", 2.0)


def test_a_subclass_may_set_any_attribute():
    class Mine(OneHook):
        def __init__(self):
            super().__init__(model_name="mine", embed_batch_size=3)
            self.anything = 4

    assert (Mine().anything, Mine().model_name, Mine().embed_batch_size) == (4, "mine", 3)


def test_a_subclass_may_forget_to_call_its_parents_constructor():
    class Forgetful(OneHook):
        def __init__(self):
            pass

    assert Forgetful().get_text_embedding("a") == row("a")


@pytest.mark.parametrize("size", [0, -1, 2049, 1.5, "10"])
def test_a_batch_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigError, match="embed_batch_size"):
        OneHook(embed_batch_size=size)


def test_batches_hold_no_more_than_their_size():
    sizes = []

    class Watched(BaseEmbedding):
        def _encode(self, texts, input_type):
            sizes.append(len(texts))
            return [[1.0] for _ in texts]

    Watched(embed_batch_size=4).encode([str(number) for number in range(10)])

    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_workers_run_batches_at_once_and_keep_the_order(way):
    class Meeting(BaseEmbedding):
        """No batch returns before three are under way."""

        def __init__(self):
            super().__init__(embed_batch_size=1, num_workers=3)
            self.together = threading.Barrier(3, timeout=10)

        def _encode(self, texts, input_type):
            self.together.wait()
            return [row(text) for text in texts]

    texts = ["a" * length for length in range(9)]
    model = Meeting()
    vectors = model.encode(texts) if way == "sync" else asyncio.run(model.aencode(texts))

    assert vectors.tolist() == [row(text) for text in texts]


async def test_async_leaves_the_event_loop_free():
    class Blocking(BaseEmbedding):
        def __init__(self):
            super().__init__()
            self.go_on = threading.Event()

        def _encode(self, texts, input_type):
            assert self.go_on.wait(10)
            return [row(text) for text in texts]

    model = Blocking()
    waiting = asyncio.ensure_future(model.aencode(["a"]))
    await asyncio.sleep(0)
    model.go_on.set()  # reached only if the loop still turns

    assert (await waiting).tolist() == [row("a")]


@pytest.mark.parametrize("found", [True, False])
async def test_async_leaves_the_event_loop_free_while_a_cache_is_waited_for(found):
    class Held(EmbeddingCache):
        """Lets nobody read before it is told to."""

        def get_many(self, fingerprint, input_type, texts):
            assert go_on.wait(10)
            return dict.fromkeys(texts if found else [], np.array(row("a"), np.float32))

        def put_many(self, fingerprint, input_type, texts, vectors):
            assert not found

    go_on = threading.Event()
    waiting = asyncio.ensure_future(OneHook(cache=Held("not opened")).aencode(["a"]))
    await asyncio.sleep(0)
    go_on.set()  # reached only if the loop still turns

    assert (await waiting).tolist() == [row("a")]


async def test_a_cancelled_call_ends_at_once_and_begins_no_further_batch():
    begun, both_begun = [], asyncio.Event()

    class Slow(BaseEmbedding):
        async def _aencode(self, texts, input_type):
            begun.append(list(texts))
            if len(begun) == 2:
                both_begun.set()
            await asyncio.Event().wait()

        def _encode(self, texts, input_type):
            return [row(text) for text in texts]

    task = asyncio.ensure_future(Slow(embed_batch_size=1, num_workers=2).aencode(["a", "b", "c"]))
    await both_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert begun == [["a"], ["b"]]


def test_several_questions_have_one_vector_and_are_embedded_in_one_call():
    model = FakeEmbedding(dim=4)

    mean = model.get_agg_embedding_from_queries(["a", "b", "a"])

    vectors = model.encode(["a", "b", "a"], input_type="query")
    assert mean == pytest.approx(vectors.mean(axis=0).tolist())
    assert model.computed[:2] == ["a", "b"]
    assert model.get_agg_embedding_from_queries(["a"], agg_fn=lambda rows: rows[0]) == (
        model.get_query_embedding("a")
    )
    with pytest.raises(ConfigError, match="No queries"):
        model.get_agg_embedding_from_queries([])


def test_similarity_is_higher_for_the_nearer():
    model = OneHook()

    assert model.similarity([1, 0], [2, 0]) == pytest.approx(1)
    assert model.similarity([1, 0], [2, 0], SimilarityMode.DOT_PRODUCT) == pytest.approx(2)
    assert model.similarity([1, 0], [3, 0], "euclidean") == pytest.approx(-2)
    with pytest.raises(DimensionMismatchError):
        model.similarity([1, 0], [1, 0, 0])


def test_a_model_counts_what_it_did():
    model = FakeEmbedding()

    _, report = model.encode_with_report(["a", "b", "a"])
    model.encode(["c"])

    assert (report.texts, report.computed) == (3, 2)
    assert (model.totals.texts, model.totals.computed) == (4, 3)


class Cutting(BaseEmbedding):
    """Reads three characters and counts the rest as cut."""

    max_tokens = 3

    def _encode(self, texts, input_type):
        from nearfield.core.report import count

        long = [text for text in texts if len(text) > 3]
        count(truncated_texts=len(long), truncated_tokens=sum(len(text) - 3 for text in long))
        return [row(text[:3]) for text in texts]


def test_cut_texts_are_warned_of_once_a_call_at_the_callers_line():
    with pytest.warns(UserWarning, match=r"2 of 3 texts .* 3 tokens") as caught:
        Cutting().encode(["abcd", "abcde", "ab"])

    assert [warning.filename for warning in caught] == [__file__]


async def test_cut_texts_are_warned_of_by_every_name():
    with pytest.warns(UserWarning, match="1 of 1 texts"):
        Cutting().get_text_embedding("abcd")
    with pytest.warns(UserWarning, match="1 of 1 texts"):
        await Cutting().aget_query_embedding("abcd")


def test_cut_texts_are_not_warned_of_when_the_report_is_asked_for_or_the_user_knows(recwarn):
    _, report = Cutting().encode_with_report(["abcd"])
    quiet = Cutting()
    quiet.on_truncation = "ignore"
    quiet.encode(["abcd"])

    assert (report.truncated_texts, report.truncated_tokens) == (1, 1)
    assert len(recwarn) == 0


def test_a_model_can_be_pickled():
    model = pickle.loads(pickle.dumps(FakeEmbedding(dim=8)))

    assert model.get_text_embedding("a") == FakeEmbedding(dim=8).get_text_embedding("a")


def test_models_of_other_names_have_other_fingerprints():
    assert OneHook("a").fingerprint != OneHook("b").fingerprint
    assert OneHook("a").fingerprint == OneHook("a").fingerprint
    assert OneHook("a").fingerprint != TwoHooks("a").fingerprint


def test_half_a_character_is_told_with_its_place_and_the_way_out():
    with pytest.raises(ConfigError, match=r"Text 1 .*lone surrogate\) at 2.*'replace'"):
        FakeEmbedding().encode(["fine", "ab\ud800"])


@pytest.mark.parametrize("size", [0, -1, 4096, 2.5])
def test_a_batch_size_assigned_later_is_checked_too(size):
    model = OneHook()
    model.embed_batch_size = size

    with pytest.raises(ConfigError, match="embed_batch_size"):
        model.encode(["a"])


@pytest.mark.parametrize("way", ["sync", "async"])
def test_no_cache_may_be_said_by_false_when_made_and_later(way):
    model = FakeEmbedding(cache=False)
    for cache in (model.cache, False):
        model.cache = cache
        vectors = model.encode(["a"]) if way == "sync" else asyncio.run(model.aencode(["a"]))
        assert vectors.shape == (1, 64)


@pytest.mark.parametrize("cache", [True, "cache.sqlite", {}])
def test_what_cannot_keep_vectors_is_no_cache(cache):
    with pytest.raises(ConfigError, match="cache must be an EmbeddingCache"):
        FakeEmbedding(cache=cache)


@pytest.mark.parametrize("workers", [0, -3, 1.5])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers):
    with pytest.raises(ConfigError, match="num_workers"):
        OneHook(num_workers=workers)

    model = OneHook()
    model.num_workers = workers
    with pytest.raises(ConfigError, match="num_workers"):
        model.encode(["a"])
