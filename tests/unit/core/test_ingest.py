"""The stream into a store: what is embedded, what is written, what a failure leaves."""

from __future__ import annotations

import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.ingest import Ingest
from nearfield.core.memory_store import MemoryStore
from nearfield.core.progress import on_progress
from nearfield.core.readers import PathReader, SimpleDirectoryReader
from nearfield.core.report import count
from nearfield.core.schema import Document, Node
from nearfield.core.settings import Settings
from nearfield.core.store import Header
from nearfield.errors import ConfigError, DimensionMismatchError, InvalidVectorsError, StoreError
from nearfield.testing.fake import FakeEmbedding


def by_line(document):
    """Make a node of every line."""
    nodes, place = [], 0
    for line in document.text.splitlines(keepends=True):
        node = Node(line.strip(), document_id=document.id, start=place, metadata=document.metadata)
        nodes.append(node)
        place += len(line)
    return nodes


def stream(store, model, window_nodes=4):
    def header(dim):
        return Header(model.fingerprint, dim, model_name=model.model_name)

    return Ingest(store, model, header, window_nodes)


def ingest(store, model, documents, **options):
    return stream(store, model).documents(documents, by_line, **options)


def contents(store):
    """Give all a store has, in a form that can be compared."""
    return {
        "documents": store.content_hashes(),
        "facts": dict(store.documents()),
        "nodes": {node.id: (node, vector.tobytes()) for node, vector in store.nodes()},
    }


def numbered(count, version=1):
    return [
        Document(f"document {n} begins\nand ends, version {version}", {"n": n}, id=f"d{n}")
        for n in range(count)
    ]


@pytest.fixture
def model():
    return FakeEmbedding(dim=16)


@pytest.fixture
def store():
    return MemoryStore()


def test_every_node_is_stored_with_its_vector(store, model):
    report = ingest(store, model, numbered(10))

    assert (report.added, report.nodes, report.embedded) == (10, 20, 15)  # each window its own
    assert store.count() == 20
    for node, vector in store.nodes():
        assert vector.tolist() == model.get_text_embedding(node.text)
    assert list(store.content_hashes()) == [f"d{n}" for n in range(10)]
    assert dict(store.documents())["d3"] == {"n": 3}
    assert report.seconds > 0
    assert 0 <= report.busy_share <= 1


def test_a_second_run_embeds_nothing(store, model):
    ingest(store, model, numbered(10))
    before, paid = contents(store), len(model.computed)

    report = ingest(store, model, numbered(10))

    assert (report.unchanged, report.added, report.embedded) == (10, 0, 0)
    assert len(model.computed) == paid
    assert contents(store) == before


def test_only_what_changed_is_embedded_again(store, model):
    ingest(store, model, numbered(10))
    paid = len(model.computed)
    changed = numbered(10)
    changed[3] = Document("document 3 begins\nand ends otherwise", {"n": 3}, id="d3")

    report = ingest(store, model, changed)

    assert (report.changed, report.unchanged) == (1, 9)
    assert model.computed[paid:] == ["and ends otherwise"]  # the line that stayed is not paid for
    assert contents(store) == contents(filled(changed))


def filled(documents):
    """Give a store into which documents went in one uninterrupted run."""
    store = MemoryStore()
    ingest(store, FakeEmbedding(dim=16), documents)
    return store


def test_a_change_of_facts_alone_costs_no_embedding(store, model):
    ingest(store, model, numbered(3))
    paid = len(model.computed)

    renamed = [Document(d.text, {"n": d.metadata["n"] + 100}, id=d.id) for d in numbered(3)]
    report = ingest(store, model, renamed)

    assert (report.changed, report.embedded) == (3, 0)
    assert len(model.computed) == paid
    assert {node.metadata["n"] for node, _ in store.nodes()} == {100, 101, 102}


def test_swapped_texts_are_both_replaced(store, model):
    one, two = Document("apples", id="a"), Document("pears", id="b")
    ingest(store, model, [one, two])

    ingest(store, model, [Document("pears", id="a"), Document("apples", id="b")])

    texts = {node.document_id: node.text for node, _ in store.nodes()}
    assert texts == {"a": "pears", "b": "apples"}
    for node, vector in store.nodes():
        assert vector.tolist() == model.get_text_embedding(node.text)


