"""``nearfield models``: what can embed."""

from __future__ import annotations

import click

from nearfield.cli.options import json_option
from nearfield.cli.output import console, print_json

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
        {"name": name, "write": EXAMPLES.get(name), "what": row.summary, "tested": row.tested}
        for name, row in EMBEDDINGS.items()
    ]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table  # noqa: PLC0415

    table = Table("--model", "what it is", "tested against", box=None, pad_edge=False)
    told = {"real": "the real thing", "loopback": "a stand-in on this machine", "no": "nothing"}
    for row in rows:
        written = row["write"] or "(from Python only)"
        table.add_row(str(written), str(row["what"]), told[str(row["tested"])])
    console().print(table)
