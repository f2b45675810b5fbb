"""``nearfield map``: an index as a picture, in one HTML file."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearfield.cli.opening import open_alone
from nearfield.cli.options import DEFAULT_INDEX, json_option
from nearfield.cli.output import print_json
from nearfield.cli.place import PlaceType
from nearfield.core.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nearfield.cli.place import Place
    from nearfield.core.progress import Progress
    from nearfield.server.map.picture import Picture

MOST_POINTS = 100_000
MOST_CHARACTERS = 10_000
# Which hundredths of the whole each stage takes, about.
STAGES = {
    "reading": (0, 25),
    "neighbours": (25, 55),
    "layout": (55, 90),
    "near-duplicates": (90, 100),
}


@click.command("map")
@click.argument("index", type=PlaceType(), default=DEFAULT_INDEX)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="map.html",
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, MOST_POINTS),
    help=f"Show this many nodes, drawn at random. An index of more than {MOST_POINTS:,} needs it.",
)
@click.option(
    "--characters",
    type=click.IntRange(0, MOST_CHARACTERS),
    default=300,
    show_default=True,
    help="How much of each text goes into the file; 0 for none.",
)
@click.option("--title", help="What stands above the map; the index's name by default.")
@json_option
def command(
    *,
    index: Place,
    out: Path,
    sample: int | None,
    characters: int,
    title: str | None,
    as_json: bool,
) -> int:
    """Draw the map of INDEX (nearfield.index by default) into one file that stands alone.

    It opens from the disk, in any browser, and asks nothing of any server.
    """
    with open_alone(index) as store:
        _check(store.count(), sample)
        with _draft(out) as draft:
            draft.touch()  # before a map is drawn in vain
        from nearfield.server.map.file import as_page  # noqa: PLC0415
        from nearfield.server.map.picture import finish, sketch  # noqa: PLC0415

        with progress(100, "Drawing the map", show=True) as job:
            report = _reporter(job)
            picture = sketch(store, report=report, limit=sample, text_characters=characters)
            picture = finish(picture, report=report)
    page = as_page(picture, title or Path(str(index)).stem)
    with _draft(out) as draft:
        draft.write_text(page, "utf-8")
        draft.replace(out)
    facts = _facts(picture, out)
    if as_json:
        print_json(facts)
    else:
        click.echo(_told(facts))
    return 0


def _check(count: int, sample: int | None) -> None:
    """Refuse more nodes than a file can hold, unless a sample is asked for."""
    if sample is None and count > MOST_POINTS:
        message = (
            f"The index has {count:,} nodes, and a file holds {MOST_POINTS:,} at most. "
            f"Show some of them: --sample {MOST_POINTS}"
        )
        raise click.ClickException(message)


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Give a path beside ``out`` to write to first; what is left there is removed."""
    draft = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        yield draft
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror}. Give another path with --out."
        raise click.ClickException(message) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _facts(picture: Picture, out: Path) -> dict[str, object]:
    pairs, outliers = picture.duplicates, picture.outliers
    return {
        "out": str(out),
        "size_bytes": out.stat().st_size,
        "points": len(picture.points.ids),
        "nodes": picture.points.total,
        "near_duplicates": pairs.total if pairs else 0,
        "near_duplicates_exact": pairs.exact if pairs else True,
        "outliers": outliers.total if outliers else 0,
        "recall": picture.recall,
        "seconds": {name: round(value, 3) for name, value in picture.seconds.items()},
    }


def _told(facts: dict[str, object]) -> str:
    shown = f"{facts['points']:,} of {facts['nodes']:,} nodes"
    if facts["points"] == facts["nodes"]:
        shown = f"{facts['nodes']:,} nodes"
    megabytes = int(str(facts["size_bytes"])) / 1e6
    return (
        f"{facts['out']}: {shown}, {facts['near_duplicates']:,} near-duplicates, "
        f"{facts['outliers']:,} outliers; {megabytes:.1f} MB."
    )


def _reporter(job: Progress) -> Callable[[str, float], None]:
    """Give what turns shares of stages into hundredths of the whole."""
    reached = 0

    def report(stage: str, share: float) -> None:
        nonlocal reached
        begin, end = STAGES[stage]
        now = round(begin + (end - begin) * share)
        job.advance(now - reached)
        reached = now

    return report
