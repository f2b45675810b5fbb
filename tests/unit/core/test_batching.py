"""The plan of an embedding call: every text computed once, every vector in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.batching import make_plan, preview
from nearfield.errors import InvalidVectorsError


def vector(text):
    return np.array([len(text), sum(map(ord, text))], np.float32)


@given(
    texts=st.lists(st.text(max_size=3), max_size=30),
    known=st.sets(st.text(max_size=3), max_size=5),
    batch_size=st.integers(1, 7),
    data=st.data(),
)
def test_every_text_has_its_vector_in_whatever_order_batches_come_back(
    texts, known, batch_size, data
):
    plan = make_plan(texts, batch_size=batch_size, known={text: vector(text) for text in known})
    batches = plan.batches()

    computed = [text for batch in batches for text in batch.texts]
    assert sorted(computed) == sorted(set(texts) - known)
    assert all(len(batch.texts) <= batch_size for batch in batches)

    for batch in data.draw(st.permutations(batches)):
        plan.accept(batch, [vector(text) for text in batch.texts])
    assembled = plan.assemble(2)

    assert assembled.shape == (len(texts), 2)
    assert assembled.flags.c_contiguous
    assert assembled.tolist() == [vector(text).tolist() for text in texts]


def test_a_plan_with_a_batch_missing_cannot_be_assembled():
    plan = make_plan(["a", "b"], batch_size=1)
    first, _ = plan.batches()
    plan.accept(first, [[1.0, 2.0]])

    with pytest.raises(InvalidVectorsError, match="1 of 2"):
        plan.assemble(2)


def test_a_wrong_batch_changes_nothing():
    plan = make_plan(["a", "b"], batch_size=2)
    (batch,) = plan.batches()
    with pytest.raises(InvalidVectorsError):
        plan.accept(batch, [[1.0, float("nan")], [1.0, 2.0]])

    plan.accept(batch, [[1.0, 2.0], [3.0, 4.0]])

    assert plan.assemble(2).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_vectors_of_an_unexpected_length_are_refused():
    plan = make_plan(["a"], batch_size=1)

    with pytest.raises(InvalidVectorsError, match=r"3 numbers where 2 .*'a'"):
        plan.accept(plan.batches()[0], [[1.0, 2.0, 3.0]], dim=2)


def test_a_known_vector_of_another_length_is_refused():
    plan = make_plan(["a", "b"], batch_size=1, known={"a": np.zeros(3, np.float32)})
    plan.accept(plan.batches()[0], [[1.0, 2.0]])

    with pytest.raises(InvalidVectorsError, match="numbers"):
        plan.assemble(None)


def test_long_texts_are_named_by_their_beginning():
    assert preview("short") == "'short'"
    assert preview("x" * 100) == repr("x" * 60 + "...")
    assert preview("line\nline") == repr("line\nline")
