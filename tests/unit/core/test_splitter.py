"""Documents into nodes, measured by real tokenizers of both large families."""

from __future__ import annotations

import itertools
import pydoc_data.topics
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.schema import Document
from nearfield.core.settings import Settings
from nearfield.core.splitter import SECTION_CHARACTERS, SentenceSplitter
from nearfield.core.tokens import EstimatedMeasure
from nearfield.errors import ConfigError

PROSE = list(pydoc_data.topics.topics.values())[:20]


class CountingMeasure:
    """A tokenizer as a measure, which counts the characters it is asked to read."""

    exact = True

    def __init__(self, tokenizer: Tokenizer, special_tokens: int = 2):
        self.tokenizer = tokenizer
        self.special_tokens = special_tokens
        self.characters = 0

    def offsets(self, texts):
        self.characters += sum(map(len, texts))
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(one.offsets, np.int32).reshape(-1, 2) for one in encodings]

    def count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def word_pieces() -> Tokenizer:
    """Word pieces, as BERT has them: words over 100 characters become one unknown token."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1500, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(PROSE, trainer)
    return tokenizer


def byte_pairs() -> Tokenizer:
    """Byte pairs, as GPT has them: the space before a word is part of its token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(PROSE, trainer)
    return tokenizer


WORD_PIECES, BYTE_PAIRS = word_pieces(), byte_pairs()


@pytest.fixture(params=[WORD_PIECES, BYTE_PAIRS], ids=["word pieces", "byte pairs"])
def measure(request) -> CountingMeasure:
    return CountingMeasure(request.param)


def texts_of(splitter: SentenceSplitter, text: str) -> list[str]:
    return [node.text for node in splitter.split(Document(text))]


def assert_sound(splitter: SentenceSplitter, document: Document, measure) -> None:
    """Check everything that is promised of the nodes of a document."""
    nodes = splitter.split(document)
    text = document.text
    covered = 0
    for node in nodes:
        assert text[node.start : node.end] == node.text
        assert node.text == node.text.strip() != ""
        assert node.document_id == document.id
        assert not text[covered : node.start].strip(), "something was left out"
        assert node.end > covered, "a node brings nothing new"
        covered = node.end
        count = len(measure.offsets([node.text])[0])
        assert count <= splitter.chunk_size or len(node.text) == 1
    assert not text[covered:].strip()
    assert len({node.id for node in nodes}) == len(nodes)


def test_real_prose_keeps_every_promise(measure):
    splitter = SentenceSplitter(64, 16, measure)
    for text in PROSE:
        assert_sound(splitter, Document(text), measure)


ODD = "aZé1.!?。、 \n\t#-|'\"\u00a0\u3000\u0301\x01\u200b漢字한ไทยहि😀ﷺß𐍈"


@pytest.mark.parametrize("tokenizer", [WORD_PIECES, BYTE_PAIRS], ids=["word pieces", "byte pairs"])
@settings(deadline=None, max_examples=60)
@given(
    text=st.lists(st.one_of(st.text(ODD, max_size=30), st.text(max_size=20)), max_size=12).map(
        "".join
    ),
    size=st.integers(24, 60),
    overlap=st.integers(0, 20),
)
def test_no_text_breaks_a_promise(tokenizer, text, size, overlap):
    measure = CountingMeasure(tokenizer)
    assert_sound(SentenceSplitter(size, overlap, measure), Document(text), measure)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=300), size=st.integers(4, 40))
def test_no_text_breaks_a_promise_by_estimate(text, size):
    measure = EstimatedMeasure()
    assert_sound(SentenceSplitter(size, 2, measure), Document(text), measure)


@pytest.mark.parametrize("text", ["", " \n\t\u3000 ", "\n" * 200_000])
def test_white_space_makes_no_node(text: str, measure):
    assert SentenceSplitter(32, 8, measure).split(Document(text)) == []


