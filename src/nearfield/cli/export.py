"""``nearfield export``: a model as a graph for ONNX Runtime or OpenVINO, and what that costs."""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.options import json_option
from nearfield.cli.output import columns, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nearfield.runtime.export_report import GraphReport, PullRequest
    from nearfield.runtime.graph_files import GraphBackend
    from nearfield.runtime.model_folder import ModelFolder

CALIBRATION_TEXTS = 300
MEASURED_TEXTS = 100
DESCRIPTION = ("*.json", "*.txt", "tokenizer.model", "sentencepiece.bpe.model")


@click.command("export")
@click.argument("model")
@click.option(
    "--backend",
    type=click.Choice(["onnx", "openvino"]),
    required=True,
    help="What will run it.",
)
@click.option(
    "--optimize",
    metavar="LEVEL",
    help="O1 to O4, for ONNX: fuse and simplify; O4 is float16, for GPUs.",
)
@click.option(
    "--quantize",
    metavar="KIND",
    help="int8; for ONNX also an instruction set: avx2, avx512, avx512_vnni, arm64.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to make, or to add to; the model's own is allowed.",
)
@click.option(
    "--texts",
    "texts_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Texts like yours, one a line, to set ranges on and to compare by; "
    "Python's own documentation by default.",
)
@click.option("--revision", metavar="NAME", help="A branch, tag, commit or refs/pr/N of MODEL.")
@click.option("--push", "repo", metavar="REPO", help="Put the graphs into this hub repository.")
@click.option(
    "--create-pr", is_flag=True, help="With --push: as a pull request, not to the main branch."
)
@json_option
def command(
    *,
    model: str,
    backend: GraphBackend,
    optimize: str | None,
    quantize: str | None,
    out: Path,
    texts_path: Path | None,
    revision: str | None,
    repo: str | None,
    create_pr: bool,
    as_json: bool,
) -> None:
    """Export MODEL, a folder or a name on the hub, and show what each graph costs and gains.

    The folder made is whole: HuggingFaceEmbedding(DIR, backend=...) runs it without torch.
    """
    if create_pr and not repo:
        message = "--create-pr says how to --push; name the repository: --push REPO."
        raise click.UsageError(message)
    from nearfield.cli.sample_texts import texts_like_yours  # noqa: PLC0415
    from nearfield.runtime.export import export_model  # noqa: PLC0415
    from nearfield.runtime.export_report import measure_graphs, push_graphs  # noqa: PLC0415
    from nearfield.runtime.hub import find_model  # noqa: PLC0415
    from nearfield.runtime.model_folder import read_folder  # noqa: PLC0415

    folder = read_folder(find_model(model, revision=revision).path)
    texts = texts_like_yours(texts_path)[:CALIBRATION_TEXTS]
    with _quiet():
        graphs = export_model(
            folder.path, backend, out=out, optimize=optimize, quantize=quantize, texts=texts
        )
        describe(folder, out)
        reports = measure_graphs(folder.path, backend, graphs, texts[:MEASURED_TEXTS])
    pull_request = None
    wanted = graphs[1:] or graphs  # the float32 graph is the start of the others
    if repo:
        pull_request = push_graphs(
            repo,
            backend,
            wanted,
            create_pr=create_pr,
            description=f"Compared with the float32 graph:\n\n```\n{_table(reports)}\n```",
        )
    line = usage(repo or str(out), backend, wanted[-1], pull_request)
    if as_json:
        print_json(_record(model, backend, reports, pull_request, line))
        return
    click.echo(_table(reports))
    if pull_request:
        click.echo(f"\nPushed to {pull_request.url}")
    click.echo(f"\n{line}")


def describe(folder: ModelFolder, out: Path) -> None:
    """Put beside the graphs what a model folder needs besides them.

    Args:
        folder: The model's folder.
        out: The folder with the graphs; what is there already stays.
    """
    for file in _description(folder):
        copy = out / file.relative_to(folder.path)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def usage(
    name: str, backend: GraphBackend, graph: Path, pull_request: PullRequest | None = None
) -> str:
    """Give the line of Python that uses a graph.

    Args:
        name: The folder, or the repository.
        backend: The graph's backend.
        graph: The graph.
        pull_request: Where it was pushed, if it was.

    Returns:
        A call of ``HuggingFaceEmbedding``.
    """
    revision = pull_request.revision if pull_request else None
    at = f', revision="{revision}"' if revision else ""
    file = f'{{"file_name": "{backend}/{graph.name}"}}'
    return f'HuggingFaceEmbedding("{name}", backend="{backend}"{at}, model_kwargs={file})'


def _description(folder: ModelFolder) -> Iterator[Path]:
    """The small files of the folder and of its modules, and the dense layers' weights."""
    listed = folder.file("modules.json")
    modules = json.loads(listed.read_text("utf-8")) if listed else []
    places = {"", *(str(module["path"]) for module in modules)}
    for place in sorted(places):
        names = (name for some in DESCRIPTION for name in (folder.path / place).glob(some))
        yield from filter(None, (folder.file(place, name.name) for name in sorted(names)))
    yield from folder.weight_files[-len(folder.modules.dense) :] if folder.modules.dense else ()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to themselves what exporters say to those who write exporters."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(transformers|torch|optimum|nncf|onnx)")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _table(reports: Sequence[GraphReport]) -> str:
    head = ("graph", "MB", "size", "speed", "cosine, mean", "least", "Spearman")
    rows = [
        (
            report.path.name,
            f"{report.size_bytes / 1e6:,.1f}",
            f"x {report.size:.2f}",
            f"x {report.speed:.2f}",
            f"{report.cosine_mean:.6f}",
            f"{report.cosine_min:.6f}",
            f"{report.spearman:.6f}",
        )
        for report in reports
    ]
    return columns([head, *rows])


def _record(
    model: str,
    backend: str,
    reports: Sequence[GraphReport],
    pull_request: PullRequest | None,
    line: str,
) -> dict[str, Any]:
    return {
        "model": model,
        "backend": backend,
        "graphs": [asdict(report) for report in reports],
        "pull_request": asdict(pull_request) if pull_request else None,
        "use": line,
    }
