"""A graph is fed what it asks for, and its answer becomes vectors."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.errors import ModelLoadError
from nearfield.runtime.cut import CutEngine
from nearfield.runtime.graph import GraphEngine, GraphInput
from nearfield.runtime.padded import pad, padded_batches
from nearfield.runtime.pooling import Head, Pooling

RAW = Head(pooling=(Pooling.MEAN,), normalize=False)


class EchoGraph:
    """A graph whose state of a token is its number, twice."""

    name = "echo"

    def __init__(self, *inputs, dtype="int64", outputs=("last_hidden_state",)):
        self.inputs = [GraphInput(name, np.dtype(dtype)) for name in inputs]
        self.outputs = list(outputs)
        self.seen = []

    def run(self, feeds, output):
        self.seen.append(feeds)
        ids, mask = feeds["input_ids"], feeds["attention_mask"]
        states = np.repeat(ids[:, :, None], 2, axis=2).astype(np.float32)
        if output == "sentence_embedding":
            return (states * mask[:, :, None]).sum(axis=1)
        return states


def test_padding_does_not_reach_the_vectors():
    engine = GraphEngine(EchoGraph("input_ids", "attention_mask"), RAW, {"pad_token_id": 99})

    vectors = engine.encode([[1, 3], [5], [2, 4, 6]])

    assert vectors.tolist() == [[2, 2], [5, 5], [4, 4]]
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_numbers_are_of_the_type_the_graph_asks_for(dtype):
    graph = EchoGraph("input_ids", "attention_mask", "token_type_ids", dtype=dtype)
    GraphEngine(graph, RAW, {}).encode([[1, 2]])

    feeds = graph.seen[-1]
    assert set(feeds) == {"input_ids", "attention_mask", "token_type_ids"}
    assert {str(array.dtype) for array in feeds.values()} == {dtype}
    assert not feeds["token_type_ids"].any()


def test_token_types_are_given_only_when_asked_for():
    graph = EchoGraph("input_ids", "attention_mask")
    GraphEngine(graph, RAW, {}).encode([[1, 2]])

    assert set(graph.seen[-1]) == {"input_ids", "attention_mask"}


def test_a_vector_the_graph_pooled_is_taken_as_it_is():
    outputs = ("token_embeddings", "sentence_embedding")
    graph = EchoGraph("input_ids", "attention_mask", outputs=outputs)

    assert GraphEngine(graph, RAW, {}).encode([[1, 3], [5]]).tolist() == [[4, 4], [5, 5]]


def test_a_vector_the_graph_pooled_is_cut_and_scaled():
    graph = EchoGraph("input_ids", "attention_mask", outputs=("sentence_embedding",))
    engine = GraphEngine(graph, Head(normalize=True, truncate_dim=1), {})

    assert engine.dim == 1
    assert engine.encode([[1, 3]]).tolist() == [[1]]


def test_a_vector_the_graph_pooled_is_cut_after_it_was_scaled():
    graph = EchoGraph("input_ids", "attention_mask", outputs=("sentence_embedding",))
    engine = CutEngine(GraphEngine(graph, Head(normalize=True), {}), 1)

    assert engine.dim == 1
    np.testing.assert_allclose(engine.encode([[1, 3], [5]]), [[0.5**0.5], [0.5**0.5]], rtol=1e-6)


def test_a_prompt_left_out_of_the_pooling_is_left_out_here():
    """The graph's own pooling knows nothing of the prompt."""
    outputs = ("sentence_embedding", "token_embeddings")
    graph = EchoGraph("input_ids", "attention_mask", outputs=outputs)
    head = Head(pooling=(Pooling.MEAN,), normalize=False, include_prompt=False)

    assert GraphEngine(graph, head, {}).encode([[9, 1, 3]], prompt_tokens=1).tolist() == [[2, 2]]


def test_an_input_that_is_no_tokens_is_named():
    with pytest.raises(ModelLoadError, match="'pixel_values'"):
        GraphEngine(EchoGraph("input_ids", "pixel_values"), RAW, {})


def test_an_output_that_is_no_state_is_named():
    with pytest.raises(ModelLoadError, match="gives logits"):
        GraphEngine(EchoGraph("input_ids", "attention_mask", outputs=("logits",)), RAW, {})


def test_no_texts_give_no_vectors():
    engine = GraphEngine(EchoGraph("input_ids", "attention_mask"), RAW, {})

    assert engine.encode([]).shape == (0, 2)


def test_batches_hold_texts_of_like_length_within_the_budget():
    lengths = [3, 50, 7, 7, 1, 49, 120, 2, 8]
    rows = [[0] * length for length in lengths]

    batches = list(padded_batches(rows, tokens=100))

    assert sorted(number for batch in batches for number in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(lengths[number] for number in batch)
        assert len(batch) == 1 or longest * len(batch) <= 100
    order = [lengths[number] for batch in batches for number in batch]
    assert order == sorted(lengths, reverse=True)


def test_batches_hold_no_more_texts_than_asked():
    assert [len(batch) for batch in padded_batches([[0]] * 7, tokens=100, texts=3)] == [3, 3, 1]


def test_padding_is_masked():
    ids, mask = pad([[5, 6], [7]], 9)

    assert ids.tolist() == [[5, 6], [7, 9]]
    assert mask.tolist() == [[1, 1], [1, 0]]
