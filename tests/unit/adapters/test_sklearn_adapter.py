"""Our models in scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from nearfield.adapters.sklearn import EmbeddingTransformer
from nearfield.errors import ConfigError
from nearfield.testing.fake import FakeEmbedding

pytestmark = pytest.mark.sklearn

TEXTS = ["red planet", "hot planet", "bread and flour", "flour and eggs"]
KINDS = ["sky", "sky", "food", "food"]


def test_texts_become_the_models_vectors():
    transformer = EmbeddingTransformer(FakeEmbedding())
    np.testing.assert_array_equal(transformer.fit_transform(TEXTS), FakeEmbedding().encode(TEXTS))
    np.testing.assert_array_equal(
        transformer.transform(np.array(TEXTS)), transformer.transform(TEXTS)
    )


@pytest.mark.parametrize("texts", ["one text", b"bytes"])
def test_one_text_is_not_taken_for_a_text_per_letter(texts):
    with pytest.raises(TypeError, match="got one text"):
        EmbeddingTransformer(FakeEmbedding()).transform(texts)


def test_a_table_is_not_taken_for_the_names_of_its_columns():
    transformer = EmbeddingTransformer(FakeEmbedding())
    table = pd.DataFrame({"text": TEXTS, "kind": KINDS})
    for wrong in (table, table[["text"]], table.to_numpy()):
        with pytest.raises(ConfigError, match=r"Expected a column of texts.*X\['text'\]"):
            transformer.transform(wrong)
    columns = ColumnTransformer([("text", transformer, "text")])
    np.testing.assert_array_equal(columns.fit_transform(table), transformer.transform(TEXTS))


def test_a_classifier_learns_from_them():
    pipeline = make_pipeline(EmbeddingTransformer(FakeEmbedding()), LogisticRegression(C=100))
    pipeline.fit(TEXTS, KINDS)
    assert pipeline.predict(["a small planet", "flour"]).tolist() == ["sky", "food"]


def test_every_number_has_a_name():
    names = EmbeddingTransformer(FakeEmbedding()).get_feature_names_out()
    assert len(names) == FakeEmbedding().encode(["a"]).shape[1]
    assert names[0] == "embedding0"


def test_a_clone_is_as_the_original_and_options_can_be_set():
    original = EmbeddingTransformer("local", input_type="query")
    copy = clone(original)
    assert copy.get_params() == original.get_params()
    copy.set_params(model=FakeEmbedding())
    assert copy.transform(["a"]).shape == FakeEmbedding().encode(["a"]).shape


def test_a_pickle_holds_the_name_not_the_weights():
    transformer = EmbeddingTransformer("local")
    vectors = transformer.transform(TEXTS)
    data = pickle.dumps(transformer)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).transform(TEXTS), vectors)
