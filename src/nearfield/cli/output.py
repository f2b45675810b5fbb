"""How results are shown: JSON for programs, a readable page for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from nearfield.core.schema import Node, NodeWithScore

SHOWN_CHARACTERS = 600


def print_json(value: object) -> None:
    """Print a value as one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def console(*, stderr: bool = False) -> Console:
    """Give a console that honours ``NO_COLOR`` and pipes."""
    # Imported here: rich costs more than the help is allowed to take.
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=stderr, highlight=False, soft_wrap=not _stream(stderr=stderr).isatty())


def place(node: Node) -> str:
    """Tell where a node stands: its document and its characters."""
    source = str(node.metadata.get("file_path") or node.document_id)
    return f"{source}:{node.start}-{node.end}"


def as_record(found: NodeWithScore, *, best: tuple[int, int] | None = None) -> dict[str, Any]:
    """Give a result as JSON-able facts.

    Args:
        found: The result.
        best: Where the best sentence stands in the node's text.
    """
    node = found.node
    record = {
        "score": round(found.score, 6),
        "document_id": node.document_id,
        "node_id": node.id,
        "start": node.start,
        "end": node.end,
        "text": node.text,
        "metadata": node.metadata,
    }
    if best is not None:
        record["best_sentence"] = node.text[best[0] : best[1]]
    return record


def print_results(found: Sequence[NodeWithScore], best: Sequence[tuple[int, int] | None]) -> None:
    """Show results to a person: score, place, text, the best sentence marked.

    Args:
        found: The results, best first.
        best: For each, where its best sentence stands in the node's text.
    """
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    for number, (result, span) in enumerate(zip(found, best, strict=True), 1):
        head = Text(f"{number}. ", style="bold")
        head.append(f"{result.score:.3f} ", style="cyan")
        head.append(place(result.node), style="bold")
        screen.print(head)
        screen.print(_excerpt(result.text, span))
        screen.print()


def _excerpt(text: str, span: tuple[int, int] | None) -> Text:
    """Give a text, cut around its best sentence, with the sentence marked."""
    from rich.text import Text  # noqa: PLC0415

    start, end = span or (0, 0)
    first = max(0, min(start - SHOWN_CHARACTERS // 3, len(text) - SHOWN_CHARACTERS))
    last = max(first + SHOWN_CHARACTERS, end)
    shown = Text()
    shown.append("... " if first else "")
    shown.append(text[first:start])
    # Marked by a sign as well, for pipes and for eyes that see no colour.
    if span:
        shown.append(">" + text[start:end] + "<", style="bold green")
    shown.append(text[max(end, first) : last])
    shown.append(" ..." if last < len(text) else "")
    return Text("   ").append_text(Text("\n   ").join(shown.split("\n")))


def _stream(*, stderr: bool) -> Any:
    return sys.stderr if stderr else sys.stdout
