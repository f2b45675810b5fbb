"""Write the ONNX and OpenVINO files of a model, as sentence-transformers itself exports them.

    ENVS/main/bin/python benchmarks/peers/variants.py MODEL_FOLDER TEXTS_JSON OUT_FOLDER

OUT_FOLDER becomes a copy of MODEL_FOLDER with onnx/model.onnx, onnx/model_qint8.onnx (as
exported for AVX-512 VNNI), onnx/model_quint8_avx2.onnx (for AVX2),
openvino/openvino_model.xml and openvino/openvino_model_qint8_quantized.xml added. Files
that exist are left alone. The quantisers see the calibration texts of TEXTS_JSON only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

ONNX_INT8 = {"model_qint8.onnx": "avx512_vnni", "model_quint8_avx2.onnx": "avx2"}
OPENVINO_INT8 = "openvino_model_qint8_quantized.xml"


def main() -> None:
    """Copy the folder and write what it lacks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path, help="as workloads.py writes it")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    out: Path = arguments.out
    if not out.exists():
        shutil.copytree(arguments.model, out)
    if not (out / "onnx/model.onnx").exists():
        _export(out, "onnx")
    if not (out / "openvino/openvino_model.xml").exists():
        _export(out, "openvino")
    for name, target in ONNX_INT8.items():
        if not (out / "onnx" / name).exists():
            _quantize_onnx(out, target, name)
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


def _quantize_onnx(folder: Path, target: str, name: str) -> None:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    with tempfile.TemporaryDirectory() as scratch:
        whole = {"file_name": "onnx/model.onnx"}
        model = SentenceTransformer(str(folder), device="cpu", backend="onnx", model_kwargs=whole)
        export_dynamic_quantized_onnx_model(model, target, scratch, file_suffix="made")
        made = next(Path(scratch).rglob("*made*.onnx"))
        shutil.copy(made, folder / "onnx" / name)


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
