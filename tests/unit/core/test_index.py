"""The index: what goes in, what changes, which model it takes."""

from __future__ import annotations

import asyncio
import threading

import pytest

import nearfield.core.index as index_module
from nearfield.core import (
    Document,
    MemoryStore,
    Node,
    SentenceSplitter,
    Settings,
    SimilarityMode,
    StorageContext,
    VectorStoreIndex,
    index_parts,
)
from nearfield.embeddings.bundled import BundledEmbedding
from nearfield.errors import ConfigError, DimensionMismatchError, ModelMismatchError, StoreError
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.fake import FakeEmbedding

PLANETS = [
    Document("Mars is the red planet. Its dust is iron.", {"kind": "rock"}, id="mars"),
    Document("Venus is the hottest planet. Its clouds are acid.", {"kind": "rock"}, id="venus"),
    Document("Saturn has rings of ice.", {"kind": "gas"}, id="saturn"),
]


class Whole:
    """Makes one node of a document."""

    def split(self, document):
        return [Node(document.text, document_id=document.id)]


@pytest.fixture
def model():
    return FakeEmbedding()


@pytest.fixture
def index(model):
    return VectorStoreIndex.from_documents(PLANETS, embed_model=model)


def ids(index):
    return list(index.store.content_hashes())


def first(index, question):
    return index.as_retriever(similarity_top_k=1).retrieve(question)[0].node.document_id


def test_documents_are_found_by_their_meaning(index):
    assert first(index, "which planet has rings?") == "saturn"
    assert first(index, "the red planet") == "mars"
    assert index.count == 3


def test_a_generator_of_documents_will_do(model):
    index = VectorStoreIndex.from_documents((d for d in PLANETS), embed_model=model)

    assert ids(index) == ["mars", "venus", "saturn"]


def test_the_model_comes_from_the_settings_once_when_the_index_is_made():
    with Settings.override(embed_model=FakeEmbedding(dim=8)):
        index = VectorStoreIndex.from_documents(PLANETS)
    with Settings.override(embed_model=FakeEmbedding(dim=16)):
        index.insert(Document("Pluto is small.", id="pluto"))

    assert index.embed_model.dim == 8
    assert first(index, "pluto") == "pluto"


def test_each_index_may_have_a_model_of_its_own():
    small = VectorStoreIndex.from_documents(PLANETS, embed_model=FakeEmbedding(dim=8))
    large = VectorStoreIndex.from_documents(PLANETS, embed_model=FakeEmbedding(dim=32))

    assert (small.store.header.dim, large.store.header.dim) == (8, 32)


def test_the_header_remembers_who_made_it_and_how(model):
    index = VectorStoreIndex.from_documents(
        PLANETS, embed_model=model, transformations=[SentenceSplitter.for_model(model, 64, 8)]
    )

    header = index.store.header
    assert header.fingerprint == model.fingerprint
    assert header.model_name == "fake"
    assert header.metric is SimilarityMode.COSINE
    assert (header.facts["chunk_size"], header.facts["chunk_overlap"]) == (64, 8)


@pytest.mark.parametrize("mode", ["dot_product", SimilarityMode.EUCLIDEAN])
def test_another_similarity_may_be_chosen_once(model, mode):
    index = VectorStoreIndex.from_documents(PLANETS, embed_model=model, similarity_mode=mode)

    assert index.store.header.metric is SimilarityMode(mode)
    with pytest.raises(ConfigError, match="compares by"):
        VectorStoreIndex(store=index.store, embed_model=model, similarity_mode="cosine")


def test_an_index_over_a_store_that_another_model_made_is_refused_showing_both(index):
    with pytest.raises(ModelMismatchError) as caught:
        VectorStoreIndex(store=index.store, embed_model=FakeEmbedding(model_name="other"))

    assert "nearfield-testing/fake/64" in str(caught.value)
    assert "nearfield-testing/other/64" in str(caught.value)
    assert "index the documents anew" in str(caught.value)


def test_another_model_is_used_all_the_same_when_told_to(index):
    other = FakeEmbedding(model_name="the same, served elsewhere")

    again = VectorStoreIndex(store=index.store, embed_model=other, check_model=False)

    assert again.embed_model is other
    assert first(again, "the red planet") == "mars"
    assert again.as_retriever(embed_model=FakeEmbedding(model_name="third")).retrieve("rings")


