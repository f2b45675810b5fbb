"""Weights read straight from safetensors files: mapped, checked, nothing unpickled.

The format is a length (8 bytes, little-endian), a JSON header of that length,
and the tensors' bytes without gaps: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.errors import ModelLoadError

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a tensor lies in its file.

    Attributes:
        kind: The format's name of the number type, such as ``"BF16"``.
        shape: Its shape.
        begin: First byte, counted from the end of the header.
        end: One past the last byte.
    """

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile(Mapping[str, NDArray[Any]]):
    """The tensors of one file, by name, each read when asked for.

    Tensors are read-only views that keep the file mapped, of the type they are
    stored as; bfloat16, which numpy has no name for, comes as uint16.

    Args:
        path: The file.

    Raises:
        ModelLoadError: The file is not there, cut short, damaged or of another format.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._bytes = _mapped(self.path)
        header_end, header = _header(self.path, self._bytes)
        self._start = header_end
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self.stored = {name: _stored(self.path, name, entry) for name, entry in header.items()}
        _check_cover(self.path, self.stored, len(self._bytes) - header_end)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Give a tensor, read-only."""
        stored = self.stored[name]
        dtype = _DTYPES[stored.kind]
        count = (stored.end - stored.begin) // dtype.itemsize
        flat = np.frombuffer(self._bytes, dtype, count, self._start + stored.begin)
        return np.require(flat.reshape(stored.shape), requirements=["A"])

    def release(self) -> None:
        """Give the pages read so far back to the system; they are read again when needed."""
        if isinstance(self._bytes, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._bytes.madvise(mmap.MADV_DONTNEED)

    def __iter__(self) -> Iterator[str]:
        """Give the names in the order of the header."""
        return iter(self.stored)

    def __len__(self) -> int:
        """Count the tensors."""
        return len(self.stored)


class ShardedTensors(Mapping[str, NDArray[Any]]):
    """The tensors of several files, by name.

    Args:
        files: For each tensor's name, the file that holds it.

    Raises:
        ModelLoadError: A file is damaged, or lacks a tensor it should hold.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        opened = {path: SafetensorsFile(path) for path in sorted(set(files.values()))}
        self._files = {name: opened[path] for name, path in files.items()}
        for name, file in self._files.items():
            if name not in file:
                message = (
                    f"{file.path} lacks the tensor {name!r} that the index lists. Fetch it again."
                )
                raise ModelLoadError(message)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Give a tensor, read-only."""
        return self._files[name][name]

    def release(self) -> None:
        """Give the pages read so far back to the system; they are read again when needed."""
        for file in {id(file): file for file in self._files.values()}.values():
            file.release()

    def __iter__(self) -> Iterator[str]:
        """Give the names in the order of the index."""
        return iter(self._files)

    def __len__(self) -> int:
        """Count the tensors."""
        return len(self._files)


def write_safetensors(
    path: Path | str,
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a file.

    Args:
        path: The file, replaced when there is one.
        tensors: By name; float16/32/64, (u)int8, int16/32/64 or bool.
        metadata: Facts about them, text by name.
    """
    kinds = {dtype: kind for kind, dtype in _DTYPES.items() if kind != "BF16"}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    # The widest numbers first, so that every tensor is aligned to its own width.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        kind = kinds[tensors[name].dtype.newbyteorder("<")]
        shape = list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    with Path(path).open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for name in names:
            little = tensors[name].dtype.newbyteorder("<")
            file.write(np.ascontiguousarray(tensors[name], dtype=little).tobytes())


def _mapped(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise ModelLoadError(message) from error


def _header(path: Path, data: mmap.mmap | bytes) -> tuple[int, dict[str, Any]]:
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    end = LENGTH_BYTES + length
    if data[:1] != b"\0" and data[:40].startswith(b"version https://git-lfs"):
        message = f"{path} is a Git LFS pointer, not the weights. Run 'git lfs pull' in its folder."
        raise ModelLoadError(message)
    if len(data) < LENGTH_BYTES or length > MAX_HEADER_BYTES:
        raise _damaged(path, "it does not begin with a safetensors header")
    if end > len(data):
        raise _damaged(path, f"it ends after {len(data):,} bytes, inside its header")
    try:
        header = json.loads(data[LENGTH_BYTES:end])
    except ValueError as error:
        raise _damaged(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    return end, header


def _stored(path: Path, name: str, entry: Any) -> Stored:
    try:
        kind, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        sizes = (*shape, begin, end)
        sound = all(type(size) is int and size >= 0 for size in sizes)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its entry for {name!r} is malformed") from error
    if kind not in _DTYPES:
        message = (
            f"{path} holds {name!r} as {kind}, which is not read here. Known: {', '.join(_DTYPES)}."
        )
        raise ModelLoadError(message)
    if not sound or end - begin != math.prod(shape) * _DTYPES[kind].itemsize:
        raise _damaged(path, f"the place of {name!r} does not fit its shape")
    return Stored(kind, shape, begin, end)


def _check_cover(path: Path, stored: Mapping[str, Stored], size: int) -> None:
    """Refuse tensors that overlap, leave gaps, or reach past the end of the file."""
    end = 0
    for tensor in sorted(stored.values(), key=lambda t: (t.begin, t.end)):
        if tensor.begin != end:
            raise _damaged(path, "its tensors overlap or leave gaps")
        end = tensor.end
    if end > size:
        raise _damaged(path, f"{end - size:,} of {end:,} bytes are missing at its end")
    if end < size:
        raise _damaged(path, f"{size - end:,} bytes follow its last tensor")


def _damaged(path: Path, why: str) -> ModelLoadError:
    return ModelLoadError(f"{path} is damaged or half downloaded: {why}. Fetch it again.")