def test_a_short_document_is_one_node(measure):
    text = "  First one. Second one.\n\nThird one.  "
    assert texts_of(SentenceSplitter(64, 16, measure), text) == [text.strip()]


def test_nodes_end_at_sentences(measure):
    sentence = "The spring is green and the leaves are new. "
    for text in texts_of(SentenceSplitter(40, 0, measure), sentence * 30):
        assert text.endswith("new.")
        assert text.startswith("The spring")


def test_a_node_ends_at_a_paragraph_rather_than_in_the_middle_of_the_next(measure):
    paragraph = "The spring is green. The leaves are new. The birds sing. "
    text = "\n\n".join([paragraph.strip()] * 8)
    for node in texts_of(SentenceSplitter(80, 0, measure), text):
        assert node.startswith("The spring")
        assert node.endswith("The birds sing.")


def test_a_heading_stays_with_what_follows(measure):
    section = "# Of trees\n\nThe leaves are new and green. The birds sing in the trees."
    nodes = texts_of(SentenceSplitter(60, 0, measure), "\n\n".join([section] * 10))
    assert len(nodes) > 3
    assert all(node.startswith("# Of trees") and node.endswith("trees.") for node in nodes)


def test_overlap_is_whole_sentences_and_no_more_than_asked_for(measure):
    text = " ".join(f"Sentence number {n} says a thing of its own." for n in range(60))
    nodes = SentenceSplitter(60, 20, measure).split(Document(text))
    for before, after in itertools.pairwise(nodes):
        shared = text[after.start : before.end]
        assert shared.startswith("Sentence number")
        assert shared.endswith("own.")
        assert measure.count(shared) <= 20


def test_without_overlap_nothing_is_repeated(measure):
    nodes = SentenceSplitter(60, 0, measure).split(Document(PROSE[3]))
    assert all(before.end <= after.start for before, after in itertools.pairwise(nodes))


def test_a_long_sentence_is_cut_between_words(measure):
    words = " ".join(f"word{n}" for n in range(400))
    nodes = texts_of(SentenceSplitter(50, 0, measure), words)
    assert " ".join(nodes) == words


def test_a_list_without_full_stops_is_cut_between_lines(measure):
    lines = "\n".join(f"{n} apples and {n} pears" for n in range(1000, 1300))
    nodes = texts_of(SentenceSplitter(60, 0, measure), lines)
    assert "\n".join(nodes) == lines


def test_a_language_without_spaces_is_cut_at_its_own_marks(measure):
    sentence = "人工智能是计算机科学的一个分支。"
    limit = 4 * measure.count(sentence)
    nodes = texts_of(SentenceSplitter(limit, 0, measure), sentence * 40)
    assert "".join(nodes) == sentence * 40
    assert all(node.endswith("。") for node in nodes)


