"""What tells one local model's vectors from another's, in one short string.

Two models with equal fingerprints give equal vectors (within the precision of
their backends), wherever their folders lie; anything that changes the vectors
changes the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from nearfield.runtime.tokenizer_files import WHOLE, tokenizer_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.prompts import Prompts

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_TORCH = frozenset({".json", ".safetensors", ".bin", ".pt", ".model", ".txt"})
_OF_OTHERS = frozenset({"onnx", "openvino"})
SHOWN = 32


def file_digest(path: Path, cache_dir: Path, *, verify: bool = False) -> str:
    """Give the SHA-256 of a file, remembered between runs.

    It is remembered by the file's real path, size, time of change and inode. A
    file of the Hugging Face cache carries its SHA-256 as its name.

    Args:
        path: The file.
        cache_dir: Where it is remembered; a folder that cannot be written is no obstacle.
        verify: Read the file, whatever is remembered.

    Returns:
        64 hexadecimal characters.
    """
    real = path.resolve()
    if not verify and real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name
    state = real.stat()
    key = f"{real}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}"
    note = (
        cache_dir / "digests" / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    )
    if not verify and note.is_file():
        remembered = note.read_text("ascii", "replace")
        if _SHA256.fullmatch(remembered):
            return remembered
    with real.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(note, digest)
    return digest


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Turn facts into a fingerprint.

    Args:
        facts: Whatever changes the vectors, as JSON-able values by name.

    Returns:
        ``"local/"`` and 32 hexadecimal characters.
    """
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return f"local/{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:SHOWN]}"


def torch_folder_facts(root: Path, cache_dir: Path) -> dict[str, str]:
    """Collect what changes the vectors of a folder that sentence-transformers reads by itself.

    Args:
        root: The folder.
        cache_dir: Where digests are remembered.

    Returns:
        The digests of its weights, tokenizer and settings, by their places in it. What other
        backends read, what is hidden, and what people read are none of these.
    """
    found = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {
        place.as_posix(): file_digest(path, cache_dir)
        for place, path in sorted(found.items())
        if path.suffix in _OF_TORCH
        and _OF_OTHERS.isdisjoint(place.parts)
        and not any(part.startswith(".") for part in place.parts)
    }


def tokenizer_digest(folder: ModelFolder, cache_dir: Path) -> str | dict[str, str]:
    """Give the digest of a folder's ``tokenizer.json``, or of each file that stands for it.

    Args:
        folder: The folder.
        cache_dir: Where digests are remembered.

    Raises:
        ModelLoadError: The folder has no tokenizer that can be read here.
    """
    files = tokenizer_files(folder)
    digests = {name: file_digest(path, cache_dir) for name, path in files.items()}
    return digests.get(WHOLE, digests)


def tokenizer_settings(folder: ModelFolder) -> dict[str, Any]:
    """Collect what a folder says of reading texts beside its tokenizer's files.

    Args:
        folder: The folder.

    Returns:
        What makes other tokens of the same text.
    """
    named = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "truncation_side")
    return {
        "tokenizer_config": {name: folder.tokenizer_config.get(name) for name in named},
        "lower_case": folder.lower_case,
    }


def folder_facts(
    folder: ModelFolder,
    *,
    weights: Sequence[Path],
    prompts: Prompts,
    max_tokens: int | None,
    normalize: bool,
    truncate_dim: int | None,
    cache_dir: Path,
) -> dict[str, Any]:
    """Collect what changes the vectors of a model run from a folder.

    Args:
        folder: The folder.
        weights: The files its weights were read from.
        prompts: What is put before texts.
        max_tokens: The limit that holds.
        normalize: Whether the vectors are scaled to length 1.
        truncate_dim: How many numbers are kept.
        cache_dir: Where digests of files are remembered.

    Returns:
        The facts, for :func:`fingerprint`.
    """
    modules = folder.modules
    return {
        "weights": [file_digest(path, cache_dir) for path in weights],
        "tokenizer": tokenizer_digest(folder, cache_dir),
        **tokenizer_settings(folder),
        "architecture": {
            name: folder.config.get(name)
            for name in ("model_type", "num_attention_heads", "layer_norm_eps", "hidden_act")
        },
        "pooling": [way.value for way in modules.pooling],
        "include_prompt": modules.include_prompt,
        "dense": [layer.activation.value for layer in modules.dense],
        "normalize": normalize or modules.normalize,
        "truncate_dim": truncate_dim or folder.truncate_dim,
        "max_tokens": max_tokens,
        "prompts": [prompts.query, prompts.document],
    }


def _remember(note: Path, digest: str) -> None:
    draft = note.with_name(f"{note.name}.{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(digest, "ascii")
        draft.replace(note)
    except OSError:
        return  # read-only or full: it is hashed again next time
