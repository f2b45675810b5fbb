"""``nearfield bench``: the backends that are installed, measured side by side on this machine."""

from __future__ import annotations

import os
import platform
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.bench.candidates import LIBRARIES
from nearfield.cli.options import json_option
from nearfield.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.cli.bench.measure import ModelResult

ROUNDS = 3
VERSIONS = (
    "nearfield",
    "numpy",
    "tokenizers",
    "sentence-transformers",
    "torch",
    "onnxruntime",
    "openvino",
)
NOTE = (
    "Equal texts are embedded once in nearfield; here that is switched off, or the page's\n"
    "512 equal questions would be one. Cosines are to the reference's vectors; the last four\n"
    "columns compare the page's question with its four sentences. Measured in turns; medians."
)


@click.command("bench")
@click.argument("models", nargs=-1)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(list(LIBRARIES)),
    help="Which backends; all that are installed by default. May be repeated.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=ROUNDS,
    show_default=True,
    help="How often everything is measured, in turns.",
)
@click.option("--quick", is_flag=True, help="Fewer texts: seconds, and rough figures.")
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw speed against fidelity into a file ending in .svg or .png.",
)
@json_option
def command(
    *,
    models: tuple[str, ...],
    backends: tuple[str, ...],
    rounds: int,
    quick: bool,
    plot_path: Path | None,
    as_json: bool,
) -> int:
    """Measure MODELS on every backend installed: speed, memory, start and fidelity.

    A model is 'bundled' (the default), a folder, a name on the hub, or
    'static:NAME' for a table of words.
    """
    from nearfield.cli.bench.candidates import installed  # noqa: PLC0415
    from nearfield.cli.bench.table import lay_out  # noqa: PLC0415
    from nearfield.cli.bench.workloads import QUICK, Counts, make_workloads  # noqa: PLC0415
    from nearfield.server.page.bench import keep_bench  # noqa: PLC0415

    draw = _drawer(plot_path)
    texts = make_workloads(QUICK if quick else Counts())
    models, backends = (tuple(dict.fromkeys(each)) for each in (models, backends))  # each once
    results = _measure_all(models or ("bundled",), backends or installed(), texts, rounds)
    record = {
        **_conditions(rounds),
        "texts": {name: len(some) for name, some in texts.items()},
        "models": [asdict(result) for result in results],
    }
    keep_bench(record)  # for the page of `nearfield view`
    if as_json:
        print_json(record)
    else:
        click.echo("\n\n".join([*map(lay_out, results), NOTE]))
    if draw and plot_path:  # last: where it cannot be written, the figures are there
        draw(results, plot_path)
    return 0 if any(one.error is None for result in results for one in result.backends) else 1


def _measure_all(
    models: Sequence[str], backends: Sequence[str], texts: dict[str, list[str]], rounds: int
) -> list[ModelResult]:
    from nearfield.cli.bench.candidates import candidates  # noqa: PLC0415
    from nearfield.cli.bench.measure import measure  # noqa: PLC0415
    from nearfield.core.progress import progress  # noqa: PLC0415

    results = []
    with ExitStack() as stack:
        # Unwinds as Ctrl-C does: the workers and the folder go too.
        before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        stack.callback(signal.signal, signal.SIGTERM, before)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearfield-bench-")))
        each = []
        for number, model in enumerate(models):
            scratch = folder / str(number)
            scratch.mkdir()
            each.append((candidates(model, backends, scratch), scratch))
        total = sum(len(found) for found, _ in each) * rounds
        bar = stack.enter_context(progress(total, "Measuring", show=True))
        for found, scratch in each:
            if not found:
                continue
            results.append(measure(found, texts, scratch, rounds=rounds, advance=bar.advance))
    return results


def _drawer(path: Path | None) -> Any:
    """Give what draws a file of this kind, before anything is measured in vain."""
    if path is None:
        return None
    from nearfield.cli.bench.plot import drawer  # noqa: PLC0415

    return drawer(path)


def _conditions(rounds: int) -> dict[str, Any]:
    from nearfield.runtime.native import engine_facts  # noqa: PLC0415

    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
            "engine": engine_facts(),
        },
        "versions": versions,
        "rounds": rounds,
    }
