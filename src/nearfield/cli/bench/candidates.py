"""What is measured: each model on each backend that is installed and can run it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BUNDLED = "bundled"
STATIC = "static"
# The library that tells for a backend; the native engine is always here.
LIBRARIES = {
    "native": "numpy",
    "native-int8": "numpy",
    "torch": "sentence_transformers",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}
# Whose vectors the others are compared with: whole float32 first.
REFERENCES = ("torch", "onnx", "openvino", "native")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a backend.

    Attributes:
        model: The model as the user named it.
        provider: ``"bundled"``, ``"local"`` or ``"static"``.
        backend: The backend.
        name: What the provider is given: a folder, or a name on the hub.
    """

    model: str
    provider: str
    backend: str
    name: str


def installed() -> list[str]:
    """Name the backends whose library is here, and which differ on this processor."""
    from nearfield.runtime.native import engine_facts  # noqa: PLC0415

    facts = engine_facts()
    same = {"native-int8"} if facts["instruction_set_int8"] == facts["instruction_set"] else set()
    return [name for name, library in LIBRARIES.items() if name not in same and find_spec(library)]


def candidates(model: str, backends: Sequence[str], scratch: Path) -> list[Candidate]:
    """Give what is to be measured of a model.

    Args:
        model: ``"bundled"``, a folder, a name on the hub, ``"local:NAME"`` or ``"static:NAME"``.
        backends: Backends to try.
        scratch: A folder for what must be made first.

    Returns:
        One candidate a backend.

    Raises:
        click.UsageError: The model does not run on this machine.
    """
    from nearfield.core.embeddings.resolve import DEFAULT_NAMES  # noqa: PLC0415
    from nearfield.core.registry import EMBEDDINGS  # noqa: PLC0415

    provider, colon, name = model.partition(":")
    if model in DEFAULT_NAMES:
        return _bundled(model, backends, scratch)
    if provider == STATIC and name:
        return [Candidate(model, STATIC, STATIC, name)]
    if colon and provider in EMBEDDINGS and provider != "local":
        message = f"bench measures what runs on this machine; {model!r} does not."
        raise click.UsageError(message)
    name = name if provider == "local" and colon else model
    return [Candidate(model, "local", backend, name) for backend in backends]


def _bundled(model: str, backends: Sequence[str], scratch: Path) -> list[Candidate]:
    """The bundled model, as it is on the native engine; in float32 for those who need that."""
    found = [Candidate(model, BUNDLED, one, BUNDLED) for one in backends if one == "native"]
    others = [one for one in backends if one != "native"]
    if others:
        folder = str(widen_bundled(scratch / "bundled-float32"))
        found += [Candidate(model, "local", backend, folder) for backend in others]
    return found


def widen_bundled(folder: Path) -> Path:
    """Write the bundled model with its weights as float32, which any library reads.

    Args:
        folder: Where to.

    Returns:
        The folder.
    """
    from nearfield.embeddings.bundled import FOLDER  # noqa: PLC0415
    from nearfield.runtime.encoder import Matrix  # noqa: PLC0415
    from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors  # noqa: PLC0415

    weights = "model.safetensors"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(weights))
    stored = SafetensorsFile(FOLDER / weights)
    whole = {
        name: Matrix(stored[name], stored.get(f"{name}.scale")).widen()
        for name in stored
        if not name.endswith(".scale")
    }
    write_safetensors(folder / weights, whole, {"format": "pt"})
    return folder
