"""What stands around a node, told by ``page/neighbours.py``."""

import pytest

from nearfield import Document
from nearfield.core import VectorStoreIndex
from nearfield.core.schema import Node
from nearfield.core.splitter import SentenceSplitter
from nearfield.server.page.neighbours import SHOWN_CHARACTERS, around
from nearfield.testing.fake import FakeEmbedding

TEXT = " ".join(f"Sentence number {n} goes on for a while." for n in range(60))


@pytest.fixture
def index():
    splitter = SentenceSplitter(60, 20)
    documents = [Document(TEXT, id="long"), Document("A short one.", id="short")]
    return VectorStoreIndex.from_documents(
        documents, embed_model=FakeEmbedding(), transformations=[splitter]
    )


def nodes_of(index, document_id):
    return [node for node, _ in index.store.nodes() if node.document_id == document_id]


def test_what_is_shown_before_and_after_is_the_document(index):
    for node in nodes_of(index, "long"):
        found = around(index.store, node)
        # Between two nodes lies white space, which belongs to neither.
        assert TEXT[: node.start].rstrip().endswith(found.before.rstrip())
        assert TEXT[node.end :].lstrip().startswith(found.after.strip())
        assert len(found.before) <= SHOWN_CHARACTERS


def test_shared_sentences_are_told(index):
    nodes = nodes_of(index, "long")
    first, second = nodes[0], nodes[1]

    shared = first.end - second.start
    assert shared > 0
    assert around(index.store, first).shared_after == shared
    assert around(index.store, second).shared_before == shared
    assert around(index.store, first).shared_before == 0


def test_a_node_knows_its_place_in_its_document(index):
    nodes = nodes_of(index, "long")

    places = [around(index.store, node) for node in nodes]
    assert [place.number for place in places] == list(range(1, len(nodes) + 1))
    assert {place.of for place in places} == {len(nodes)}
    assert (places[0].before, places[-1].after) == ("", "")


def test_a_document_of_one_node_has_nothing_around_it(index):
    (node,) = nodes_of(index, "short")

    found = around(index.store, node)
    assert (found.before, found.after, found.of) == ("", "", 1)


def test_a_node_that_is_gone_has_nothing_around_it(index):
    assert around(index.store, Node("never written")).before == ""


def test_later_changes_are_seen(index):
    (node,) = nodes_of(index, "short")
    around(index.store, node)
    index.insert_nodes([Node("More of it.", document_id="more", start=0)])
    (new,) = nodes_of(index, "more")

    assert around(index.store, new).of == 1


def test_nodes_not_cut_from_a_text_are_shown_as_they_are():
    index = VectorStoreIndex(embed_model=FakeEmbedding())
    nodes = [
        Node("rewritten first", document_id="d", start=0, end=100),
        Node("rewritten second", document_id="d", start=90, end=200),
    ]
    index.insert_nodes(nodes)

    found = around(index.store, nodes[1])
    assert (found.before, found.shared_before) == ("rewritten first", 0)
