"""ONNX Runtime as a backend: the folder's own graph, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.graph import GraphEngine, GraphInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.options import Options

PURPOSE = "backend='onnx'"
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxGraph:
    """A graph that ONNX Runtime runs; see :class:`~nearfield.runtime.graph.Graph`."""

    def __init__(self, path: Path, options: Options) -> None:
        runtime = require("onnxruntime", extra="onnx", purpose=PURPOSE)
        settings = options.model_kwargs.get("session_options") or runtime.SessionOptions()
        if options.threads and "session_options" not in options.model_kwargs:
            settings.intra_op_num_threads = options.threads
        providers, provider_options = _providers(runtime, options)
        try:
            self._session = runtime.InferenceSession(
                str(path), settings, providers=providers, provider_options=provider_options
            )
        except Exception as error:  # the library's exceptions share no class of their own
            message = f"{path} is no graph ONNX Runtime can run: {_first_line(error)}"
            raise ModelLoadError(message) from error
        self.name = f"onnx ({self._session.get_providers()[0]})"
        self.inputs = [_input(entry, path) for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Run the graph and give one of its outputs."""
        result: NDArray[Any] = self._session.run([output], dict(feeds))[0]
        return result


def load_onnx(folder: ModelFolder, path: Path, options: Options) -> GraphEngine:
    """Load a graph into ONNX Runtime.

    Args:
        folder: The model's folder.
        path: The graph.
        options: What the user asked.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ModelLoadError: The file is no graph of an encoder.
        ConfigError: The device or provider is not there.
    """
    head = folder.head(normalize=options.normalize, truncate_dim=options.truncate_dim)
    graph = OnnxGraph(path, options)
    return GraphEngine(graph, head, folder.config, batch_texts=options.batch_texts)


def _input(entry: Any, path: Path) -> GraphInput:
    if entry.type not in _INTEGERS:
        message = f"{path} takes {entry.name!r} as {entry.type}, not whole numbers."
        raise ModelLoadError(message)
    return GraphInput(entry.name, np.dtype(_INTEGERS[entry.type]))


def _providers(runtime: Any, options: Options) -> tuple[list[Any], list[Any] | None]:
    """Settle the execution providers; one asked for and absent is an error."""
    kwargs = options.model_kwargs
    given = kwargs.get("providers") or ([kwargs["provider"]] if kwargs.get("provider") else None)
    if given is None:
        device, _, number = (options.device or "cpu").lower().partition(":")
        if device not in _DEVICES:
            message = f"{PURPOSE} runs on 'cpu' or 'cuda', not on {options.device!r}."
            raise ConfigError(message)
        given = [(_DEVICES[device], {"device_id": int(number)})] if number else [_DEVICES[device]]
    available = runtime.get_available_providers()
    for provider in given:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in available:
            message = (
                f"ONNX Runtime has no {name} here; it has {', '.join(available)}. For CUDA "
                "install onnxruntime-gpu in place of onnxruntime."
            )
            raise ConfigError(message)
    extra = kwargs.get("provider_options")
    return list(given), [extra] * len(given) if isinstance(extra, dict) else extra


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
