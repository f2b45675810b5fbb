"""``nearfield repair``: what can be mended in an index, mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nearfield.cli.opening import open_alone
from nearfield.cli.options import index_option, json_option, model_option
from nearfield.cli.output import print_json, printable

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("repair")
@index_option
@model_option
@json_option
def command(*, index_path: Place, model: str | None, as_json: bool) -> int:
    """Mend what verify finds, in one transaction: lost vectors are made anew from stored texts.

    Documents whose texts are lost are removed and named: index their files again.
    """
    with open_alone(index_path, read_only=False, needs="repair") as store:
        from nearfield.core import VectorStoreIndex  # noqa: PLC0415

        index = VectorStoreIndex(store=store, embed_model=model)
        done = store.repair(index.embed_model.encode)
    if as_json:
        problems = [{"part": found.part, "message": found.message} for found in done.problems]
        print_json({"problems": problems, "embedded": done.embedded, "removed": done.removed})
        return 0
    if not done.problems:
        click.echo(f"{index_path} is sound; nothing was changed.")
        return 0
    click.echo(f"{len(done.problems)} problems mended, {done.embedded} texts embedded again.")
    for name in done.removed:
        click.echo(f"Removed {printable(name)}: index it again.", err=True)
    return 0
