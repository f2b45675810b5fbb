"""Classes written as the LlamaIndex documentation prints them."""

from __future__ import annotations

import abc
import asyncio
import pickle
import warnings
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pytest

from nearfield.core.embeddings import BaseEmbedding

T = TypeVar("T")


class INSTRUCTOR:
    """Stands for the model class of the page's example: rows of an array come back."""

    def __init__(self, name):
        self.name = name

    def encode(self, pairs):
        return np.array([[len(instruction), len(text)] for instruction, text in pairs], "f4")


with warnings.catch_warnings(record=True) as printed_class_warnings:
    warnings.simplefilter("always")

    class InstructorEmbeddings(BaseEmbedding):
        """The class of the page, as printed."""

        def __init__(
            self,
            instructor_model_name: str = "hkunlp/instructor-large",
            instruction: str = "Represent the Computer Science documentation or question:",
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self._model = INSTRUCTOR(instructor_model_name)
            self._instruction = instruction

        def _get_query_embedding(self, query: str) -> list[float]:
            embeddings = self._model.encode([[self._instruction, query]])
            return embeddings[0]

        def _get_text_embedding(self, text: str) -> list[float]:
            embeddings = self._model.encode([[self._instruction, text]])
            return embeddings[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            embeddings = self._model.encode([[self._instruction, text] for text in texts])
            return embeddings  # noqa: RET504 - as printed

        async def _get_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        async def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_text_embedding(text)


class Further(InstructorEmbeddings):
    """A subclass of the page's class."""

    def _get_text_embedding(self, text):
        return [7.0, 7.0]


def test_the_class_of_the_page_works_as_printed():
    model = InstructorEmbeddings(instruction="four", embed_batch_size=2)

    assert model.get_text_embedding("abc") == [4.0, 3.0]
    assert model.get_query_embedding("ab") == [4.0, 2.0]
    assert model.get_text_embeddings(["a", "ab", "abc"]) == [[4.0, 1.0], [4.0, 2.0], [4.0, 3.0]]
    assert asyncio.run(model.aget_text_embedding("abc")) == [4.0, 3.0]
    assert asyncio.run(model.aget_query_embedding("ab")) == [4.0, 2.0]


def test_it_warns_once_naming_the_class_and_both_spellings():
    assert len(printed_class_warnings) == 1
    message = str(printed_class_warnings[0].message)
    assert message.startswith("InstructorEmbeddings defines _get_query_embedding as a coroutine")
    assert "_aget_query_embedding" in message
    assert printed_class_warnings[0].filename == __file__


def test_it_can_be_pickled():
    again = pickle.loads(pickle.dumps(InstructorEmbeddings(instruction="four")))

    assert again.get_text_embedding("abc") == [4.0, 3.0]


def test_a_subclass_of_it_overrides_what_it_defines():
    model = Further(instruction="four")

    assert model.get_query_embedding("ab") == [4.0, 2.0]
    assert model._get_text_embedding("ab") == [7.0, 7.0]
    assert pickle.loads(pickle.dumps(model)).get_query_embedding("ab") == [4.0, 2.0]


def test_an_async_definition_under_the_right_name_wins():
    with pytest.warns(
        UserWarning, match="defines _get_text_embedding as a coroutine; it is left out"
    ) as caught:

        class Both(BaseEmbedding):
            def _get_text_embedding(self, text):
                return [1.0]

            async def _aget_text_embedding(self, text):
                return [2.0]

            async def _get_text_embedding(self, text):
                return [3.0]

    assert len(caught) == 1
    assert Both().get_text_embedding("a") == [1.0]
    assert asyncio.run(Both().aget_text_embedding("a")) == [2.0]


def test_an_async_definition_alone_is_no_sync_hook():
    with pytest.warns(UserWarning, match="as a coroutine"):

        class OnlyAsync(BaseEmbedding):
            async def _get_text_embedding(self, text):
                return [1.0]

    with pytest.raises(TypeError, match="OnlyAsync cannot embed"):
        OnlyAsync()


def test_a_class_with_properly_named_coroutines_is_not_warned_of(recwarn):
    class Proper(BaseEmbedding):
        def _get_text_embedding(self, text):
            return [1.0]

        async def _aget_text_embedding(self, text):
            return [2.0]

    assert asyncio.run(Proper().aget_text_embedding("a")) == [2.0]
    assert len(recwarn) == 0


def test_abstract_classes_protocols_and_generics_mix_in():
    class Named(abc.ABC):
        @abc.abstractmethod
        def name(self): ...

    class Closing(Protocol):
        def close(self): ...

    class Mixed(BaseEmbedding, Named, Generic[T]):
        def _encode(self, texts, input_type):
            return [[1.0] for _ in texts]

        def name(self):
            return "mixed"

    class Closable(BaseEmbedding, Closing):
        def _encode(self, texts, input_type):
            return [[1.0] for _ in texts]

        def close(self):
            return None

    class Nameless(BaseEmbedding, Named):
        def _encode(self, texts, input_type):
            return [[1.0] for _ in texts]

    assert Mixed[int]().get_text_embedding("a") == [1.0]
    assert Closable().get_text_embedding("a") == [1.0]
    with pytest.raises(TypeError, match="abstract"):
        Nameless()
