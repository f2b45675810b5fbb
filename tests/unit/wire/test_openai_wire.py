"""The JSON of the embeddings API, read and written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.errors import InvalidVectorsError, ProviderError
from nearfield.wire.openai import (
    EmbeddingsRequest,
    ErrorReply,
    embeddings_reply,
    embeddings_request,
    read_embeddings_reply,
    read_embeddings_request,
    read_error,
)


def test_a_request_holds_only_what_was_asked_for():
    assert embeddings_request("m", ["a\nb"]) == {
        "model": "m",
        "input": ["a\nb"],
        "encoding_format": "base64",
    }
    full = embeddings_request("m", ["a"], dimensions=8, user="u", extra={"x": 1, "user": "v"})
    assert (full["dimensions"], full["user"], full["x"]) == (8, "v", 1)


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=5),
    st.sampled_from(["float", "base64"]),
    st.none() | st.integers(1, 4000),
)
def test_a_request_that_is_written_is_read_as_it_was(texts, encoding, dimensions):
    body = embeddings_request("m", texts, encoding_format=encoding, dimensions=dimensions)
    assert read_embeddings_request(json.loads(json.dumps(body))) == EmbeddingsRequest(
        "m", texts, encoding, dimensions
    )


@pytest.mark.parametrize(
    ("inputs", "read"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_inputs_come_in_four_shapes(inputs, read):
    request = read_embeddings_request({"model": "m", "input": inputs, "unknown": 1})
    assert isinstance(request, EmbeddingsRequest)
    assert request.inputs == read


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"input": "a"}, "model"),
        ({"model": 3, "input": "a"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": ["a", ""]}, "input"),
        ({"model": "m", "input": ["a", 1]}, "input"),
        ({"model": "m", "input": [[]]}, "input"),
        ({"model": "m", "input": [[-1]]}, "input"),
        ({"model": "m", "input": [True]}, "input"),
        ({"model": "m", "input": {"a": 1}}, "input"),
        ({"model": "m", "input": ["a"] * 2049}, "input"),
        ({"model": "m", "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ({"model": "m", "input": "a", "dimensions": True}, "dimensions"),
        ({"model": "m", "input": "a", "user": 5}, "user"),
    ],
)
def test_a_request_at_fault_is_answered_with_the_field(body, param):
    error = read_embeddings_request(body)
    assert isinstance(error, ErrorReply)
    assert error.param == param
    assert error.as_json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_reply_that_is_written_is_read_bit_for_bit(encoding):
    vectors = np.random.default_rng(0).standard_normal((5, 7), np.float32)
    body = embeddings_reply(vectors, model="m", tokens=9, encoding_format=encoding)
    reply = read_embeddings_reply(json.dumps(body).encode(), count=5)
    np.testing.assert_array_equal(reply.vectors, vectors)
    assert (reply.tokens, reply.model) == (9, "m")
    assert reply.vectors.dtype == np.float32
    assert reply.vectors.flags.c_contiguous


def reply_of(*items, **rest):
    return json.dumps({"data": list(items), **rest}).encode()


def test_vectors_without_an_index_are_taken_as_they_come():
    reply = read_embeddings_reply(reply_of({"embedding": [1]}, {"embedding": [2]}), count=2)
    assert reply.vectors.tolist() == [[1], [2]]
    assert reply.tokens == 0


def test_vectors_are_put_where_their_index_says():
    content = reply_of({"index": 1, "embedding": [1]}, {"index": 0, "embedding": [2]})
    assert read_embeddings_reply(content, count=2).vectors.tolist() == [[2], [1]]


@pytest.mark.parametrize(
    "item",
    [
        {"index": 0, "embedding": None},
        {"index": 0, "embedding": []},
        {"index": 0, "embedding": [None]},
        {"index": 0, "embedding": [[1]]},
        {"index": 0, "embedding": ["x"]},
        {"index": 0, "embedding": ""},
        {"index": 0, "embedding": "!!!"},
        {"index": 0, "embedding": "AAAA"},
        {"index": 0, "embedding": [float("nan")]},
        {"index": 0, "embedding": [1e300]},
        {"index": 1, "embedding": [1]},
        {"index": "0", "embedding": [1]},
        {"index": 0},
        {},
        None,
        3,
    ],
)
def test_anything_but_a_finite_vector_is_refused(item):
    with pytest.raises(InvalidVectorsError):
        read_embeddings_reply(reply_of(item), count=1)


def test_the_text_whose_vector_is_at_fault_is_named():
    content = reply_of({"embedding": [1, 2]}, {"embedding": [1]})
    with pytest.raises(InvalidVectorsError, match=r"1 numbers where 2 .*text B"):
        read_embeddings_reply(content, count=2, name=lambda number: f"text {'AB'[number]}")


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_our_own_errors(content):
    with pytest.raises((ProviderError, InvalidVectorsError)):
        read_embeddings_reply(content, count=1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "index", "embedding", "usage", "total_tokens", "input"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_does_more_than_that_either(value):
    read_embeddings_request(value)
    read_error(value)
    try:
        reply = read_embeddings_reply(json.dumps(value).encode(), count=1)
    except (ProviderError, InvalidVectorsError):
        return
    assert reply.vectors.shape[0] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "m", "code": 7}}', "m"),
        (b'{"error": "m"}', "m"),
        (b'{"message": "m"}', "m"),
        (b'{"detail": "m"}', "m"),
        (b"plain words", "plain words"),
        (b"", "an empty body"),
        (b"[1]", "[1]"),
    ],
)
def test_errors_are_read_in_whatever_shape_they_come(body, message):
    assert read_error(body).message == message
