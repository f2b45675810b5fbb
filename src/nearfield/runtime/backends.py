"""The one door to the backends: a folder and options in, a model that runs out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from nearfield.core.settings import Settings
from nearfield.core.vectors import SimilarityMode
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.cut import CUT_FACTS, CutEngine, cut_after_normalizing
from nearfield.runtime.graph_files import files_of, pick_graph
from nearfield.runtime.local_model import LocalModel
from nearfield.runtime.model_files import naming
from nearfield.runtime.tokenize import TextTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.runtime.graph_files import GraphBackend
    from nearfield.runtime.local_model import Backend, Engine
    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.options import Options
    from nearfield.runtime.pooling import Head


def load_model(
    name: str,
    folder: ModelFolder,
    backend: Backend,
    options: Options,
    *,
    graph: Path | None = None,
) -> LocalModel:
    """Load a model on a backend.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        backend: The backend.
        options: What the user asked.
        graph: The graph to run, in place of the folder's own, on ONNX and OpenVINO.

    Returns:
        The model, ready to run.

    Raises:
        ModelLoadError: The folder is damaged, refused, or not for this backend.
        ConfigError: An option does not fit the model or the machine.
        MissingDependencyError: The backend's library is not installed.
    """
    check_max_length(folder, options)
    mode = trained_similarity(folder, options.similarity)
    # Each backend is loaded when asked for: its library may be slow, or absent.
    if backend == "torch":
        from nearfield.runtime.torch import load_torch  # noqa: PLC0415

        return load_torch(name, folder, options, mode)
    folder.require_understood()
    with naming(folder.path):
        tokenizer = TextTokenizer.of_folder(
            folder, max_tokens=options.max_length, threads=options.threads
        )
    facts: dict[str, Any] = {}
    cut = cut_after_normalizing(folder, options)
    if cut is not None:  # a head normalises last, so this one gives whole vectors
        folder = replace(folder, truncate_dim=None)
        options = replace(options, truncate_dim=None)
    if backend == "native":
        head = folder.head(normalize=options.normalize, truncate_dim=options.truncate_dim)
        engine = native_engine(folder, head, options.threads, options.dtype)
        weights = folder.weight_files
        facts |= {"dtype": "int8"} if options.dtype == "int8" else {}
    else:
        found, weights = (graph, files_of(graph)) if graph else _graph(folder, backend, options)
        engine = _graph_engine(folder, backend, found, options)
    if cut is not None:
        facts |= CUT_FACTS if cut < engine.dim else {}
        engine = CutEngine(engine, cut)
    return LocalModel(
        name,
        tokenizer,
        engine,
        backend=backend,
        weights=weights,
        facts=facts,
        mode=mode,
        on_truncation=options.on_truncation,
    )


def trained_similarity(folder: ModelFolder, asked: str | None = None) -> SimilarityMode:
    """Give the comparison that was asked for, or else the one a folder names.

    Args:
        folder: The folder.
        asked: A comparison in place of the folder's own.

    Raises:
        ConfigError: It is none that vectors are compared by here, such as ``"manhattan"``.
    """
    named = str(getattr(asked, "value", asked) or folder.similarity)
    try:
        return SimilarityMode(named)
    except ValueError as error:
        message = (
            f"{folder.path} is to be compared by {named!r}, which is not known here. Pass "
            "similarity_fn_name='cosine', 'dot' or 'euclidean'."
        )
        raise ConfigError(message) from error


def native_engine(
    folder: ModelFolder,
    head: Head,
    threads: int | None,
    dtype: Literal["float32", "int8"] = "float32",
) -> Engine:
    """Load a folder's weights into the native engine.

    Args:
        folder: The folder.
        head: What follows the encoder.
        threads: How many threads a call uses; all cores when ``None``.
        dtype: ``"int8"`` lets products be of fewer bits where this processor is faster so.

    Raises:
        ModelLoadError: The architecture is not supported, or weights are missing or damaged.
    """
    from nearfield.runtime.architectures import read_encoder  # noqa: PLC0415
    from nearfield.runtime.native import NativeEngine  # noqa: PLC0415

    with naming(folder.path):
        tensors = folder.tensors()
        encoder = read_encoder(folder.config, tensors, release=tensors.release)
        return NativeEngine(encoder, head, threads=threads, dtype=dtype)


def _graph(
    folder: ModelFolder, backend: GraphBackend, options: Options
) -> tuple[Path, tuple[Path, ...]]:
    """Find the graph to run, or make it; with the files that hold its weights."""
    export = options.model_kwargs.get("export")
    found = None if export else pick_graph(folder, backend, options.file_name)
    if found is not None:
        return found, files_of(found)
    if export is False:
        message = f"{folder.path} has no {backend} file and export=False forbids making one."
        raise ModelLoadError(message)
    from nearfield.runtime.export import exported_once  # noqa: PLC0415

    # What we export computes what the weights say, so they stand for it in the fingerprint.
    return exported_once(folder, backend, Settings.cache_dir), folder.weight_files


def _graph_engine(
    folder: ModelFolder, backend: GraphBackend, path: Path, options: Options
) -> Engine:
    if backend == "onnx":
        from nearfield.runtime.onnx import load_onnx  # noqa: PLC0415

        return load_onnx(folder, path, options)
    from nearfield.runtime.openvino import load_openvino  # noqa: PLC0415

    return load_openvino(folder, path, options)


def check_max_length(folder: ModelFolder, options: Options) -> None:
    """Refuse a ``max_length`` the model has no positions for.

    Raises:
        ConfigError: The message names both numbers.
    """
    limit = folder.position_limit
    if options.max_length is not None and limit is not None and options.max_length > limit:
        message = f"max_length={options.max_length} is more than the {limit} {folder.path} reads."
        raise ConfigError(message)