def test_questions_are_not_embedded_by_another_model(index):
    with pytest.raises(ModelMismatchError):
        index.as_retriever(embed_model=FakeEmbedding(model_name="other"))
    assert index.as_retriever(embed_model=FakeEmbedding()).retrieve("rings")


def test_the_model_an_index_names_is_made_again_when_the_settings_have_another(model, monkeypatch):
    monkeypatch.setattr(index_module, "name_of", lambda _: "local:fake")
    asked = []
    monkeypatch.setattr(index_parts, "rebuild", lambda name: asked.append(name) or FakeEmbedding())
    index = VectorStoreIndex.from_documents(PLANETS, embed_model=model)

    with Settings.override(embed_model=FakeEmbedding(dim=8)):
        again = VectorStoreIndex.from_vector_store(index.store)

    assert asked == ["local:fake"]
    assert again.embed_model.fingerprint == model.fingerprint


def test_a_named_model_that_cannot_be_loaded_is_the_cause_of_the_refusal(model, monkeypatch):
    monkeypatch.setattr(index_module, "name_of", lambda _: "local:gone")
    problem = ConfigError("no such folder")

    def fail(name):
        raise problem

    monkeypatch.setattr(index_parts, "rebuild", fail)
    index = VectorStoreIndex.from_documents(PLANETS, embed_model=model)

    with (
        Settings.override(embed_model=FakeEmbedding(dim=8)),
        pytest.raises(ModelMismatchError, match="'local:gone'") as caught,
    ):
        VectorStoreIndex.from_vector_store(index.store)
    assert caught.value.__cause__ is problem


# Changing it.


def test_insert_puts_a_document_in_and_insert_again_does_nothing(index, model):
    pluto = Document("Pluto is small and far.", id="pluto")
    index.insert(pluto)
    paid = len(model.computed)
    index.insert(pluto)

    assert ids(index) == ["mars", "venus", "saturn", "pluto"]
    assert len(model.computed) == paid


@pytest.mark.parametrize("way", ["insert", "update", "update_ref_doc"])
def test_a_new_version_replaces_the_old_one(index, way):
    getattr(index, way)(Document("Mars is where rovers drive.", id="mars"))

    texts = [n.text for n, _ in index.store.nodes() if n.document_id == "mars"]
    assert texts == ["Mars is where rovers drive."]
    assert index.count == 3


@pytest.mark.parametrize("way", ["refresh", "refresh_ref_docs"])
def test_refresh_tells_what_was_new_or_changed(index, model, way):
    paid = len(model.computed)
    changed = Document("Venus turns backwards.", id="venus")

    told = getattr(index, way)([PLANETS[0], changed, Document("Io is a moon.", id="io")])

    assert told == [False, True, True]
    assert model.computed[paid:] == ["Venus turns backwards.", "Io is a moon."]


def test_delete_takes_documents_out_with_their_nodes(index):
    assert index.delete(["mars", "nosuch"]) == 1
    assert index.delete("venus") == 1
    index.delete_ref_doc("saturn", delete_from_docstore=True)

    assert (index.count, ids(index)) == (0, [])


def test_delete_nodes_leaves_the_document_known(index):
    (node, _), *_ = index.store.nodes()

    assert index.delete_nodes([node.id, "nosuch"]) == 1
    assert index.count == 2
    assert index.refresh(PLANETS) == [False, False, False]


def test_nodes_are_inserted_as_they_are(model):
    nodes = [
        Node("one", document_id="a"),
        Node("two", document_id="a"),
        Node("alone", metadata={"k": 1}),
    ]
    index = VectorStoreIndex(nodes, embed_model=model)

    stored = [node for node, _ in index.store.nodes()]
    assert stored == nodes
    assert ids(index) == ["a", nodes[2].id]


def test_inserted_nodes_join_the_document_they_name(index, model):
    index.insert_nodes([Node("Mars has two moons.", document_id="mars", start=100)])

    info = index.ref_doc_info["mars"]
    assert len(info.node_ids) == 2
    assert info.metadata == {"kind": "rock"}
    assert model.computed.count(PLANETS[0].text) == 1
    assert index.refresh(PLANETS) == [False, False, False]


