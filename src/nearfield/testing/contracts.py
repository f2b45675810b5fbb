"""What every embedding model keeps to, as tests to inherit.

A provider's whole contract test::

    class TestMine(EmbeddingContract):
        @pytest.fixture
        def model(self):
            return MyEmbedding()

pytest is needed to run it, not to import it.
"""

# ruff: noqa: D102 - a test's name is its sentence

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nearfield.core.progress import ProgressEvent, on_progress
from nearfield.errors import NearfieldError

if TYPE_CHECKING:
    from nearfield.core.embeddings.base import BaseEmbedding
    from nearfield.core.vectors import Vectors

THREADS = 8


class EmbeddingContract:
    """The tests; a subclass gives a ``model`` fixture.

    Attributes:
        tolerance: How much a number may differ between two ways to the same vector.
        texts: What is embedded: different texts of several lengths and scripts.
        odd_texts: Texts that trip models up: each gives a vector or one of
            nearfield's own errors.
    """

    tolerance: ClassVar[float] = 1e-5
    texts: ClassVar[tuple[str, ...]] = (
        "Mars is known as the Red Planet.",
        "a",
        "Venus\nis\n\nEarth's twin.\t",
        "Die Straße führt über den Fluß, höher und höher.",
        "火星は赤い惑星として知られています。",
        "  leading and trailing blanks  ",
        "🚀🪐 to the stars",
        " ".join(["many words make a long text"] * 12),
    )
    odd_texts: ClassVar[tuple[str, ...]] = (
        "",
        " ",
        "\n",
        "\x00",
        "\ud800",
        "\u202eright to left",
        "\u200b",
        "e\u0301" * 40,
        "x" * 20_000,
        "word " * 20_000,
    )

    def close(self, left: Any, right: Any) -> None:
        """Check that two arrays are the same within the tolerance.

        Args:
            left: Numbers of any shape.
            right: Numbers of the same shape.
        """
        np.testing.assert_allclose(left, right, rtol=0, atol=self.tolerance)

    def encode(self, model: BaseEmbedding, **options: Any) -> Vectors:
        """Embed the contract's texts.

        Args:
            model: The model under test.
            options: Further arguments of its ``encode``.

        Returns:
            ``(len(texts), dim)`` float32.
        """
        return model.encode(list(self.texts), **options)

    # Shape and type.

    def test_vectors_are_one_contiguous_float32_matrix(self, model: BaseEmbedding) -> None:
        vectors = self.encode(model)
        _check(isinstance(vectors, np.ndarray), "an array")
        _check(vectors.dtype == np.float32, "float32")
        _check(vectors.shape == (len(self.texts), vectors.shape[1]), "one row per text")
        _check(vectors.flags.c_contiguous, "C-contiguous")
        _check(bool(np.isfinite(vectors).all()), "finite numbers")

    def test_the_declared_dim_is_the_vectors_length(self, model: BaseEmbedding) -> None:
        before = model.dim
        vectors = self.encode(model)
        _check(model.dim == vectors.shape[1], "dim as declared after a call")
        _check(before in {None, vectors.shape[1]}, "dim as declared before a call")

    def test_no_texts_give_no_vectors(self, model: BaseEmbedding) -> None:
        self.encode(model)
        _check(model.encode([]).shape == (0, model.dim), "(0, dim) for no texts")
        _check(model.get_text_embedding_batch([]) == [], "no lists for no texts")

    def test_lists_are_plain_and_can_be_written_as_json(self, model: BaseEmbedding) -> None:
        rows = model.get_text_embedding_batch(list(self.texts))
        _check(json.loads(json.dumps(rows)) == rows, "JSON-able lists")
        _check(type(rows) is list and type(rows[0]) is list, "plain lists")
        _check(type(rows[0][0]) is float, "plain floats")
        _check(json.loads(json.dumps(model.get_query_embedding("q"))) != [], "a JSON-able list")

    # The same text, the same vector.

    def test_two_calls_give_the_same(self, model: BaseEmbedding) -> None:
        self.close(self.encode(model), self.encode(model))

    def test_different_texts_differ(self, model: BaseEmbedding) -> None:
        vectors = self.encode(model)
        _check(len({row.tobytes() for row in vectors}) == len(self.texts), "different vectors")

    def test_order_is_kept(self, model: BaseEmbedding) -> None:
        backwards = model.encode(list(reversed(self.texts)))
        self.close(backwards[::-1], self.encode(model))

    def test_equal_texts_get_equal_vectors(self, model: BaseEmbedding) -> None:
        vectors = model.encode([self.texts[0], self.texts[1], self.texts[0]])
        np.testing.assert_array_equal(vectors[0], vectors[2])

    def test_the_batch_size_changes_nothing(self, model: BaseEmbedding) -> None:
        whole = self.encode(model)
        usual = model.embed_batch_size
        try:
            for size in (1, 3, 100):
                model.embed_batch_size = size
                self.close(self.encode(model), whole)
        finally:
            model.embed_batch_size = usual

    def test_a_text_alone_gives_its_row(self, model: BaseEmbedding) -> None:
        vectors = self.encode(model)
        for text, row in zip(self.texts, vectors, strict=True):
            self.close(model.get_text_embedding(text), row)

    def test_all_names_of_a_call_give_the_same(self, model: BaseEmbedding) -> None:
        texts, query = list(self.texts), self.texts[0]
        vectors = model.encode(texts)
        self.close(model.get_text_embeddings(texts), vectors)
        self.close(model.get_text_embedding_batch(texts), vectors)
        self.close(model.embed_documents(texts), vectors)
        asked = model.encode([query], input_type="query")[0]
        self.close(model.get_query_embedding(query), asked)
        self.close(model.embed_query(query), asked)
        self.close(model.get_agg_embedding_from_queries([query]), asked)

    def test_queries_and_documents_share_a_space(self, model: BaseEmbedding) -> None:
        asked = model.encode(list(self.texts), input_type="query")
        _check(asked.shape == self.encode(model).shape, "query vectors as long as documents'")

    # At the same time.

    def test_the_coroutines_give_the_same(self, model: BaseEmbedding) -> None:
        async def ask() -> tuple[Any, ...]:
            texts = list(self.texts)
            return (
                await model.aencode(texts),
                await model.aget_text_embedding_batch(texts),
                await model.aembed_documents(texts),
                await asyncio.gather(*(model.aget_text_embedding(text) for text in texts)),
                await model.aget_query_embedding(texts[0]),
            )

        *documents, asked = asyncio.run(ask())
        for vectors in documents:
            self.close(vectors, self.encode(model))
        self.close(asked, model.get_query_embedding(self.texts[0]))

    def test_a_blocking_call_works_inside_a_running_loop(self, model: BaseEmbedding) -> None:
        async def call() -> Vectors:
            return self.encode(model)

        self.close(asyncio.run(call()), self.encode(model))

    def test_eight_threads_give_what_one_gives(self, model: BaseEmbedding) -> None:
        alone = self.encode(model)
        with ThreadPoolExecutor(THREADS) as pool:
            jobs = [pool.submit(self.encode, model) for _ in range(THREADS)]
            for job in jobs:
                self.close(job.result(), alone)

    # Manners.

    def test_the_callers_list_is_left_alone(self, model: BaseEmbedding) -> None:
        texts = list(self.texts)
        model.encode(texts)
        _check(texts == list(self.texts), "an unchanged list")

    def test_a_vector_may_be_changed_without_harm(self, model: BaseEmbedding) -> None:
        first = self.encode(model)
        kept = first.copy()
        first[:] = 0
        self.close(self.encode(model), kept)

    def test_one_string_is_no_list_of_texts(self, model: BaseEmbedding) -> None:
        _raises(TypeError, lambda: model.encode("text"))
        _raises(TypeError, lambda: model.encode([b"text"]))  # type: ignore[list-item]

    def test_an_odd_text_gives_a_vector_or_a_typed_error(self, model: BaseEmbedding) -> None:
        for text in self.odd_texts:
            try:
                vectors = model.encode([text])
            except NearfieldError as error:
                _check(str(error).strip() != "", f"a reason for {text[:20]!r}")
                continue
            _check(vectors.shape == (1, model.dim), f"one vector for {text[:20]!r}")
            _check(bool(np.isfinite(vectors).all()), f"finite numbers for {text[:20]!r}")

    def test_the_fingerprint_is_fixed(self, model: BaseEmbedding) -> None:
        before = model.fingerprint
        self.encode(model)
        _check(before == model.fingerprint != "", "the same fingerprint after a call")

    def test_the_repr_names_the_class(self, model: BaseEmbedding) -> None:
        _check(type(model).__name__ in repr(model), "its class in its repr")

    def test_progress_reaches_the_end(self, model: BaseEmbedding) -> None:
        heard: list[ProgressEvent] = []
        with on_progress(heard.append):
            model.encode([f"{text} once more" for text in self.texts])
        done = [event.done for event in heard]
        _check(done == sorted(done), "progress that only grows")
        _check(heard[-1].finished and done[-1] == len(self.texts), "progress to the last text")

    def test_the_report_counts_texts(self, model: BaseEmbedding) -> None:
        texts = [*self.texts, self.texts[0]]
        _, report = model.encode_with_report(texts)
        _check(report.texts == len(texts), "all texts counted")
        _check(report.computed + report.cache_hits == len(self.texts), "different ones computed")


def _check(holds: bool, expected: str) -> None:  # noqa: FBT001 - an assertion
    if not holds:
        message = f"Expected {expected}."
        raise AssertionError(message)


def _raises(kind: type[Exception], call: Any) -> None:
    try:
        call()
    except kind:
        return
    message = f"Expected a {kind.__name__}."
    raise AssertionError(message)
