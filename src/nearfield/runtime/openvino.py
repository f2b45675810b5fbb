"""OpenVINO as a backend: the folder's own graph, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.graph import GraphEngine, GraphInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.options import Options

PURPOSE = "backend='openvino'"
_INTEGERS = {"i64": np.int64, "i32": np.int32}


class OpenvinoGraph:
    """A graph that OpenVINO runs; see :class:`~nearfield.runtime.graph.Graph`."""

    def __init__(self, path: Path, options: Options) -> None:
        openvino = require("openvino", extra="openvino", purpose=PURPOSE)
        core = openvino.Core()
        device = _device(core, options.device)
        try:
            self._compiled = core.compile_model(
                core.read_model(str(path)), device, _config(device, options)
            )
        except Exception as error:  # the library raises RuntimeError and its own kinds
            message = f"{path} is no graph OpenVINO can run on {device}: {_last_line(error)}"
            raise ModelLoadError(message) from error
        self.name = f"openvino ({device})"
        self.inputs = [_input(port, path) for port in self._compiled.inputs]
        self.outputs = [port.get_any_name() for port in self._compiled.outputs]

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Run the graph and give one of its outputs."""
        # A request of its own for each call: two threads must not share one.
        request = self._compiled.create_infer_request()
        request.infer(dict(feeds))
        return np.array(request.get_tensor(output).data)


def load_openvino(folder: ModelFolder, path: Path, options: Options) -> GraphEngine:
    """Load a graph into OpenVINO.

    Args:
        folder: The model's folder.
        path: The graph, an ``.xml`` with its ``.bin`` beside it.
        options: What the user asked.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        ModelLoadError: The file is no graph of an encoder.
        ConfigError: The device is not there.
    """
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        message = f"{path} has no {weights.name} beside it. Fetch the model again."
        raise ModelLoadError(message)
    head = folder.head(normalize=options.normalize, truncate_dim=options.truncate_dim)
    graph = OpenvinoGraph(path, options)
    return GraphEngine(graph, head, folder.config, batch_texts=options.batch_texts)


def _device(core: Any, asked: str | None) -> str:
    device = (asked or "cpu").upper()
    available = list(core.available_devices)
    if device != "AUTO" and not any(device in {name, name.partition(".")[0]} for name in available):
        message = f"OpenVINO has no device {asked!r} here; it has {', '.join(available)}."
        raise ConfigError(message)
    return device


def _config(device: str, options: Options) -> dict[str, Any]:
    given = options.model_kwargs.get("ov_config") or {}
    if not isinstance(given, dict):
        given = json.loads(Path(given).read_text("utf-8"))
    config: dict[str, Any] = {}
    if device == "CPU":
        # On processors with bfloat16 the default would be that, and lose four digits.
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if options.threads:
            config["INFERENCE_NUM_THREADS"] = options.threads
    return config | given


def _input(port: Any, path: Path) -> GraphInput:
    name, kind = port.get_any_name(), port.get_element_type().get_type_name()
    if kind not in _INTEGERS:
        message = f"{path} takes {name!r} as {kind}, not whole numbers."
        raise ModelLoadError(message)
    return GraphInput(name, np.dtype(_INTEGERS[kind]))


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:300]
