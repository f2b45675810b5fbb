"""Which file of a model folder an ONNX or OpenVINO backend runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nearfield.core.warn import warn
from nearfield.errors import ModelLoadError

if TYPE_CHECKING:
    from nearfield.runtime.model_folder import ModelFolder

GraphBackend = Literal["onnx", "openvino"]
DEFAULT_FILE = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}
# Without a default file: what computes the same in float32, best first.
_EXACT = ("model_O3.onnx", "model_O2.onnx", "model_O1.onnx")
# Instruction sets as the ecosystem writes them into file names, and a processor's own names.
CPU_FLAGS = {
    "avx512_vnni": {"avx512_vnni", "avx_vnni"},
    "avx512": {"avx512f"},
    "avx2": {"avx2"},
    "arm64": {"asimddp", "arm64"},
}


def wanted_files(backend: str, file_name: str | None) -> tuple[str, ...]:
    """Give the patterns of the files a backend wants from the hub.

    Args:
        backend: A backend's name.
        file_name: The file the user asked for, with or without its folder.

    Returns:
        Patterns of places in the folder; none for a backend that reads the weights.
    """
    if backend not in DEFAULT_FILE:
        return ()
    name = file_name or DEFAULT_FILE[backend]
    # Weights lie beside a graph: model.onnx_data, or the .bin of an .xml.
    stem = f"{Path(name).with_suffix('')}.*" if backend == "openvino" else f"{name}*"
    return (stem, f"{backend}/{stem}")


def pick_graph(folder: ModelFolder, backend: str, file_name: str | None) -> Path | None:
    """Find the graph to run.

    Args:
        folder: The model's folder.
        backend: ``"onnx"`` or ``"openvino"``.
        file_name: The file asked for, with or without its folder.

    Returns:
        Its path; ``None`` when none was asked for and there is none.

    Raises:
        ModelLoadError: The file asked for is not there; the message lists those that are.
    """
    if file_name is not None:
        found = folder.file(file_name) or folder.file(backend, file_name)
        if found is None:
            message = (
                f"{folder.path} has no {backend} file {file_name!r}. It has: "
                f"{', '.join(graphs_of(folder, backend)) or 'none'}."
            )
            raise ModelLoadError(message)
        _warn_of_other_cpu(found)
        return found
    default = DEFAULT_FILE[backend]
    names = (default, *(_EXACT if backend == "onnx" else ()))
    places = [place for name in names for place in ((backend, name), (name,))]
    exact = next((found for place in places if (found := folder.file(*place))), None)
    if exact is not None:
        return exact
    fitting = [name for name in graphs_of(folder, backend) if _fits(name) is not False]
    return folder.file(fitting[0]) if fitting else None


def files_of(graph: Path) -> tuple[Path, ...]:
    """Give a graph's file and those of its weights beside it."""
    if graph.suffix == ".xml":
        return (graph, graph.with_suffix(".bin"))
    return (graph, *sorted(graph.parent.glob(f"{graph.name}?data*")))


def graphs_of(folder: ModelFolder, backend: str) -> list[str]:
    """List the graphs of a folder, those for the best instruction sets first."""
    pattern = f"*{Path(DEFAULT_FILE[backend]).suffix}"
    paths = [*folder.path.glob(f"{backend}/{pattern}"), *folder.path.glob(pattern)]
    names = sorted(path.relative_to(folder.path).as_posix() for path in paths)
    order = list(CPU_FLAGS)
    return sorted(names, key=lambda name: order.index(_made_for(name) or order[-1]))


def _made_for(name: str) -> str | None:
    """The instruction set a file name speaks of."""
    return next((known for known in CPU_FLAGS if known in Path(name).name), None)


def _fits(name: str) -> bool | None:
    """Say whether this processor has what a file was made for; ``None`` when unknown."""
    made_for, flags = _made_for(name), cpu_flags()
    return None if made_for is None or not flags else bool(CPU_FLAGS[made_for] & flags)


def _warn_of_other_cpu(path: Path) -> None:
    if _fits(path.name) is False:
        warn(
            f"{path.name} was quantised for {_made_for(path.name)}, which this processor lacks; "
            "it may be slower or less exact than a file made for it."
        )


@cache
def cpu_flags() -> frozenset[str]:
    """Give this processor's features as Linux names them; none where it does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
