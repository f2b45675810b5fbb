"""Weights are read as they were written, and damage is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nearfield.errors import ModelLoadError
from nearfield.runtime.safetensors import SafetensorsFile, ShardedTensors, write_safetensors

TENSORS = {
    "wide": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([0.5, -2], np.float16),
    "small": np.array([[-128, 127]], np.int8),
    "short": np.array([-32768, 32767], np.int16),
    "none": np.zeros((0, 4), np.float32),
    "scalar": np.array(3.5, np.float64),
}


def written(tmp_path, tensors=TENSORS):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, tensors, {"format": "pt"})
    return path


def raw(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_what_was_written_is_read(tmp_path):
    file = SafetensorsFile(written(tmp_path))

    assert set(file) == set(TENSORS)
    assert file.metadata == {"format": "pt"}
    for name, tensor in TENSORS.items():
        assert file[name].dtype == tensor.dtype
        np.testing.assert_array_equal(file[name], tensor)


def test_tensors_are_views_that_cannot_be_written(tmp_path):
    tensor = SafetensorsFile(written(tmp_path))["wide"]

    assert not tensor.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        tensor[0, 0] = 1


def test_released_pages_are_read_again(tmp_path):
    file = SafetensorsFile(written(tmp_path))
    tensor = file["wide"]
    file.release()

    np.testing.assert_array_equal(tensor, TENSORS["wide"])


def test_bfloat16_comes_as_its_bits(tmp_path):
    path = tmp_path / "bf16.safetensors"
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    path.write_bytes(raw(header, np.array([0x3F80, 0xC000], "<u2").tobytes()))

    assert SafetensorsFile(path)["w"].tolist() == [0x3F80, 0xC000]  # 1.0 and -2.0


def test_tensors_at_odd_places_are_aligned(tmp_path):
    path = tmp_path / "odd.safetensors"
    header = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "w": {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
    }
    path.write_bytes(raw(header, b"\x07" + np.float32(1.5).tobytes()))

    tensor = SafetensorsFile(path)["w"]
    assert tensor.flags.aligned
    assert tensor.tolist() == [1.5]


@pytest.mark.torch
def test_files_of_the_safetensors_library_are_read(tmp_path):
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"w": torch.tensor([1.5, -2.0]), "n": torch.tensor([[3]])}, path)

    assert SafetensorsFile(path)["w"].tolist() == [1.5, -2.0]
    assert SafetensorsFile(path)["n"].tolist() == [[3]]


@pytest.mark.torch
def test_the_safetensors_library_reads_our_files(tmp_path):
    from safetensors.numpy import load_file

    theirs = load_file(written(tmp_path))

    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(theirs[name], tensor)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
DAMAGE = {
    "nothing": (b"", "does not begin"),
    "a few bytes": (b"\x01\x02", "does not begin"),
    "an endless header": ((1 << 60).to_bytes(8, "little"), "does not begin"),
    "a cut header": ((500).to_bytes(8, "little") + b"{", "inside its header"),
    "no JSON": ((2).to_bytes(8, "little") + b"{]", "not JSON"),
    "a list": ((2).to_bytes(8, "little") + b"[]", "not a JSON object"),
    "missing bytes": (raw({"w": ENTRY}, b"\0" * 5), "3 of 8 bytes are missing"),
    "spare bytes": (raw({"w": ENTRY}, b"\0" * 9), "1 bytes follow"),
    "a gap": (
        raw({"w": ENTRY | {"data_offsets": [4, 12]}}, b"\0" * 12),
        "overlap or leave gaps",
    ),
    "an overlap": (raw({"v": ENTRY, "w": ENTRY}, b"\0" * 8), "overlap or leave gaps"),
    "a wrong shape": (raw({"w": ENTRY | {"shape": [3]}}, b"\0" * 8), "does not fit its shape"),
    "a negative size": (raw({"w": ENTRY | {"shape": [-2, -1]}}, b"\0" * 8), "does not fit"),
    "a true size": (raw({"w": ENTRY | {"shape": [True, 2]}}, b"\0" * 8), "does not fit"),
    "no offsets": (raw({"w": {"dtype": "F32", "shape": [2]}}, b"\0" * 8), "malformed"),
    "an unknown type": (raw({"w": ENTRY | {"dtype": "F4"}}, b"\0" * 8), "'w' as F4"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid ", "Git LFS pointer"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_the_file(kind, tmp_path):
    content, reason = DAMAGE[kind]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)

    with pytest.raises(ModelLoadError, match=reason) as caught:
        SafetensorsFile(path)
    assert str(path) in str(caught.value)


def test_every_shorter_file_is_refused(tmp_path):
    """A download may stop at any byte."""
    whole = written(tmp_path).read_bytes()
    path = tmp_path / "part.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError):
            SafetensorsFile(path)


def test_shards_are_one_set_of_tensors(tmp_path):
    files = {}
    for name, tensor in TENSORS.items():
        files[name] = tmp_path / f"{name}.safetensors"
        write_safetensors(files[name], {name: tensor})

    shards = ShardedTensors(files)

    assert set(shards) == set(TENSORS)
    np.testing.assert_array_equal(shards["wide"], TENSORS["wide"])


def test_a_shard_that_lacks_its_tensor_is_named(tmp_path):
    with pytest.raises(ModelLoadError, match="lacks the tensor 'absent'"):
        ShardedTensors({"absent": written(tmp_path)})
