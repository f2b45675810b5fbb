"""``nearfield distill``: a word table of a model, and what it costs and gains."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from nearfield.cli.options import json_option
from nearfield.cli.output import columns, print_json

MEASURED_TEXTS = 300


@click.command("distill")
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to make.",
)
@click.option("--dim", type=int, default=256, show_default=True, help="Numbers per vector.")
@click.option(
    "--texts",
    "texts_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Texts like yours, one a line, to compare by; Python's own documentation by default.",
)
@click.option("--revision", metavar="NAME", help="A branch, tag, commit or refs/pr/N of MODEL.")
@click.option("--threads", type=int, help="Threads to compute with; all cores by default.")
@json_option
def command(
    *,
    model: str,
    out: Path,
    dim: int,
    texts_path: Path | None,
    revision: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Make a word table of MODEL, a folder or a name on the hub, and compare the two.

    Every token of the model's vocabulary is run through it once; principal components
    keep DIM numbers, and frequent words weigh less (Model2Vec: Tulkens and van Dongen,
    2024). StaticEmbedding(DIR) embeds with it.
    """
    from nearfield.cli.sample_texts import texts_like_yours  # noqa: PLC0415
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding  # noqa: PLC0415
    from nearfield.embeddings.static import StaticEmbedding  # noqa: PLC0415
    from nearfield.runtime.distill import distill, measure_table  # noqa: PLC0415

    texts = texts_like_yours(texts_path)[:MEASURED_TEXTS]
    teacher = HuggingFaceEmbedding(
        model, backend="native", revision=revision, threads=threads, on_truncation="ignore"
    )
    place = distill(teacher.found.path, out, dim=dim, threads=threads)
    table = StaticEmbedding(str(place), threads=threads, on_truncation="ignore")
    report = measure_table(teacher, table, texts)
    line = f'StaticEmbedding("{place}")'
    if as_json:
        print_json({"model": model, **asdict(report), "use": line})
        return
    head = ("word table", "dim", "words", "MB", "texts/s", "speed", "Spearman")
    row = (
        str(place),
        str(report.dim),
        f"{report.tokens:,}",
        f"{report.size_bytes / 1e6:,.1f}",
        f"{report.texts_per_second:,.0f}",
        f"x {report.speed:,.0f}",
        f"{report.spearman:.4f}",
    )
    click.echo(columns([head, row]))
    click.echo(f"\n{line}")