def test_a_shorter_version_leaves_no_node_of_the_longer_one(store, model):
    ingest(store, model, [Document("one\ntwo\nthree", id="a")])

    ingest(store, model, [Document("one", id="a")])

    assert [node.text for node, _ in store.nodes()] == ["one"]


def test_documents_that_are_gone_stay_unless_asked_for(store, model):
    ingest(store, model, numbered(4))

    report = ingest(store, model, numbered(2))

    assert report.removed == 0
    assert len(store.content_hashes()) == 4


def test_documents_that_are_gone_are_removed_within_what_is_removable(store, model):
    ingest(store, model, numbered(6))

    report = ingest(store, model, numbered(2), removable=lambda name, facts: facts["n"] != 5)

    assert report.removed == 3
    assert list(store.content_hashes()) == ["d0", "d1", "d5"]


def test_nothing_is_removed_when_reading_failed(store, model):
    ingest(store, model, numbered(4))

    def broken():
        yield from numbered(1)
        message = "the disk went away"
        raise OSError(message)

    with pytest.raises(OSError, match="went away"):
        ingest(store, model, broken(), removable=lambda name, facts: True)
    assert len(store.content_hashes()) == 4


def test_a_document_without_text_is_known_and_has_no_node(store, model):
    report = ingest(store, model, [Document("", id="empty")])

    assert (report.added, report.nodes) == (1, 0)
    assert "empty" in store.content_hashes()
    assert ingest(store, model, [Document("", id="empty")]).unchanged == 1


def test_no_document_at_all_writes_nothing(store, model):
    report = ingest(store, model, [])

    assert report.added == report.unchanged == 0
    assert store.header is None


def test_two_documents_of_one_id_are_told_and_the_first_is_kept(store, model):
    report = ingest(store, model, [Document("first", id="a"), Document("second", id="a")])

    assert [skipped.document_id for skipped in report.skipped] == ["a"]
    assert "same id" in report.skipped[0].reason
    assert [node.text for node, _ in store.nodes()] == ["first"]