@pytest.mark.parametrize("unit", ["a", "ab, ", "漢", "\x01", "😀", "=", "a "])
def test_a_single_endless_line_is_cut_and_nothing_of_it_lost(unit: str, measure):
    text = unit * (100_000 // len(unit))
    splitter = SentenceSplitter(200, 0, measure)
    nodes = splitter.split(Document(text))
    assert "".join(node.text for node in nodes).replace(" ", "") == text.replace(" ", "")
    longest = max(len(node.text) for node in nodes)
    assert longest <= 200 * 64
    assert all(len(one) <= 200 for one in measure.offsets([node.text for node in nodes[:50]]))


def test_a_document_is_tokenised_once_but_for_full_nodes(measure):
    text = "\n\n".join(PROSE)
    SentenceSplitter(200, 20, measure).split(Document(text))
    assert len(text) <= measure.characters < 2 * len(text)


def test_small_documents_are_tokenised_together_and_kept_apart(measure):
    documents = [Document(f"Document {n}. It is short.", id=str(n)) for n in range(50)]
    nodes = SentenceSplitter(30, 5, measure).get_nodes_from_documents(documents)
    assert [node.document_id for node in nodes] == [str(n) for n in range(50)]
    assert [node.text for node in nodes] == [document.text for document in documents]


def test_documents_are_read_as_nodes_are_asked_for(measure):
    taken = []

    def documents():
        for n in range(1000):
            taken.append(n)
            yield Document("A sentence of some length. " * 400, id=str(n))

    next(SentenceSplitter(64, 8, measure).iter_nodes(documents()))
    assert len(taken) < 40


def test_the_seams_of_a_long_document_lose_nothing(measure):
    text = ("One sentence stands here. " * 4000)[: SECTION_CHARACTERS + 5000]
    assert_sound(SentenceSplitter(64, 16, measure), Document(text), measure)


def test_nodes_carry_the_facts_of_their_document_each_its_own(measure):
    document = Document("One. Two.", {"author": "Ada"})
    (node,) = SentenceSplitter(32, 0, measure).split(document)
    node.metadata["author"] = "Bob"
    assert document.metadata == {"author": "Ada"}


def test_the_same_document_gives_the_same_node_ids(measure):
    splitter = SentenceSplitter(32, 8, measure)
    first, second = (splitter.split(Document(PROSE[0], id="a")) for _ in range(2))
    assert [node.id for node in first] == [node.id for node in second]


class Model(BaseEmbedding):
    """A model with a window of its own."""

    def __init__(self, measure, max_tokens):
        super().__init__("small")
        self._measure, self._max_tokens = measure, max_tokens

    @property
    def measure(self):
        return self._measure

    @property
    def max_tokens(self):
        return self._max_tokens

    def _encode(self, texts, input_type):
        return np.ones((len(texts), 2), np.float32)


def test_sizes_come_from_the_model_unless_said_otherwise(measure):
    assert SentenceSplitter.for_model(Model(measure, 512)).chunk_size == 256
    small = SentenceSplitter.for_model(Model(measure, 128))
    assert (small.chunk_size, small.chunk_overlap) == (126, 31)
    with Settings.override(embed_model=Model(measure, 100)):
        assert SentenceSplitter().chunk_size == 98
    with Settings.override(chunk_size=40, chunk_overlap=4):
        splitter = SentenceSplitter.for_model(Model(measure, 512))
    assert (splitter.chunk_size, splitter.chunk_overlap) == (40, 4)


def test_an_overlap_that_was_set_is_not_made_smaller_in_silence(measure):
    model = Model(measure, 512)
    with Settings.override(chunk_size=64, chunk_overlap=32):
        assert SentenceSplitter.for_model(model).chunk_overlap == 32
        assert SentenceSplitter.for_model(model, 40).chunk_overlap == 10, "of another size"
    with Settings.override(chunk_overlap=100):
        assert SentenceSplitter.for_model(model).chunk_overlap == 100
    with Settings.override(chunk_size=1024, chunk_overlap=200), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert SentenceSplitter.for_model(model).chunk_overlap == 127, "the size was brought down"
    with (
        Settings.override(chunk_size=64, chunk_overlap=64),
        pytest.raises(ConfigError, match="from 0 to 63"),
    ):
        SentenceSplitter.for_model(model)


def test_a_model_without_a_tokenizer_is_measured_by_the_estimate():
    splitter = SentenceSplitter.for_model(Model(None, None))
    assert splitter.measure.exact is False
    assert splitter.chunk_size == 256


def test_a_size_beyond_the_window_is_brought_down_with_a_warning(measure):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        splitter = SentenceSplitter.for_model(Model(measure, 256), 1024)
    assert splitter.chunk_size == 254
    assert [str(one.message) for one in seen] == [
        "chunk_size 1024 is more than the 254 tokens the model reads; 254 is used."
    ]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, 10), (10, -1)])
def test_sizes_that_make_no_sense_are_refused(size, overlap, measure):
    with pytest.raises(ConfigError, match="must be"):
        SentenceSplitter(size, overlap, measure)
