"""How results are shown: JSON for programs, a readable page for people."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

    from nearfield.cli.place import Place
    from nearfield.core.schema import Node, NodeWithScore

SHOWN_CHARACTERS = 600

# Control characters but for tab and line end, C1 and the marks that turn the direction of text.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def print_json(value: object) -> None:
    """Print a value as one JSON document, spelt out where the output is not UTF-8."""
    plain = not str(sys.stdout.encoding).lower().startswith("utf")
    click.echo(json.dumps(value, ensure_ascii=plain, indent=2, default=str))


def console(*, stderr: bool = False) -> Console:
    """Give a console that honours ``NO_COLOR``, pipes, and readers that go away."""
    # Imported here: rich costs more than the help is allowed to take.
    from rich.console import Console  # noqa: PLC0415

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - called where the error is handled; rich would end with code 1

    return Screen(stderr=stderr, highlight=False, soft_wrap=not _stream(stderr=stderr).isatty())


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table of text: the first column to the left, all others to the right.

    Args:
        rows: The cells, as many in each row; the heads first.

    Returns:
        Lines without a line end after the last.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if number else f"{cell:<{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def place(node: Node, index_path: Place) -> str:
    """Tell where a node stands: its file, seen from here, and its characters.

    Args:
        node: The node.
        index_path: The index; ids of files are relative to its folder.
    """
    part = node.metadata.get("part")
    number = "" if part is None else f"#{part}"
    file = index_path.home / node.document_id.removesuffix(number)
    source = node.document_id
    if _is_there(file):
        source = os.path.relpath(file) + number
    return f"{printable(source)}:{node.start}-{node.end}"


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # ids of documents that are no files may be longer than names of files are
        return False


def printable(text: str) -> str:
    """Give a text without characters that would steer a terminal.

    Args:
        text: Any text; lines and tabs stay.
    """
    return _STEERING.sub("\ufffd", text)


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


def print_results(
    found: Sequence[NodeWithScore], best: Sequence[tuple[int, int] | None], index_path: Place
) -> None:
    """Show results to a person: score, place, text, the best sentence marked.

    Args:
        found: The results, best first.
        best: For each, where its best sentence stands in the node's text.
        index_path: The index they are from.
    """
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    for number, (result, span) in enumerate(zip(found, best, strict=True), 1):
        head = Text(f"{number}. ", style="bold")
        head.append(f"{result.score:.3f} ", style="cyan")
        head.append(place(result.node, index_path), style="bold")
        screen.print(head)
        screen.print(_excerpt(printable(result.text), span))
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