@pytest.fixture
def two_folders(tmp_path):
    """Give documents of two folders that hold a file of one name."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(f"Of {folder}.")
        (tmp_path / folder / "rows.csv").write_text(f"name\n{folder}\n{folder}{folder}")
    return [SimpleDirectoryReader(tmp_path / folder).load_data() for folder in ("a", "b")]


def test_a_file_that_takes_the_place_of_another_one_is_told_with_both(
    two_folders, store, model, tmp_path
):
    first, second = two_folders
    ingest(store, model, first)
    with pytest.warns(UserWarning, match="takes the place of") as told:
        ingest(store, model, second)
    for folder in ("a", "b"):
        assert repr(str(tmp_path / folder / "notes.txt")) in str(told[0].message)
    assert "2 such files" in str(told[0].message)
    assert len(told) == 1


def test_a_file_of_a_folder_that_was_moved_replaces_its_old_version_without_a_word(
    two_folders, store, model, tmp_path, recwarn
):
    first, second = two_folders
    ingest(store, model, first)
    shutil.rmtree(tmp_path / "a")
    assert ingest(store, model, second).changed == 3
    (tmp_path / "b" / "notes.txt").write_text("Changed.")
    assert ingest(store, model, SimpleDirectoryReader(tmp_path / "b").load_data()).changed == 1
    assert not recwarn.list


def test_a_file_called_by_another_path_is_no_other_one(
    store, model, tmp_path, monkeypatch, recwarn
):
    """Paths count from one folder: what the file was called by stands elsewhere for another."""
    for place in ("one", "two"):
        (tmp_path / place / "docs").mkdir(parents=True)
        (tmp_path / place / "docs" / "x.txt").write_text(f"In {place}.")

    def read(folder, called):
        monkeypatch.chdir(tmp_path / folder)
        return PathReader([called], relative_to=tmp_path).load_data()

    ingest(store, model, read("one", "docs"))
    (tmp_path / "one" / "docs" / "x.txt").write_text("Changed.")
    assert ingest(store, model, read("two", "../one/docs")).changed == 1
    assert not recwarn.list


def test_of_two_files_of_one_id_the_one_left_out_is_named(two_folders, store, model, tmp_path):
    first, second = two_folders
    report = ingest(store, model, [*first, *second])
    assert repr(str(tmp_path / "b" / "notes.txt")) in report.skipped[0].reason


def test_the_same_document_twice_is_one(store, model):
    report = ingest(store, model, [Document("first", id="a"), Document("first", id="a")])

    assert (report.added, report.unchanged, report.skipped) == (1, 1, [])


def test_equal_texts_of_a_window_are_embedded_once(store, model):
    documents = [Document("the same line", id=f"d{n}") for n in range(4)]

    report = ingest(store, model, documents)

    assert (report.nodes, report.embedded) == (4, 1)
    assert model.computed == ["the same line"]


def test_documents_share_calls_of_the_model(store):
    calls = []

    class Watched(FakeEmbedding):
        def encode_with_report(self, texts, **options):
            calls.append(len(texts))
            return super().encode_with_report(texts, **options)

    ingest(store, Watched(dim=16), numbered(6))

    assert calls == [4, 4, 4]


def test_a_large_document_is_embedded_in_slices_and_written_whole(model):
    writes = []

    class Watched(MemoryStore):
        def upsert(self, entries):
            writes.append([(entry.document_id, len(entry.nodes)) for entry in entries])
            super().upsert(entries)

    calls = []

    class Slices(FakeEmbedding):
        def encode_with_report(self, texts, **options):
            calls.append(len(texts))
            return super().encode_with_report(texts, **options)

    large = Document("\n".join(f"line {n}" for n in range(10)), id="large")
    store = Watched()
    ingest(store, Slices(dim=16), [large, Document("small", id="small")])

    assert calls == [4, 4, 2, 1]
    assert writes == [[("large", 10)], [("small", 1)]]
    for node, vector in store.nodes():
        assert vector.tolist() == model.get_text_embedding(node.text)


def test_reading_runs_ahead_by_a_few_windows_only(store):
    """Memory is bounded: while a window is embedded, little more than two are read."""
    read, embedding, go_on = [], threading.Event(), threading.Event()

    class Waiting(FakeEmbedding):
        def _encode(self, texts, input_type):
            embedding.set()
            assert go_on.wait(10)
            return super()._encode(texts, input_type)

    def documents():
        for n in range(100):
            read.append(n)
            yield Document(f"text {n}", id=f"d{n}")

    thread = threading.Thread(target=ingest, args=(store, Waiting(dim=16), documents()))
    thread.start()
    assert embedding.wait(10)
    assert len(read) <= 3 * 4 + 1
    go_on.set()
    thread.join(10)

    assert len(store.content_hashes()) == 100


def test_reading_embedding_and_writing_overlap():
    """Each stage waits for another one to be at work: only an overlapping stream ends."""
    reading, writing = threading.Event(), threading.Event()

    class Store(MemoryStore):
        def upsert(self, entries):
            writing.set()
            super().upsert(entries)

    class Model(FakeEmbedding):
        def _encode(self, texts, input_type):
            if "text 4" in texts:  # the second window
                assert writing.wait(10), "the first window is written while this is embedded"
                assert reading.wait(10), "the third window is read while this is embedded"
            return super()._encode(texts, input_type)

    def documents():
        for n in range(12):
            if n == 11:
                reading.set()
            yield Document(f"text {n}", id=f"d{n}")

    assert ingest(Store(), Model(dim=16), documents()).added == 12


@pytest.mark.parametrize("length", [1, 4, 7])
def test_a_reading_error_comes_after_what_was_read_is_written(store, model, length):
    def documents():
        yield from numbered(length)
        message = "page torn out"
        raise OSError(message)

    with pytest.raises(OSError, match="page torn out"):
        ingest(store, model, documents())

    assert len(store.content_hashes()) == length


@pytest.mark.parametrize(
    ("text", "facts", "said"),
    [
        ("bad\n", {"when": object()}, "'when' of document 'bad' is of type object"),
        ("fine\nhalf \ud83d", {}, r"Document 'bad' holds half a character .* near 10"),
    ],
)
def test_what_nobody_could_embed_or_keep_is_told_before_it_costs_anything(
    store, model, text, facts, said
):
    documents = [
        Document("good\n", id="good"),
        Document(text, facts, id="bad"),
        Document("after\n", id="after"),
    ]
    with pytest.raises(ConfigError, match=said):
        ingest(store, model, documents)
    assert list(store.content_hashes()) == ["good"]
    assert model.computed == ["good"]


def test_a_splitter_error_is_raised_after_the_windows_before_it(store, model):
    def split(document):
        if document.id == "d5":
            message = "cannot split"
            raise ValueError(message)
        return by_line(document)

    with pytest.raises(ValueError, match="cannot split"):
        stream(store, model).documents(numbered(9), split)
    assert list(store.content_hashes()) == ["d0", "d1", "d2", "d3", "d4"]


class Failing(FakeEmbedding):
    """Fails on a text, in a way of the test's choosing."""

    def __init__(self, bad, error):
        super().__init__(dim=16)
        self.bad, self.error = bad, error

    def _encode(self, texts, input_type):
        if any(self.bad in text for text in texts):
            raise self.error
        return super()._encode(texts, input_type)


