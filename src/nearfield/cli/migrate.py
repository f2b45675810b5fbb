"""``nearfield migrate``: an index re-embedded by another model, or given back its old vectors."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.opening import check_there
from nearfield.cli.options import DEFAULT_INDEX, json_option
from nearfield.cli.output import print_json
from nearfield.cli.place import Place, PlaceType

if TYPE_CHECKING:
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.migration import MigrationReport
    from nearfield.stores.sqlite import Migration


@click.command("migrate")
@click.argument(
    "index_path",
    metavar="[INDEX]",
    type=PlaceType(),
    default=DEFAULT_INDEX,
)
@click.option("--to", "target", metavar="MODEL", help="The new model, as for --model elsewhere.")
@click.option("--rollback", is_flag=True, help="Go back to the vectors of before the migration.")
@click.option("--forget", is_flag=True, help="Remove what is kept to go back, or to go on.")
@click.option("--shrink", is_flag=True, help="With --forget: give the room back; writers wait.")
@click.option(
    "--model",
    metavar="NAME",
    help="With --rollback: the former model, where the index cannot make it by itself.",
)
@json_option
def command(
    *,
    index_path: Place,
    target: str | None,
    rollback: bool,
    forget: bool,
    shrink: bool,
    model: str | None,
    as_json: bool,
) -> int:
    """Re-embed the stored texts of INDEX by another model, then switch to it at once.

    The index serves as before until then, and may be written. Stopped at any
    moment, the same command goes on from there; no text is paid for twice. The
    old vectors are kept in the index until --forget, for --rollback.
    """
    if (target is not None) + rollback + forget != 1:
        message = "Say one of --to MODEL, --rollback and --forget."
        raise click.UsageError(message)
    if model is not None and not rollback:
        message = "--model belongs to --rollback; name the new model by --to."
        raise click.UsageError(message)
    if shrink and not forget:
        message = "--shrink belongs to --forget."
        raise click.UsageError(message)
    if "://" in index_path.target:
        message = (
            f"{index_path}: only an index file migrates. Copy it into one, migrate that, and copy "
            "it to a new place: nearfield copy FROM TO."
        )
        raise click.UsageError(message)
    check_there(index_path)
    from nearfield.stores.sqlite import Migration  # noqa: PLC0415

    with Migration(index_path.target) as index:
        if forget:
            facts: dict[str, Any] = {"forgotten": index.forget()}
            if shrink:
                index.shrink()
            told = "Forgotten." if facts["forgotten"] else "There was nothing to forget."
        else:
            facts, told = _moved(index, target, model)
    if as_json:
        print_json({"index": str(index_path), **facts})
    else:
        click.echo(f"{index_path}: {told}")
    return 0


def _moved(index: Migration, target: str | None, former: str | None) -> tuple[dict[str, Any], str]:
    from nearfield.core.embeddings import resolve_embed_model  # noqa: PLC0415
    from nearfield.core.migration import migrate, roll_back  # noqa: PLC0415

    try:
        if target is None:
            model = None if former is None else resolve_embed_model(former)
            report = roll_back(index, model, show_progress=True)
        else:
            new: BaseEmbedding = resolve_embed_model(target)
            report = migrate(index, new, show_progress=True)
    except KeyboardInterrupt:
        click.echo("The index is as it was. Run the same command to go on from here.", err=True)
        raise
    facts = asdict(report)
    facts["seconds"] = round(report.seconds, 3)
    return facts, _told(report, back=target is None)


def _told(report: MigrationReport, *, back: bool) -> str:
    if not report.rounds and not back:
        return f"it is made by {report.model} already; nothing was done."
    way = "back " if back else ""
    moved = f"moved {way}from {report.former_model} to {report.model}"
    lines = [f"{moved}: {report.embedded} texts embedded in {report.seconds:.1f} s."]
    if report.long_nodes:
        lines.append(
            f"{report.long_nodes} nodes are longer than {report.model} reads: "
            f"{report.left_out_tokens} tokens are left out. Index the files anew to split them "
            "to its size."
        )
    if not back:
        lines.append("The old vectors are kept: --rollback goes back, --forget removes them.")
    return "\n".join(lines)
