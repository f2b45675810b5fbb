"""``nearfield models``: what can embed."""

from __future__ import annotations

import click

from nearfield.cli.options import json_option
from nearfield.cli.output import print_json

EXAMPLES = {
    "bundled": "bundled",
    "local": "local:BAAI/bge-small-en-v1.5",
    "static": "static:minishlab/potion-base-8M",
    "openai": "openai:text-embedding-3-small",
    "azure": "azure:my-deployment",
    "openai-like": "openai-like:my-model",
    "instructor": "instructor:hkunlp/instructor-base",
}


@click.command("models", help="List what can embed, and how each is named for --model.")
@json_option
def command(*, as_json: bool) -> None:
    """List the registered providers."""
    from nearfield.core.registry import EMBEDDINGS  # noqa: PLC0415

    rows = [
        {
            "name": name,
            "write": EXAMPLES.get(name, ""),
            "what": row.summary,
            "tested": row.tested,
        }
        for name, row in EMBEDDINGS.items()
    ]
    if as_json:
        print_json(rows)
        return
    told = {"real": "the real thing", "loopback": "a stand-in on this machine", "no": "nothing"}
    shown = [
        (row["write"] or "(from Python only)", row["what"], f"tested against {told[row['tested']]}")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in shown) for column in range(2)]
    for written, what, tested in shown:
        click.echo(f"{written:<{widths[0]}}  {what:<{widths[1]}}  {tested}")
