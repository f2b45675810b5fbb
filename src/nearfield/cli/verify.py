"""``nearfield verify``: is every byte of an index as it was written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nearfield.cli.main import FAILED
from nearfield.cli.opening import open_alone
from nearfield.cli.options import index_option, json_option
from nearfield.cli.output import print_json

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("verify")
@index_option
@json_option
def command(*, index_path: Place, as_json: bool) -> int:
    """Look for damage in an index; exit code 1 if there is any. Nothing is changed."""
    with open_alone(index_path, needs="verify") as store:
        problems = store.verify()
    if as_json:
        found = [{"part": problem.part, "message": problem.message} for problem in problems]
        print_json({"index": str(index_path), "problems": found})
    elif problems:
        for problem in problems:
            click.echo(f"{problem.part}: {problem.message}")
        click.echo(f"{len(problems)} problems. Mend them: nearfield repair --index {index_path}")
    else:
        click.echo(f"{index_path} is sound.")
    return FAILED if problems else 0
