"""Reading configurations and tensors into the one form of encoder."""

from __future__ import annotations

import numpy as np
import pytest

from nearfield.errors import ModelLoadError
from nearfield.runtime.architectures import read_encoder, unsupported
from nearfield.runtime.encoder import Matrix, relative_bucket, widen


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_type": "t5"}, "'t5'"),
        ({"model_type": None}, "None"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"is_decoder": True}, "decoder"),
        ({"hidden_act": "silu"}, "'silu'"),
        ({"num_attention_heads": 5}, "multiple"),
        ({"relative_attention_num_buckets": 64}, "relative_attention_num_buckets"),
    ],
)
def test_what_cannot_run_is_named(make_tensors, change, word):
    config, tensors = make_tensors()
    config |= change
    assert word in unsupported(config)
    with pytest.raises(ModelLoadError, match="backend='torch'"):
        read_encoder(config, tensors)


def test_a_plain_bert_can_run(make_tensors):
    assert unsupported(make_tensors()[0]) is None


def test_a_prefix_before_the_names_does_not_matter(make_tensors):
    config, tensors = make_tensors()
    prefixed = {f"bert.{name}": values for name, values in tensors.items()}
    prefixed["cls.predictions.bias"] = np.zeros(3, np.float32)
    plain, other = read_encoder(config, tensors), read_encoder(config, prefixed)
    np.testing.assert_array_equal(plain.words.widen(), other.words.widen())
    np.testing.assert_array_equal(plain.layers[1].inner.bias, other.layers[1].inner.bias)


def test_the_old_names_of_a_norm_are_known(make_tensors):
    config, tensors = make_tensors()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): values
        for name, values in tensors.items()
    }
    new, old = read_encoder(config, tensors), read_encoder(config, old)
    np.testing.assert_array_equal(new.embedding_norm.weight, old.embedding_norm.weight)
    np.testing.assert_array_equal(new.layers[0].output_norm.bias, old.layers[0].output_norm.bias)


def test_a_missing_tensor_is_named(make_tensors):
    config, tensors = make_tensors()
    del tensors["encoder.layer.1.output.dense.weight"]
    with pytest.raises(ModelLoadError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        list(read_encoder(config, tensors).layers)


def test_weights_of_another_size_are_refused(make_tensors):
    config, tensors = make_tensors()
    with pytest.raises(ModelLoadError, match="different models"):
        list(read_encoder(config | {"intermediate_size": 128}, tensors).layers)


def test_roberta_counts_positions_from_after_its_padding_id(make_encoder):
    encoder = make_encoder(model_type="roberta", pad_token_id=1)
    assert encoder.first_position == 2
    assert encoder.max_tokens == 298
    assert encoder.position_rows(np.array([0, 9, 1, 8], np.int32)).tolist() == [2, 3, 1, 4]


def test_bert_counts_positions_from_zero(make_encoder):
    assert make_encoder().position_rows(np.array([0, 9, 1], np.int32)).tolist() == [0, 1, 2]


def test_distances_fall_into_exact_buckets_near_and_logarithmic_ones_far():
    distances = np.array([0, -1, 1, -7, 7, -8, 8, -16, 16, -64, 127, -128, 5000])
    assert relative_bucket(distances).tolist() == [0, 1, 17, 7, 23, 8, 24, 10, 26, 14, 31, 15, 31]


def test_sixteen_bits_of_bfloat_widen_to_their_float():
    values = np.array([1.0, -2.5, 3e38, np.inf, 1e-40], np.float32)
    half = (values.view(np.uint32) >> 16).astype(np.uint16)
    expected = (half.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(widen(half), expected)
    assert widen(values) is values


def test_whole_numbers_are_multiplied_by_the_scale_of_their_row():
    matrix = Matrix(np.array([[1, -2], [3, 4]], np.int8), np.array([0.5, 10], np.float32))
    np.testing.assert_array_equal(matrix.widen(), [[0.5, -1], [30, 40]])
    np.testing.assert_array_equal(matrix.gather([1, 1, 0]), [[30, 40], [30, 40], [0.5, -1]])


def test_mpnet_bias_depends_on_distance_alone(make_encoder):
    encoder = make_encoder(model_type="mpnet")
    near, far = encoder.bias_by_distance(3), encoder.bias_by_distance(200)
    assert near.shape == (2, 7)
    np.testing.assert_array_equal(near, far[:, 197:204])
    assert make_encoder().bias_by_distance(3) is None
