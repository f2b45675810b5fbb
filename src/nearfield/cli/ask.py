"""``nearfield ask``: an answer with its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nearfield.cli.opening import open_to_read
from nearfield.cli.options import (
    index_option,
    json_option,
    mode_option,
    model_option,
    rerank_option,
    top_k_option,
)
from nearfield.cli.output import as_record, console, place, print_json, printable

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("ask")
@click.argument("question")
@index_option
@top_k_option
@mode_option
@model_option
@rerank_option
@json_option
def command(
    *,
    question: str,
    index_path: Place,
    top_k: int,
    mode: str,
    model: str | None,
    rerank: str | None,
    as_json: bool,
) -> int:
    """Answer QUESTION with the sentences that come nearest to it, and name their sources."""
    with open_to_read(index_path, model) as index:
        response = index.as_query_engine(similarity_top_k=top_k, mode=mode, rerank=rerank).query(
            question
        )
    if as_json:
        sources = [as_record(found) for found in response.source_nodes]
        print_json(
            {
                "question": question,
                "answer": response.response,
                "metadata": response.metadata,
                "sources": sources,
            }
        )
        return 0
    screen = console()
    screen.print(printable(response.response), markup=False)
    if response.source_nodes:
        screen.print()
        kind = response.metadata.get("mode")
        screen.print(f"Sources ({kind} answer):", style="bold")
    for number, found in enumerate(response.source_nodes, 1):
        screen.print(f"[{number}] {found.score:.3f} {place(found.node, index_path)}", markup=False)
    return 0