def test_an_inserted_node_replaces_the_one_of_its_id(model):
    index = VectorStoreIndex([Node("old", id="n", document_id="a")], embed_model=model)

    index.insert_nodes([Node("new", id="n", document_id="a")])

    assert [(n.id, n.text) for n, _ in index.store.nodes()] == [("n", "new")]


@pytest.mark.parametrize("document_id", ["", "survey"])
def test_nodes_of_equal_text_and_other_facts_are_all_kept(model, document_id):
    nodes = [
        Node("Yes.", document_id=document_id, metadata={"question": number}) for number in range(3)
    ]
    index = VectorStoreIndex([*nodes, nodes[0]], embed_model=model)
    index.insert_nodes(nodes)

    kept = [node.metadata["question"] for node, _ in index.store.nodes()]
    assert sorted(kept) == [0, 1, 2]


def test_nodes_of_equal_text_put_in_one_by_one_are_all_kept(model):
    index = VectorStoreIndex(embed_model=model)
    for number in range(3):
        index.insert_nodes([Node("Yes.", metadata={"question": number})])
    assert index.count == 3


def test_a_nodes_own_embedding_of_another_length_is_refused(index):
    with pytest.raises(DimensionMismatchError, match="has 2 numbers"):
        index.insert_nodes([Node("x", id="odd", embedding=[1.0, 2.0])])


def test_documents_left_out_are_warned_of(model):
    twice = [Document("one", id="a"), Document("two", id="a")]

    with pytest.warns(UserWarning, match=r"1 documents were left out; the first is 'a'") as caught:
        VectorStoreIndex.from_documents(twice, embed_model=model)
    assert caught[0].filename == __file__


def test_a_failed_insert_leaves_the_index_as_it_was(index):
    class Broken(FakeEmbedding):
        def _encode(self, texts, input_type):
            message = "no"
            raise RuntimeError(message)

    before = {node.id: vector.tobytes() for node, vector in index.store.nodes()}
    broken = VectorStoreIndex(store=index.store, embed_model=Broken())

    with pytest.raises(RuntimeError):
        broken.update(Document("Mars anew", id="mars"))

    assert {node.id: vector.tobytes() for node, vector in index.store.nodes()} == before
    assert index.refresh(PLANETS) == [False, False, False]


async def test_every_change_has_an_async_twin_that_does_the_same(model):
    index = await VectorStoreIndex.afrom_documents(PLANETS[:1], embed_model=model)
    await index.ainsert(PLANETS[1])
    await index.aingest(PLANETS)
    await index.aupdate(Document("Mars anew.", id="mars"))
    await index.aupdate_ref_doc(Document("Venus anew.", id="venus"))
    told = await index.arefresh([Document("Mars anew.", id="mars"), Document("New.", id="new")])
    assert told == [False, True]
    assert await index.arefresh_ref_docs([Document("New.", id="new")]) == [False]
    await index.ainsert_nodes([Node("a node", id="n")])
    assert await index.adelete_nodes("n") == 1
    assert await index.adelete(["new", "n"]) == 2
    await index.adelete_ref_doc("saturn")

    assert ids(index) == ["mars", "venus"]
    assert [n.text for n, _ in index.store.nodes()] == ["Mars anew.", "Venus anew."]


class Waiting(FakeEmbedding):
    """Tells that it has begun to compute, and waits to be told to go on."""

    def __init__(self):
        super().__init__(8)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def _encode(self, texts, input_type):
        self.begun.set()
        assert self.go_on.wait(10)
        return super()._encode(texts, input_type)


