"""What ``nearfield index --dry-run`` says: documents, nodes, tokens, the price."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.output import print_json, printable

if TYPE_CHECKING:
    from nearfield.cli.place import Place
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.estimate import Estimate
    from nearfield.core.readers import SkippedFile
    from nearfield.remote.pricing import Price


def tell_estimate(
    found: Estimate,
    model: BaseEmbedding,
    skipped: list[SkippedFile],
    index_path: Place,
    *,
    as_json: bool,
) -> None:
    """Say what indexing would do.

    Args:
        found: What was found out.
        model: The model that would embed.
        skipped: Files that cannot be read.
        index_path: The index.
        as_json: Print JSON.
    """
    from nearfield.remote.embedding import RemoteEmbedding  # noqa: PLC0415
    from nearfield.remote.pricing import price  # noqa: PLC0415

    remote = isinstance(model, RemoteEmbedding)
    cost = price(model.model_name, found.tokens) if remote else None
    if as_json:
        facts: dict[str, Any] = asdict(found)
        facts["exact_tokens"] = facts.pop("exact")
        facts |= {
            "model": model.model_name,
            "dollars": cost.dollars if cost else None,
            "prices_of": cost.as_of if cost else None,
            "skipped": [{"file": one.path, "reason": one.reason} for one in skipped],
        }
        print_json({"index": str(index_path), "dry_run": True, **facts})
        return
    for one in skipped:
        click.echo(f"Would skip {printable(one.reason)}", err=True)
    changes = ", ".join(
        f"{getattr(found, name)} {name}" for name in ("added", "changed", "removed", "unchanged")
    )
    click.echo(f"{index_path} would have {changes} documents. Nothing was embedded or written.")
    counted = "" if found.exact else " (an estimate on the high side)"
    click.echo(
        f"{found.nodes:,} nodes, at most {found.tokens:,} tokens{counted} for {model.model_name}."
    )
    if remote:
        click.echo(_said(cost, model.model_name))


def _said(cost: Price | None, model_name: str) -> str:
    if cost is None:
        return f"The price table does not know {model_name}."
    return f"At most ${cost.dollars:.4f}, by the prices of {cost.as_of}."