@pytest.mark.parametrize("error", [InvalidVectorsError("NaN"), KeyboardInterrupt(), SystemExit(3)])
def test_when_embedding_fails_the_windows_before_it_are_written(store, error):
    with pytest.raises(type(error)):
        ingest(store, Failing("document 5", error), numbered(20))

    written = store.content_hashes()
    assert list(written) == ["d0", "d1", "d2", "d3"]
    assert [node.document_id for node, _ in store.nodes()] == [n for n in written for _ in "12"]


def test_after_a_failure_the_next_run_goes_on_and_ends_the_same(store, model):
    with pytest.raises(KeyboardInterrupt):
        ingest(store, Failing("document 5", KeyboardInterrupt()), numbered(20))

    report = ingest(store, model, numbered(20))

    assert (report.unchanged, report.added) == (4, 16)
    assert not any("document 0" in text for text in model.computed)
    assert contents(store) == contents(filled(numbered(20)))


def test_a_changed_document_keeps_its_old_version_until_the_new_one_is_embedded(store, model):
    ingest(store, model, numbered(2))
    before = contents(store)

    with pytest.raises(InvalidVectorsError):
        ingest(store, Failing("version 2", InvalidVectorsError("NaN")), numbered(2, version=2))

    assert contents(store) == before


def test_a_writing_error_stops_the_stream_and_is_the_one_raised(model):
    class Full(MemoryStore):
        def upsert(self, entries):
            if self.count():
                message = "No space left."
                raise StoreError(message)
            super().upsert(entries)

    store = Full()
    with pytest.raises(StoreError, match="No space left"):
        ingest(store, model, numbered(1000))
    assert len(store.content_hashes()) == 2
    assert len(model.computed) < 100


def test_no_thread_outlives_the_stream(store, model):
    before = threading.active_count()

    ingest(store, model, numbered(10))
    with pytest.raises(KeyboardInterrupt):
        ingest(store, Failing("version 2", KeyboardInterrupt()), numbered(100, version=2))

    assert threading.active_count() == before


def test_a_stopped_stream_writes_the_window_at_hand_and_removes_nothing(store, model):
    ingest(store, model, [Document("old", id="old")])
    stop = threading.Event()
    stop.set()

    report = ingest(store, model, numbered(100), stop=stop, removable=lambda name, facts: True)

    assert report.added == 2
    assert set(store.content_hashes()) == {"old", "d0", "d1"}


def test_a_node_with_an_embedding_keeps_it(store, model):
    own = np.arange(16, dtype=np.float32)

    def split(document):
        return [
            Node("brought along", document_id=document.id, embedding=own.tolist()),
            Node("computed", document_id=document.id),
        ]

    stream(store, model).documents([Document("x", id="a")], split)

    vectors = {node.text: vector for node, vector in store.nodes()}
    assert vectors["brought along"].tolist() == own.tolist()
    assert model.computed == ["computed"]


