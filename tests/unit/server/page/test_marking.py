"""Best sentences, found by ``page/marking.py``."""

from nearfield.core.embeddings import BaseEmbedding
from nearfield.server.page.marking import MAX_SENTENCES, Marker


class Letters(BaseEmbedding):
    """Texts are alike as far as they have the same letters; calls are remembered."""

    model_name = "letters"

    def __init__(self):
        super().__init__()
        self.seen = []

    def _encode(self, texts, input_type):
        self.seen.extend(texts)
        letters = "abcdefghijklmnopqrstuvwxyz"
        return [[float(text.lower().count(letter)) + 0.01 for letter in letters] for text in texts]


def question(model, text):
    return model.encode([text], input_type="query")[0]


def test_the_nearest_sentence_of_each_text_is_found():
    model = Letters()
    texts = ["Aaa aaa. Bbb bbb. Ccc ccc.", "Bbb bbb ddd. Eee eee."]
    best = Marker(model).best(question(model, "bbbb"), texts)

    assert [text[start:end] for text, (start, end) in zip(texts, best, strict=True)] == [
        "Bbb bbb.",
        "Bbb bbb ddd.",
    ]


def test_a_text_without_a_sentence_has_none():
    model = Letters()

    assert Marker(model).best(question(model, "b"), [" \n ", "Bbb."]) == [None, (0, 4)]


def test_no_text_needs_no_model():
    model = Letters()
    asked = question(model, "b")
    model.seen.clear()

    assert Marker(model).best(asked, []) == []
    assert model.seen == []


def test_texts_seen_before_are_not_embedded_again():
    model = Letters()
    marker = Marker(model)
    marker.best(question(model, "a"), ["Aaa. Bbb."])
    asked = question(model, "b")
    model.seen.clear()

    assert marker.best(asked, ["Aaa. Bbb.", "Aaa. Bbb."]) == [(5, 9), (5, 9)]
    assert model.seen == []


def test_only_the_texts_seen_last_are_remembered():
    model = Letters()
    marker = Marker(model, kept=2)
    asked = question(model, "a")
    marker.best(asked, ["One.", "Two.", "Three."])
    model.seen.clear()
    marker.best(asked, ["Two.", "Three.", "One."])

    assert model.seen == ["One."]


def test_a_remote_model_is_not_paid_for_marks():
    model = Letters()
    asked = question(model, "a")
    model.is_remote = True
    model.seen.clear()

    assert Marker(model).best(asked, ["Aaa."]) == [None]
    assert model.seen == []


def test_a_text_of_very_many_sentences_is_read_in_part():
    model = Letters()
    asked = question(model, "a")
    model.seen.clear()
    Marker(model).best(asked, ["".join(f"Sentence {n}. " for n in range(500))])

    assert len(model.seen) == MAX_SENTENCES
