"""``nearfield doctor``: what runs here, and what is missing."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import click

from nearfield.cli.options import json_option, model_option
from nearfield.cli.output import console, print_json

LIBRARIES = ("numpy", "tokenizers", "huggingface_hub", "click", "rich")

# One library tells for its extra: if it can be found, the extra is there.
EXTRAS = {
    "torch": "sentence_transformers",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "export": "optimum",
    "openai": "openai",
    "langchain": "langchain_core",
    "llama-index": "llama_index.core",
    "haystack": "haystack",
    "chroma": "chromadb",
    "sklearn": "sklearn",
    "readers": "pypdfium2",
    "otel": "opentelemetry.sdk",
    "plot": "matplotlib",
    "server": "fastapi",
    "lance": "lancedb",
    "pgvector": "psycopg",
    "qdrant": "qdrant_client",
    "milvus": "pymilvus",
    "faiss": "faiss",
    "ray": "ray",
    "watch": "watchfiles",
}


@click.command("doctor")
@model_option
@json_option
def command(*, model: str | None, as_json: bool) -> int:
    """Show what runs here: engine, model, libraries, extras, offline readiness."""
    facts: dict[str, Any] = {
        "nearfield": version("nearfield"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "engine": _engine(),
        "model": _model(model),
        "libraries": {name: version(name) for name in LIBRARIES},
        "extras": {extra: _extra(extra, library) for extra, library in EXTRAS.items()},
        "offline": _offline(),
    }
    if as_json:
        print_json(facts)
    else:
        _show(facts)
    return 0 if facts["engine"]["compiled"] and "error" not in facts["model"] else 1


def _engine() -> dict[str, Any]:
    from nearfield.core.settings import Settings  # noqa: PLC0415
    from nearfield.runtime.native import engine_facts  # noqa: PLC0415

    return engine_facts() | {"threads": Settings.threads}


def _model(name: str | None) -> dict[str, Any]:
    from nearfield.core.embeddings import resolve_embed_model  # noqa: PLC0415
    from nearfield.core.settings import Settings  # noqa: PLC0415
    from nearfield.core.splitting import default_splitter  # noqa: PLC0415
    from nearfield.errors import NearfieldError  # noqa: PLC0415

    try:
        model = resolve_embed_model(name)
        vector = model.encode(["Is all well?"])
        splitter = default_splitter(model)
    except NearfieldError as error:
        return {"name": name, "error": str(error)}
    return {
        "name": model.model_name,
        "repr": repr(model),
        "fingerprint": model.fingerprint,
        "dim": vector.shape[1],
        "max_tokens": model.max_tokens,
        "chunk_size": splitter.chunk_size,
        "chunk_overlap": splitter.chunk_overlap,
        "cache_dir": str(Settings.cache_dir),
    }


def _extra(extra: str, library: str) -> str:
    from nearfield._extras import install_hint  # noqa: PLC0415

    try:
        found = find_spec(library) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        return f"not installed: {install_hint(extra)}"
    try:
        return version(library.partition(".")[0].replace("_", "-"))
    except PackageNotFoundError:
        return "installed"


def _offline() -> dict[str, Any]:
    return {
        "bundled model": "ready",
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "not set"),
        "HF_ENDPOINT": os.environ.get("HF_ENDPOINT", "not set"),
    }


def _show(facts: dict[str, Any]) -> None:
    screen = console()
    for name, value in facts.items():
        if not isinstance(value, dict):
            screen.print(f"[bold]{name}[/bold]  {value}")
            continue
        screen.print(f"[bold]{name}[/bold]")
        for fact, told in value.items():
            shown = ", ".join(map(str, told)) if isinstance(told, (list, tuple)) else told
            screen.print(f"  {fact}: {shown}", markup=False)
    if not facts["engine"]["compiled"]:
        click.echo(
            "The compiled engine is not in use: vectors are right, but slow to make. "
            f"Install a C compiler and Python's headers, then nearfield again. ({sys.executable})",
            err=True,
        )