async def cancelled(work, model):
    """Cancel work while its model computes, and let the model go on."""
    task = asyncio.ensure_future(work)
    await asyncio.to_thread(model.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.go_on.set()


def ingested(index, many):
    return index.aingest(many)


def refreshed(index, many):
    return index.arefresh(many)


def made_of_them(index, many):
    return VectorStoreIndex.afrom_documents(
        many, store=index.store, embed_model=index.embed_model, insert_batch_size=2
    )


def put_in_as_nodes(index, many):
    return index.ainsert_nodes([Node(one.text, document_id=one.id) for one in many])


@pytest.mark.parametrize("call", [ingested, refreshed, made_of_them, put_in_as_nodes])
async def test_what_is_cancelled_stops_after_the_window_at_hand(call):
    model, ended = Waiting(), threading.Event()

    class Store(MemoryStore):
        def upsert(self, entries):
            super().upsert(entries)
            ended.set()

    index = VectorStoreIndex(store=Store(), embed_model=model, insert_batch_size=2)
    many = [Document(f"text {n}", id=f"d{n}") for n in range(50)]
    await cancelled(call(index, many), model)
    assert await asyncio.to_thread(ended.wait, 10)

    assert len(ids(index)) < 10


async def test_a_file_whose_index_nobody_waits_for_is_closed(tmp_path, monkeypatch):
    model, closed = Waiting(), threading.Event()
    close = SQLiteStore.close
    monkeypatch.setattr(SQLiteStore, "close", lambda store: (close(store), closed.set()))
    making = VectorStoreIndex.afrom_documents(PLANETS, path=tmp_path / "i", embed_model=model)
    await cancelled(making, model)

    assert await asyncio.to_thread(closed.wait, 10)


# What others write meanwhile.


class Meddled(FakeEmbedding):
    """Lets somebody else write while it computes, once."""

    def __init__(self, meanwhile):
        super().__init__(8)
        self._meanwhile = [meanwhile]

    def _encode(self, texts, input_type):
        if self._meanwhile:
            self._meanwhile.pop()()
        return super()._encode(texts, input_type)


@pytest.fixture(params=["memory", "sqlite"])
def two_indexes(request, tmp_path):
    """Give a way to make indexes over one store, which has a document of one node."""
    store = MemoryStore() if request.param == "memory" else None
    opened = []

    def make(model):
        own = store or SQLiteStore(tmp_path / "i")
        opened.append(VectorStoreIndex(store=own, embed_model=model, transformations=[Whole()]))
        return opened[-1]

    make(FakeEmbedding(8)).insert(Document("the start", id="d"))
    yield make
    for one in opened:
        one.close()


def texts(index):
    return [node.text for node, _ in index.store.nodes()]


def test_nodes_that_two_put_into_a_document_at_once_are_both_there(two_indexes):
    other = two_indexes(FakeEmbedding(8))
    mine = two_indexes(Meddled(lambda: other.insert_nodes([Node("theirs", "theirs", "d")])))
    mine.insert_nodes([Node("mine", "mine", "d")])

    assert texts(mine) == ["the start", "theirs", "mine"]
    assert mine.refresh([Document("the start", id="d")]) == [False]


def test_a_node_put_in_late_brings_no_older_text_back(two_indexes):
    other = two_indexes(FakeEmbedding(8))
    mine = two_indexes(Meddled(lambda: other.refresh([Document("the new text", id="d")])))
    mine.insert_nodes([Node("late", "late", "d")])

    assert texts(mine) == ["the new text", "late"]
    assert mine.refresh([Document("the new text", id="d")]) == [False]


def test_a_node_replaces_the_one_of_its_id_and_keeps_its_place(two_indexes):
    index = two_indexes(FakeEmbedding(8))
    index.insert_nodes([Node("two", "n2", "d"), Node("three", "n3", "d")])
    index.insert_nodes([Node("two anew", "n2", "d")])

    assert texts(index) == ["the start", "two anew", "three"]


def test_a_node_id_of_another_document_is_refused_and_nothing_changes(two_indexes):
    index = two_indexes(FakeEmbedding(8))
    index.insert_nodes([Node("one", "n", "d")])
    with pytest.raises(StoreError, match="'n'"):
        index.insert_nodes([Node("other", "n", "another")])

    assert texts(index) == ["the start", "one"]


@pytest.mark.parametrize(
    ("node", "error", "said"),
    [
        ("a text", TypeError, "Expected a Node, got str"),
        (Node("x", 7, "d"), TypeError, "id of node 7 must be str, not int"),
        (Node("x", "q", 7), TypeError, "document_id of node 'q' must be str"),
        (Node("x", "q", "d", start="0", end=4), TypeError, "start of node 'q' must be int"),
        (Node("x", "q", "d", start=2**70), ConfigError, "start of node 'q' must fit into 64 bits"),
        (Node("x", "q", "d", metadata={"n": 10**5000}), ConfigError, "node 'q' .*digits"),
    ],
)
def test_what_no_store_could_keep_as_a_node_is_refused_by_name(index, node, error, said):
    with pytest.raises(error, match=said):
        index.insert_nodes([node])
    assert ids(index) == ["mars", "venus", "saturn"]


def test_of_documents_with_one_id_the_first_is_put_in_and_the_answer_says_so(index):
    given = [Document("one", id="k"), Document("two", id="k"), Document("one", id="k")]
    with pytest.warns(UserWarning, match="left out"):
        assert index.refresh(given) == [True, False, False]
    assert index.refresh([Document("one", id="k")]) == [False]


# Where it lives.


def test_one_place_only(model, tmp_path):
    store = MemoryStore()
    context = StorageContext.from_defaults()
    with pytest.raises(ConfigError, match="one place"):
        VectorStoreIndex(store=store, storage_context=context, embed_model=model)
    with pytest.raises(ConfigError, match="one place"):
        VectorStoreIndex.from_documents([], path=tmp_path / "x", store=store, embed_model=model)


def test_a_storage_context_names_the_store(model):
    context = StorageContext.from_defaults(vector_store=MemoryStore())

    index = VectorStoreIndex.from_documents(PLANETS, storage_context=context, embed_model=model)

    assert index.store is context.vector_store
    assert index.storage_context.vector_store is context.vector_store


def test_there_must_be_an_index_to_open(tmp_path):
    with pytest.raises(StoreError, match=r"There is no index at .*nothing.* Make one"):
        VectorStoreIndex.open(tmp_path / "nothing.index")
    assert list(tmp_path.iterdir()) == []


def test_it_closes_its_store_at_the_end_of_the_block(model):
    closed = []

    class Store(MemoryStore):
        def close(self):
            closed.append(True)

    with VectorStoreIndex(store=Store(), embed_model=model) as index:
        assert repr(index).startswith("VectorStoreIndex(store=")
        assert "FakeEmbedding" in repr(index)
    assert closed == [True]


@pytest.mark.parametrize("size", [0, -5])
def test_a_batch_size_that_makes_no_sense_is_refused(model, size):
    with pytest.raises(ConfigError, match="insert_batch_size"):
        VectorStoreIndex(embed_model=model, insert_batch_size=size)


def test_an_unknown_keyword_is_a_type_error(model):
    with pytest.raises(TypeError, match="top_k"):
        VectorStoreIndex.from_documents(PLANETS, embed_model=model, top_k=3)


# Splitting.


def test_the_settings_splitter_and_sizes_are_used(model):
    long = Document("One two three. " * 40, id="long")
    with Settings.override(chunk_size=12, chunk_overlap=0):
        small = VectorStoreIndex.from_documents([long], embed_model=model)
    with Settings.override(node_parser=SentenceSplitter.for_model(model, 24, 0)):
        larger = VectorStoreIndex.from_documents([long], embed_model=model)

    assert small.count > larger.count > 1
    assert small.store.header.facts["chunk_size"] == 12


def test_an_index_keeps_the_sizes_it_was_made_with(model):
    long = "One two three. " * 40
    with Settings.override(chunk_size=12, chunk_overlap=0):
        index = VectorStoreIndex.from_documents([Document(long, id="a")], embed_model=model)

    again = VectorStoreIndex.from_vector_store(index.store, model)
    again.insert(Document(long, id="b"))

    per_document = [len(info.node_ids) for info in again.ref_doc_info.values()]
    assert per_document[0] == per_document[1]


def test_an_index_opens_whatever_overlap_is_set_for_new_ones(model):
    with Settings.override(chunk_size=12, chunk_overlap=2):
        index = VectorStoreIndex.from_documents(PLANETS, embed_model=model)
    with Settings.override(chunk_overlap=200):
        again = VectorStoreIndex.from_vector_store(index.store, model)
    assert first(again, "the red planet") == "mars"


def test_an_index_made_by_another_librarys_splitter_opens_without_it(model, recwarn):
    class Theirs:
        chunk_size, chunk_overlap = 4096, 1024  # of their own tokens

        def split_text(self, text):
            return [text]

    index = VectorStoreIndex.from_documents(
        PLANETS[:1], embed_model=model, transformations=[Theirs()]
    )
    again = VectorStoreIndex.from_vector_store(index.store, model)
    again.insert(PLANETS[1])

    assert "chunk_size" not in index.store.header.facts
    assert again.count == 2
    assert not recwarn.list


def test_an_index_whose_overlap_its_model_cannot_read_opens():
    model = BundledEmbedding()
    made_with = SentenceSplitter(512, 300, model.measure)
    index = VectorStoreIndex.from_documents(
        PLANETS[:1], embed_model=model, transformations=[made_with]
    )
    with pytest.warns(UserWarning, match="chunk_size 512 is more than the 254 tokens"):
        again = VectorStoreIndex.from_vector_store(index.store, model)
    assert first(again, "the red planet") == "mars"


def test_what_a_function_adds_to_one_node_is_not_added_to_all(model):
    class Theirs:
        def split_text(self, text):
            return text.split(". ")

    def numbered(nodes):
        for number, node in enumerate(nodes):
            node.metadata["part"] = number
        return nodes

    document = Document("One. Two. Three.", {"kind": "count"}, id="a")
    index = VectorStoreIndex.from_documents(
        [document], embed_model=model, transformations=[Theirs(), numbered]
    )

    assert [node.metadata["part"] for node, _ in index.store.nodes()] == [0, 1, 2]
    assert document.metadata == {"kind": "count"}


def test_transformations_are_a_splitter_and_functions_of_nodes(model):
    def shout(nodes):
        return [
            Node(n.text.upper(), id=n.id, document_id=n.document_id, start=n.start, end=n.end)
            for n in nodes
        ]

    index = VectorStoreIndex.from_documents(
        PLANETS[:1], embed_model=model, transformations=[Whole(), shout]
    )

    assert [n.text for n, _ in index.store.nodes()] == [PLANETS[0].text.upper()]


def test_a_splitter_of_texts_will_do_as_other_libraries_have_them(model):
    class Theirs:
        def split_text(self, text):
            return [*text.split(". "), "a summary"]

    index = VectorStoreIndex.from_documents(
        PLANETS[:1], embed_model=model, transformations=[Theirs()]
    )

    nodes = [node for node, _ in index.store.nodes()]
    assert [node.text for node in nodes] == [
        "Mars is the red planet",
        "Its dust is iron.",
        "a summary",
    ]
    assert [(node.start, node.end) for node in nodes[:2]] == [(0, 22), (24, 41)]
    assert {node.document_id for node in nodes} == {"mars"}
    assert nodes[0].metadata == {"kind": "rock"}


def test_nodes_of_a_splitter_get_their_documents_id_and_ids_of_their_own(model):
    class Careless:
        def split(self, document):
            return [Node("the same"), Node("the same"), Node("other", document_id="elsewhere")]

    index = VectorStoreIndex.from_documents(
        PLANETS[:2], embed_model=model, transformations=[Careless()]
    )

    assert index.count == 6
    assert {node.document_id for node, _ in index.store.nodes()} == {"mars", "venus"}


@pytest.mark.parametrize("wrong", [[], [len], [Whole(), 3], [object()], ["text"]])
def test_transformations_that_cannot_split_are_refused(model, wrong):
    with pytest.raises(ConfigError, match=r"split|empty|not a function"):
        VectorStoreIndex.from_documents(PLANETS, embed_model=model, transformations=wrong)


def test_a_failed_first_indexing_leaves_no_open_file(tmp_path, monkeypatch):
    """What was opened by ``from_documents(path=)`` is closed by it when it fails."""
    closed = []
    real = SQLiteStore.close
    monkeypatch.setattr(SQLiteStore, "close", lambda self: (closed.append(self.path), real(self)))

    with pytest.raises(TypeError):
        VectorStoreIndex.from_documents(
            [object()], path=tmp_path / "new.index", embed_model=FakeEmbedding()
        )

    assert closed == [tmp_path / "new.index"]


def test_a_document_written_while_the_index_is_saved_is_no_error(tmp_path):
    """Another process may add a document between the reading of hashes and of nodes."""
    index = VectorStoreIndex.from_documents(
        [Document("An old text.", id="old")], embed_model=FakeEmbedding()
    )
    store = index.store
    real = store.nodes

    def nodes(*args):
        index.insert(Document("A new text.", id="new"))
        return real(*args)

    store.nodes = nodes
    index.save(tmp_path / "saved.index")

    with VectorStoreIndex.open(tmp_path / "saved.index", embed_model=FakeEmbedding()) as saved:
        assert list(saved.store.content_hashes()) == ["old"]
