"""``nearfield copy``: an index moved to another store, its vectors carried along."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nearfield.cli.opening import check_there, open_alone
from nearfield.cli.options import json_option
from nearfield.cli.output import print_json
from nearfield.cli.place import PlaceType

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("copy")
@click.argument("source", metavar="FROM", type=PlaceType())
@click.argument("target", metavar="TO", type=PlaceType())
@json_option
def command(*, source: Place, target: Place, as_json: bool) -> int:
    """Copy the index FROM into the store TO; no vector is computed again.

    Both are a file, or lance://..., postgresql://... and the like. TO is made when
    missing; the model's fingerprint goes with it. Stopped at any moment, the same
    command goes on from there. The copy is compared with what was read at the end.
    """
    if _is_same(source, target):
        message = "FROM and TO are the same place."
        raise click.UsageError(message)
    check_there(source)
    from nearfield.core.copying import copy_index  # noqa: PLC0415

    with open_alone(source) as old, closing(target.open()) as new:
        try:
            report = copy_index(old, new, show_progress=True)
        except KeyboardInterrupt:
            click.echo("Run the same command to go on from here.", err=True)
            raise
    if as_json:
        print_json({"from": str(source), "to": str(target), **asdict(report)})
        return 0
    click.echo(
        f"{target}: {report.documents} documents, {report.nodes} nodes ({report.copied} documents "
        f"copied now) in {report.seconds:.1f} s. Verified: count, checksum, and "
        f"{report.agreement:.0%} of the answers to sampled queries."
    )
    return 0


def _is_same(source: Place, target: Place) -> bool:
    """Say whether two places are one, however each is written."""
    old, new = source.path, target.path
    if old is None or new is None or not (old.exists() and new.exists()):
        return source.target == target.target
    return old.samefile(new)
