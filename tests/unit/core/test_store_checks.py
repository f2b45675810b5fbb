"""What stores check before they write or search."""

import numpy as np
import pytest

from nearfield.core.schema import Node
from nearfield.core.store import Capabilities, Entry, Header
from nearfield.core.store_checks import (
    check_entries,
    check_header,
    check_new_header,
    check_query,
    shown,
)
from nearfield.errors import (
    ConfigError,
    DimensionMismatchError,
    InvalidVectorsError,
    ModelMismatchError,
    NotSupportedError,
    StoreError,
)

HEADER = Header("f1", 2, model_name="m1")
ONE = np.ones((1, 2), np.float32)


def test_a_mismatch_names_both_models():
    with pytest.raises(ModelMismatchError, match=r"m1 \(f1\).*m2 \(f2\)"):
        check_header(HEADER, Header("f2", 2, model_name="m2"))


def test_facts_may_differ():
    check_header(HEADER, Header("f1", 2, facts={"chunk_size": 1}))


@pytest.mark.parametrize("dim", [0, -1, True, 1.0, None])
def test_a_header_needs_a_dimension(dim):
    with pytest.raises(ConfigError, match="at least 1"):
        check_new_header(Header("f", dim))


def test_metadata_that_nodes_share_with_their_document_is_written_once():
    facts = {"a": 1}
    nodes = [
        Node(text="x", document_id="d", start=n, metadata=m)
        for n, m in enumerate((facts, {"a": 1}, {"b": 2}))
    ]
    (checked,) = check_entries([Entry("d", "h", nodes, np.ones((3, 2)), facts)], HEADER)
    assert checked.metadata == '{"a": 1}'
    assert checked.node_metadata == ['{"a": 1}', '{"a": 1}', '{"b": 2}']
    assert checked.entry.vectors.dtype == np.float32


def test_long_ids_are_cut_in_messages():
    nodes = [Node(text="x", id="i" * 10_000, document_id="d")] * 2
    with pytest.raises(StoreError, match="given twice") as caught:
        check_entries([Entry("d", "h", nodes, np.ones((2, 2)))], HEADER)
    assert len(str(caught.value)) < 250
    assert shown("short") == "'short'"


def entry_of(vectors):
    nodes = [Node(text="x", document_id="d", start=n) for n in range(len(vectors))]
    return Entry("d", "h", nodes, vectors)


def test_vectors_that_are_as_they_should_be_are_not_copied():
    vectors = np.ones((3, 2), np.float32)
    (checked,) = check_entries([entry_of(vectors)], HEADER)
    assert checked.entry.vectors is vectors


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((3, 2), np.float64),
        np.ones((3, 2), ">f4"),
        np.ones((3, 4), np.float32)[:, ::2],
        np.ones((2, 3), np.float32).T,
    ],
    ids=["float64", "big-endian", "strided", "column by column"],
)
def test_other_vectors_are_made_as_they_should_be(vectors):
    (checked,) = check_entries([entry_of(vectors)], HEADER)
    matrix = checked.entry.vectors
    assert matrix.dtype == np.dtype("=f4")
    assert matrix.flags.c_contiguous
    assert matrix.tolist() == vectors.tolist()


def test_numbers_whose_squares_no_float_holds_are_finite():
    vectors = np.full((3, 2), 3e38, np.float32)
    (checked,) = check_entries([entry_of(vectors)], HEADER)
    assert checked.entry.vectors is vectors


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_named_with_its_document(bad):
    vectors = np.ones((5, 2), np.float32)
    vectors[3, 1] = bad
    with pytest.raises(InvalidVectorsError, match=r"Document 'd' .* Vector 3 holds NaN"):
        check_entries([entry_of(vectors)], HEADER)


def ask(vectors=ONE, top_k=1, capabilities=None, header=HEADER, **options):
    options = {"filters": None, "mode": "vector", "texts": ()} | options
    return check_query(capabilities or Capabilities(), header, vectors, top_k, **options)


def test_one_vector_is_a_query_of_one():
    assert ask([1, 2])[0].tolist() == [[1, 2]]


def test_a_store_is_not_asked_for_what_it_cannot_do():
    with pytest.raises(NotSupportedError, match="words"):
        ask(mode="text")
    with pytest.raises(NotSupportedError, match="filters"):
        ask(filters={"a": 1}, capabilities=Capabilities(filters=False))


def test_one_text_is_not_a_list_of_texts():
    with pytest.raises(ConfigError, match="list of texts"):
        ask(mode="text", texts="word", capabilities=Capabilities(text_search=True))


def test_a_query_of_another_length_says_both():
    with pytest.raises(DimensionMismatchError, match=r"3 numbers.*of 2"):
        ask([[1, 2, 3]])
