"""How a model is driven by the server."""

from pathlib import Path

import numpy as np
import pytest

from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.server.lane import TokenLane, lane_of

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
TEXTS = ["Mars is red.", "Tea is hot.", "The rope is checked, and again."]


@pytest.mark.parametrize("normalize", [True, False])
def test_a_native_model_whose_vectors_are_cut_is_driven_by_all_threads(normalize):
    """Also where its vectors are cut after it, by an engine around its own."""
    model = HuggingFaceEmbedding(
        str(BERT),
        backend="native",
        normalize=normalize,
        truncate_dim=16,
        threads=3,
    )
    lane = lane_of(model)
    assert isinstance(lane, TokenLane)
    assert lane.parallel == 3

    read = lane.read(TEXTS, "document")
    vectors = lane.compute(read.payloads, lane.group("document"), threads=1)
    np.testing.assert_array_equal(vectors, model.encode(TEXTS))
