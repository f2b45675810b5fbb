"""``nearfield cache``: the vectors kept between calls to remote models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nearfield.cli.options import json_option
from nearfield.cli.output import print_json

if TYPE_CHECKING:
    from nearfield.core.cache import EmbeddingCache


@click.group("cache")
def command() -> None:
    """Show or clear the embedding cache."""


@command.command("info")
@json_option
def info(*, as_json: bool) -> int:
    """Show where the cache is and what it holds."""
    facts = _cache().info()
    if as_json:
        print_json(
            {
                "path": str(facts.path),
                "vectors": facts.vectors,
                "size_bytes": facts.size_bytes,
                "max_bytes": facts.max_bytes,
            }
        )
        return 0
    click.echo(f"{facts.path}: {facts.vectors} vectors, {facts.size_bytes / 1e6:.1f} MB")
    click.echo(f"The least recently used go above {facts.max_bytes / 1e6:.0f} MB.")
    return 0


@command.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(*, yes: bool) -> int:
    """Forget everything; it is computed, and where remote paid for, again."""
    question = "Forget all cached vectors? Remote ones are paid for again."
    if not yes and not click.confirm(question):
        click.echo("Nothing was forgotten.")
        return 0
    click.echo(f"{_cache().clear()} vectors forgotten.")
    return 0


def _cache() -> EmbeddingCache:
    from nearfield.remote.default_cache import DefaultCache  # noqa: PLC0415

    return DefaultCache()
