"""``nearfield info``: what an index holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.opening import open_alone
from nearfield.cli.options import index_option, json_option
from nearfield.cli.output import console, print_json

if TYPE_CHECKING:
    from nearfield.cli.place import Place
    from nearfield.core.store import StoreInfo


@click.command("info")
@index_option
@json_option
def command(*, index_path: Place, as_json: bool) -> int:
    """Show what an index holds: documents, nodes, model, size, what was cut."""
    with open_alone(index_path) as store:
        facts = _facts(store.info())
    if as_json:
        print_json(facts)
        return 0
    screen = console()
    width = max(map(len, facts))
    for name, value in facts.items():
        screen.print(f"{name:<{width}}  {value}", markup=False)
    return 0


def _facts(info: StoreInfo) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "path": info.path,
        "documents": info.documents,
        "nodes": info.nodes,
        "size_bytes": info.size_bytes,
        "changed": None,
    }
    if info.changed_at is not None:
        facts["changed"] = datetime.fromtimestamp(info.changed_at, UTC).isoformat("T", "seconds")
    if info.header is not None:
        facts |= {
            "model": info.header.model_name,
            "fingerprint": info.header.fingerprint,
            "dim": info.header.dim,
            "metric": info.header.metric.value,
            **info.header.facts,
        }
    return facts
