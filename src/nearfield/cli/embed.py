"""``nearfield embed``: texts in, vectors out."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from nearfield.cli.options import model_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.vectors import Vectors

TEXTS_AT_ONCE = 4096


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option(
    "-i",
    "--input",
    "input_path",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="A file with one text a line, or JSON lines with a 'text'; '-' is standard input.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["jsonl", "npy", "base64"]),
    default="jsonl",
    show_default=True,
    help="jsonl: an array of numbers a line; npy: one float32 matrix; "
    "base64: little-endian float32, a vector a line.",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write; standard output by default.",
)
@click.option("--query", is_flag=True, help="Embed as questions, not as texts to be found.")
@model_option
def command(
    *,
    texts: tuple[str, ...],
    input_path: Path | None,
    form: str,
    output_path: Path | None,
    query: bool,
    model: str | None,
) -> None:
    """Turn TEXTS into vectors, in order; from --input or standard input when none are given."""
    if texts and input_path:
        message = "Give texts or --input, not both."
        raise click.UsageError(message)
    if form == "npy" and output_path is None and sys.stdout.isatty():
        message = "npy is binary: add --output FILE, or pipe it."
        raise click.UsageError(message)
    if input_path is not None and str(input_path) != "-" and not input_path.exists():
        message = f"There is no file {input_path}."
        raise click.ClickException(message)
    if _same_file(input_path, output_path):
        message = f"{output_path} is the input too, which would be lost. Name another --output."
        raise click.UsageError(message)
    from nearfield.core.embeddings import resolve_embed_model  # noqa: PLC0415

    embedding = resolve_embed_model(model)
    # Opened before anything is computed, so that a folder that cannot be written to costs nothing.
    if output_path is None:
        _embed(_source(texts, input_path), form, sys.stdout.buffer, embedding, query=query)
        return
    with _opened(output_path) as out:
        _embed(_source(texts, input_path), form, out, embedding, query=query)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; one that is there stays as it is until all is written."""
    if not path.is_file():  # a new one, or a device or pipe
        with path.open("wb") as out:
            yield out
        return
    path = path.resolve()
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as out:
            yield out
        shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _same_file(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None or not (one.is_file() and other.is_file()):
        return False
    return one.samefile(other)


def _embed(
    source: Iterator[str], form: str, out: BinaryIO, embedding: BaseEmbedding, *, query: bool
) -> None:
    parts: list[Vectors] = []
    for some in _slices(source):
        vectors = embedding.encode(some, input_type="query" if query else "document")
        if form == "npy":
            parts.append(vectors)
        else:
            _write_lines(vectors, form, out)
    if form == "npy":
        _write_npy(parts, out, embedding.dim or 0)


def _write_lines(vectors: Vectors, form: str, out: BinaryIO) -> None:
    for vector in vectors:
        if form == "jsonl":
            line = json.dumps(vector.tolist()).encode()
        else:
            line = base64.b64encode(vector.astype("<f4").tobytes())
        out.write(line + b"\n")
    out.flush()


def _write_npy(parts: Sequence[Vectors], out: BinaryIO, dim: int) -> None:
    import numpy as np  # noqa: PLC0415

    np.save(out, np.concatenate(parts) if parts else np.zeros((0, dim), np.float32))


def _source(texts: tuple[str, ...], input_path: Path | None) -> Iterator[str]:
    if texts:
        yield from texts
    elif input_path is None or str(input_path) == "-":
        if input_path is None and sys.stdin.isatty():
            message = "No text. Give texts, --input FILE, or pipe some in."
            raise click.UsageError(message)
        yield from _lines(sys.stdin.buffer, "standard input")
    else:
        with input_path.open("rb") as file:
            yield from _lines(file, str(input_path))


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            message = f"Line {number} of {name} is not UTF-8. Convert it first."
            raise click.ClickException(message) from error
        yield _text_of(line)  # an empty line too: line n of the output belongs to line n here


def _text_of(line: str) -> str:
    """Give the text of a line: that of a JSON object's or string's, else the line itself."""
    if line.startswith(("{", '"')):
        try:
            value = json.loads(line)
        except ValueError:
            return line
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            return str(value["text"])
        if isinstance(value, str):
            return value
    return line


def _slices(source: Iterator[str]) -> Iterator[list[str]]:
    some: list[str] = []
    for text in source:
        some.append(text)
        if len(some) == TEXTS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
