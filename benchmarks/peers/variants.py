"""Write the ONNX and OpenVINO files of a model, as sentence-transformers itself exports them.

    ENVS/main/bin/python benchmarks/peers/variants.py MODEL_FOLDER TEXTS_JSON OUT_FOLDER

OUT_FOLDER becomes a copy of MODEL_FOLDER with onnx/model.onnx, onnx/model_qint8.onnx,
openvino/openvino_model.xml and openvino/openvino_model_qint8_quantized.xml added. Files
that exist are left alone. The quantisers see the calibration texts of TEXTS_JSON only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

ONNX_INT8 = "model_qint8.onnx"
OPENVINO_INT8 = "openvino_model_qint8_quantized.xml"


def main() -> None:
    """Copy the folder and write what it lacks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path, help="as workloads.py writes it")
    parser.add_argument("out", type=Path)
    parser.add_argument("--isa", default="avx512_vnni", help="the ONNX quantiser's target")
    arguments = parser.parse_args()
    out: Path = arguments.out
    if not out.exists():
        shutil.copytree(arguments.model, out)
    if not (out / "onnx/model.onnx").exists():
        _export(out, "onnx")
    if not (out / "openvino/openvino_model.xml").exists():
        _export(out, "openvino")
    if not (out / "onnx" / ONNX_INT8).exists():
        _quantize_onnx(out, arguments.isa)
    if not (out / "openvino" / OPENVINO_INT8).exists():
        texts = json.loads(arguments.texts.read_text(encoding="utf-8"))["calibration"]
        _quantize_openvino(out, texts)
    for path in sorted([*out.glob("onnx/*"), *out.glob("openvino/*")]):
        print(f"{path.stat().st_size:>12,}  {path.relative_to(out)}")


def _export(folder: Path, backend: str) -> None:
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as scratch:
        model = SentenceTransformer(str(folder), device="cpu", backend=backend)
        model.save_pretrained(scratch)
        shutil.copytree(Path(scratch, backend), folder / backend, dirs_exist_ok=True)


def _quantize_onnx(folder: Path, isa: str) -> None:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    with tempfile.TemporaryDirectory() as scratch:
        model = SentenceTransformer(str(folder), device="cpu", backend="onnx")
        export_dynamic_quantized_onnx_model(model, isa, scratch, file_suffix="qint8")
        made = next(Path(scratch).rglob("*qint8*.onnx"))
        shutil.copy(made, folder / "onnx" / ONNX_INT8)


def _quantize_openvino(folder: Path, texts: list[str]) -> None:
    from sentence_transformers import SentenceTransformer, export_static_quantized_openvino_model

    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as data:
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        Path(data, "train.jsonl").write_text(lines, encoding="utf-8")
        model = SentenceTransformer(str(folder), device="cpu", backend="openvino")
        export_static_quantized_openvino_model(
            model,
            None,
            scratch,
            dataset_name=data,
            dataset_config_name="default",
            dataset_split="train",
            column_name="text",
        )
        shutil.copytree(Path(scratch, "openvino"), folder / "openvino", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