@pytest.mark.parametrize(
    ("vector", "error", "says"),
    [
        ([1.0, 2.0], DimensionMismatchError, "has 2 numbers"),
        ([float("nan")] * 16, InvalidVectorsError, "cannot be used"),
        (["x"] * 16, InvalidVectorsError, "cannot be used"),
    ],
)
def test_an_embedding_that_does_not_fit_is_refused_naming_the_node(
    store, model, vector, error, says
):
    def split(document):
        return [Node("a", id="good"), Node("b", id="bad", embedding=vector)]

    with pytest.raises(error, match=f"'bad'.*{says}"):
        stream(store, model).documents([Document("x", id="bad")], split)
    assert store.count() == 0


def test_documents_of_other_libraries_are_taken_for_what_they_are(store, model):
    theirs = [
        SimpleNamespace(text="of LlamaIndex", metadata={"a": 1}, id_="li"),
        SimpleNamespace(page_content="of LangChain", metadata={}, id="lc"),
    ]

    ingest(store, model, theirs)

    assert {n.document_id: n.text for n, _ in store.nodes()} == {
        "li": "of LlamaIndex",
        "lc": "of LangChain",
    }


@pytest.mark.parametrize("thing", ["a text", 3, None, {"text": "a"}])
def test_what_is_no_document_is_a_type_error(store, model, thing):
    with pytest.raises(TypeError, match="Expected a Document"):
        ingest(store, model, [thing])


def test_settings_overridden_by_the_caller_hold_in_the_reading_thread(store, model):
    seen = []

    def documents():
        seen.append(Settings.chunk_size)
        yield Document("text", id="a")

    with Settings.override(chunk_size=77):
        ingest(store, model, documents())

    assert seen == [77]


def test_progress_is_told_in_documents_unchanged_ones_included(store, model):
    ingest(store, model, numbered(3))
    events = []

    with on_progress(events.append):
        ingest(store, model, numbered(10))

    told = [event for event in events if event.label == "Indexing"]
    assert {event.total for event in told} == {10}
    assert told[-1].done == 10
    assert told[-1].finished


class Cutting(BaseEmbedding):
    """Reads five characters."""

    def _encode(self, texts, input_type):
        long = [text for text in texts if len(text) > 5]
        count(truncated_texts=len(long), truncated_tokens=sum(len(text) - 5 for text in long))
        return [[1.0, float(len(text))] for text in texts]


def test_cut_texts_are_counted_in_the_report_and_in_the_header(store, recwarn):
    report = ingest(store, Cutting(), [Document("short\nmuch longer", id="a")])
    ingest(store, Cutting(), [Document("as long", id="b")])

    assert (report.truncated_texts, report.truncated_tokens) == (1, 6)
    assert store.header.facts == {"truncated_texts": 2, "truncated_tokens": 8}
    assert len(recwarn) == 0


class InOneStep(MemoryStore):
    """A store into which nothing is written after the documents."""

    def update_facts(self, facts):
        raise AssertionError(facts)


class InTwoSteps:
    """A store that can do what every store can, and no more."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        if name in {"upsert_and_tally", "outlines"}:
            raise AttributeError(name)
        return getattr(self._store, name)


def test_what_was_cut_is_counted_with_the_batch_it_was_cut_in():
    """So that the totals are right in an index whose run was stopped."""
    store = InOneStep()

    def documents():
        yield Document("much longer", id="a")
        yield Document("as long", id="b")
        raise StoreError("the third cannot be read")

    with pytest.raises(StoreError, match="third"):
        stream(store, Cutting(), window_nodes=1).documents(documents(), by_line)

    assert sorted(store.content_hashes()) == ["a", "b"]
    assert store.header.facts == {"truncated_texts": 2, "truncated_tokens": 8}


def test_a_store_that_cannot_count_with_a_write_counts_after_it(store):
    ingest(InTwoSteps(store), Cutting(), [Document("much longer", id="a")])

    assert store.header.facts == {"truncated_texts": 1, "truncated_tokens": 6}


def test_a_generator_is_read_once_and_lazily(store, model):
    def documents():
        yield from numbered(9)

    assert ingest(store, model, documents(), total=9).added == 9


def test_a_single_document_in_place_of_documents_is_named():
    with pytest.raises(TypeError, match="Put it into a list"):
        ingest(MemoryStore(), FakeEmbedding(), Document("alone"))
