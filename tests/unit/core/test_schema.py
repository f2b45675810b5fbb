"""The records: what a document may be made of, and whose documents are taken for one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nearfield.core.schema import Document, as_document
from nearfield.errors import ConfigError


@pytest.mark.parametrize("spelling", ["id", "id_", "doc_id"])
def test_an_id_may_be_spelt_in_three_ways(spelling):
    assert Document("text", **{spelling: "mine"}).id == "mine"


def test_without_an_id_equal_texts_are_one_document():
    assert Document("text").id == Document("text", {"a": 1}).id != Document("other").id


@pytest.mark.parametrize("text", [None, b"bytes", 7])
def test_a_text_that_is_no_text_is_refused_by_its_type(text):
    with pytest.raises(TypeError, match=f"must be str, not {type(text).__name__}"):
        Document(text)


@pytest.mark.parametrize("spelling", ["id", "id_", "doc_id"])
def test_an_id_that_is_a_number_is_refused_even_nought(spelling):
    with pytest.raises(TypeError, match="id of a Document must be str, not int"):
        Document("text", **{spelling: 0})


@pytest.mark.parametrize("metadata", ["y", "", ["source"], 7])
def test_metadata_without_names_is_refused_with_what_to_write(metadata):
    kind = type(metadata).__name__
    with pytest.raises(ConfigError, match=rf"metadata of a Document .*not {kind}\. Write .*{{"):
        Document("x", metadata)


@pytest.mark.parametrize("text", ["a page", ""])
def test_a_langchain_document_is_one_even_of_an_empty_page(text):
    theirs = SimpleNamespace(page_content=text, metadata={"page": 3}, id="p3")
    assert as_document(theirs) == Document(text, {"page": 3}, "p3")


def test_a_llama_index_document_is_one():
    theirs = SimpleNamespace(text="a page", metadata={}, id_="p3")
    assert as_document(theirs) == Document("a page", id="p3")
