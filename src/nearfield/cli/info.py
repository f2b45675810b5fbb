"""``nearfield info``: what an index holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nearfield.cli.opening import open_to_read
from nearfield.cli.options import index_option, json_option
from nearfield.cli.output import console, print_json

if TYPE_CHECKING:
    from pathlib import Path


@click.command("info")
@index_option
@json_option
def command(*, index_path: Path, as_json: bool) -> int:
    """Show what an index holds: documents, nodes, model, size, what was cut."""
    with open_to_read(index_path) as index:
        facts = index.info()
    if as_json:
        print_json(facts)
        return 0
    screen = console()
    width = max(map(len, facts))
    for name, value in facts.items():
        screen.print(f"{name:<{width}}  {value}", markup=False)
    return 0
