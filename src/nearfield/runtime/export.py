"""From a model folder to graphs that ONNX Runtime and OpenVINO run, optimised or quantised.

File names are the ecosystem's, so that any tool that reads sentence-transformers
folders finds what is made here.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.fingerprint import file_digest, fingerprint
from nearfield.runtime.graph_files import DEFAULT_FILE, files_of
from nearfield.runtime.model_folder import read_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.runtime.graph_files import GraphBackend
    from nearfield.runtime.model_folder import ModelFolder

logger = logging.getLogger(__name__)

OPTIMIZATIONS = ("O1", "O2", "O3", "O4")
# Dynamic int8 for ONNX by instruction set: the weights' type, as in the ecosystem's file names.
ONNX_INT8 = {
    "arm64": "qint8",
    "avx2": "quint8",
    "avx512": "qint8",
    "avx512_vnni": "qint8",
}
OPENVINO_INT8 = "int8"
CALIBRATION_TEXTS = 300


def exported_once(folder: ModelFolder, backend: GraphBackend, cache_dir: Path) -> Path:
    """Give the float32 graph of a folder from the cache, exported there the first time.

    Args:
        folder: The model's folder.
        backend: ``"onnx"`` or ``"openvino"``.
        cache_dir: The folder of caches.

    Returns:
        The graph.

    Raises:
        MissingDependencyError: The export extra is not installed.
        ModelLoadError: The model cannot be exported.
    """
    weights = [file_digest(path, cache_dir) for path in folder.weight_files]
    name = fingerprint({"weights": weights, "config": dict(folder.config)}).rpartition("/")[2]
    home = cache_dir / "exports" / name
    graph = home / backend / DEFAULT_FILE[backend]
    if graph.is_file():
        return graph
    started = time.monotonic()
    logger.warning("%s has no %s file; exporting it to %s.", folder.path, backend, home)
    export_float32(folder, backend, home)
    logger.warning("Exported in %.1f s; the next start will find it.", time.monotonic() - started)
    return graph


def export_float32(folder: ModelFolder, backend: GraphBackend, out: Path) -> Path:
    """Export a folder's transformer to a float32 graph.

    Args:
        folder: The model's folder.
        backend: ``"onnx"`` or ``"openvino"``.
        out: The folder that gets ``onnx/model.onnx`` or ``openvino/openvino_model.xml``.

    Returns:
        The graph.

    Raises:
        MissingDependencyError: The export extra is not installed.
        ModelLoadError: The model cannot be exported.
    """
    folder.require_understood()
    _ = folder.weight_files  # pickled or missing weights are refused before anything is loaded
    main_export = require(
        f"optimum.exporters.{backend}", extra="export", purpose=f"export to {backend}"
    ).main_export
    source = folder.path / folder.modules.transformer
    with _draft(out) as draft:
        try:
            main_export(
                str(source),
                output=str(draft),
                task="feature-extraction",
                library_name="transformers",
                device="cpu",
            )
        except (ValueError, OSError, RuntimeError, KeyError) as error:
            message = f"{folder.path} cannot be exported to {backend}: {error}"
            raise ModelLoadError(message) from error
        return _deliver(draft / DEFAULT_FILE[backend], out / backend)


def optimize_onnx(graph: Path, folder: ModelFolder, level: str) -> Path:
    """Fuse and simplify an ONNX graph.

    Args:
        graph: The float32 graph.
        folder: The model's folder, for its config.
        level: ``"O1"`` to ``"O4"``, as optimum defines them; O4 is float16, for GPUs.

    Returns:
        ``model_O3.onnx`` or the like, beside the graph.

    Raises:
        ConfigError: There is no such level.
        MissingDependencyError: The export extra is not installed.
    """
    if level not in OPTIMIZATIONS:
        message = f"optimize must be one of {', '.join(OPTIMIZATIONS)}, not {level!r}."
        raise ConfigError(message)
    optimum = require("optimum.onnxruntime", extra="export", purpose="optimize")
    config = getattr(optimum.AutoOptimizationConfig, level)()
    with _draft(graph.parent) as draft:
        _with_config(graph, folder, draft)
        optimizer = optimum.ORTOptimizer.from_pretrained(draft, file_names=[graph.name])
        optimizer.optimize(optimization_config=config, save_dir=draft, file_suffix=level)
        return _deliver(draft / f"model_{level}.onnx", graph.parent)


def quantize_onnx(graph: Path, instruction_set: str) -> Path:
    """Quantise an ONNX graph's weights to int8, activations while it runs.

    Args:
        graph: The float32 graph.
        instruction_set: ``"arm64"``, ``"avx2"``, ``"avx512"`` or ``"avx512_vnni"``.

    Returns:
        ``model_qint8_avx512_vnni.onnx`` or the like, beside the graph.

    Raises:
        ConfigError: There is no such instruction set.
        MissingDependencyError: The export extra is not installed.
    """
    kind = ONNX_INT8.get(instruction_set)
    if kind is None:
        message = (
            f"quantize must be one of {', '.join(ONNX_INT8)} for onnx, not {instruction_set!r}."
        )
        raise ConfigError(message)
    library = require("onnxruntime.quantization", extra="export", purpose="quantize")
    name = f"model_{kind}_{instruction_set}.onnx"
    with _draft(graph.parent) as draft:
        library.quantize_dynamic(
            str(graph),
            str(draft / name),
            op_types_to_quantize=["MatMul", "Gather"],
            weight_type=getattr(library.QuantType, "QUInt8" if kind == "quint8" else "QInt8"),
            per_channel=True,  # one scale a matrix costs 3 % of cosine more on MiniLM
        )
        return _deliver(draft / name, graph.parent)


def quantize_openvino(graph: Path, folder: ModelFolder, texts: Sequence[str]) -> Path:
    """Quantise an OpenVINO graph to int8, its ranges measured on texts.

    Args:
        graph: The float32 graph.
        folder: The model's folder, for its tokenizer.
        texts: Texts like those to be embedded; the first 300 are read.

    Returns:
        ``openvino_model_qint8_quantized.xml``, beside the graph.

    Raises:
        ConfigError: There are no texts.
        MissingDependencyError: The export extra is not installed.
    """
    if not texts:
        raise ConfigError("Quantising for OpenVINO needs texts to measure on. Pass some.")
    openvino = require("openvino", extra="export", purpose="quantize")
    nncf = require("nncf", extra="export", purpose="quantize")
    from nearfield.runtime.padded import pad  # noqa: PLC0415
    from nearfield.runtime.tokenize import TextTokenizer  # noqa: PLC0415

    model = openvino.Core().read_model(str(graph))
    names = [port.get_any_name() for port in model.inputs]

    def inputs(ids: list[int]) -> dict[str, Any]:
        numbers, mask = pad([ids], 0)
        values = {"input_ids": numbers, "attention_mask": mask, "token_type_ids": numbers * 0}
        return {name: values[name] for name in names}

    tokens = TextTokenizer.of_folder(folder).encode(list(texts[:CALIBRATION_TEXTS])).ids
    quantized = nncf.quantize(
        model,
        nncf.Dataset(tokens, inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(tokens),
    )
    name = "openvino_model_qint8_quantized.xml"
    with _draft(graph.parent) as draft:
        openvino.save_model(quantized, str(draft / name), compress_to_fp16=False)
        return _deliver(draft / name, graph.parent)


def export_model(
    model: Path | str,
    backend: GraphBackend,
    *,
    out: Path | str,
    optimize: str | None = None,
    quantize: str | None = None,
    texts: Sequence[str] = (),
) -> list[Path]:
    """Export a model folder, and optimise or quantise it.

    Args:
        model: The model's folder.
        backend: ``"onnx"`` or ``"openvino"``.
        out: The folder that gets ``onnx/...`` or ``openvino/...``; the model's own is allowed.
        optimize: ``"O1"`` to ``"O4"``, for ONNX.
        quantize: For ONNX an instruction set (``"avx512_vnni"``, ...), or ``"int8"`` for this
            processor's; for OpenVINO ``"int8"``.
        texts: Texts to measure ranges on, for OpenVINO.

    Returns:
        The graphs made or found, the float32 one first.

    Raises:
        ConfigError: The options do not fit the backend.
        MissingDependencyError: The export extra is not installed.
        ModelLoadError: The model cannot be exported.
    """
    _check(backend, optimize, quantize, texts)
    folder = read_folder(model)
    place = Path(out) / backend / DEFAULT_FILE[backend]
    graphs = [place if place.is_file() else export_float32(folder, backend, Path(out))]
    if optimize:
        graphs.append(optimize_onnx(graphs[0], folder, optimize))
    if quantize and backend == "onnx":
        kind = best_instruction_set() if quantize == OPENVINO_INT8 else quantize
        graphs.append(quantize_onnx(graphs[0], kind))
    elif quantize:
        graphs.append(quantize_openvino(graphs[0], folder, texts))
    return graphs


def best_instruction_set() -> str:
    """Give the instruction set of :data:`ONNX_INT8` that suits this processor best."""
    from nearfield.runtime.graph_files import CPU_FLAGS, cpu_flags  # noqa: PLC0415

    flags = cpu_flags()
    return next((name for name, marks in CPU_FLAGS.items() if marks & flags), "avx2")


def _check(backend: str, optimize: str | None, quantize: str | None, texts: Sequence[str]) -> None:
    if backend not in DEFAULT_FILE:
        message = f"backend must be 'onnx' or 'openvino', not {backend!r}."
        raise ConfigError(message)
    if backend == "openvino" and optimize:
        raise ConfigError("optimize is for onnx; OpenVINO optimises when it loads a graph.")
    if backend == "openvino" and quantize not in {None, OPENVINO_INT8}:
        message = f"quantize must be {OPENVINO_INT8!r} for openvino, not {quantize!r}."
        raise ConfigError(message)
    if backend == "openvino" and quantize and not texts:
        raise ConfigError("Quantising for OpenVINO needs texts to measure on. Pass some.")
    if backend == "onnx" and quantize not in {None, OPENVINO_INT8, *ONNX_INT8}:
        message = (
            f"quantize must be {OPENVINO_INT8!r} or one of {', '.join(ONNX_INT8)} for onnx, "
            f"not {quantize!r}."
        )
        raise ConfigError(message)
    if optimize is not None and optimize not in OPTIMIZATIONS:
        message = f"optimize must be one of {', '.join(OPTIMIZATIONS)}, not {optimize!r}."
        raise ConfigError(message)


@contextmanager
def _draft(near: Path) -> Iterator[Path]:
    """A folder to work in, on the same disk as where the result goes."""
    near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=near) as folder:
        yield Path(folder)


def _deliver(made: Path, where: Path) -> Path:
    """Move a graph and its weights to their place; the graph last: it is what is looked for."""
    where.mkdir(parents=True, exist_ok=True)
    for file in reversed(files_of(made)):
        file.replace(where / file.name)
    return where / made.name


def _with_config(graph: Path, folder: ModelFolder, draft: Path) -> None:
    for file in (*files_of(graph), folder.path / folder.modules.transformer / "config.json"):
        shutil.copy(file, draft)
