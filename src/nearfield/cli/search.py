"""``nearfield search``: the passages nearest to a question."""

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
from nearfield.cli.output import as_record, print_json, print_results

if TYPE_CHECKING:
    from nearfield.cli.place import Place


@click.command("search")
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
    """Find the passages nearest to QUESTION; the best sentence of each stands between > and <."""
    with open_to_read(index_path, model) as index:
        from nearfield.core.extractive import best_spans  # noqa: PLC0415

        retriever = index.as_retriever(similarity_top_k=top_k, mode=mode, rerank=rerank)
        answer = retriever.search([question])[0]
        # Sentences are compared by the model: where that costs money, none is marked.
        spans = (
            [None] * len(answer.nodes)
            if retriever.embed_model.is_remote
            else best_spans(retriever.embed_model, question, answer.nodes)
        )
    if as_json:
        results = [as_record(n, best=span) for n, span in zip(answer.nodes, spans, strict=True)]
        print_json({"question": question, "engine": answer.engine, "results": results})
    elif answer.nodes:
        print_results(answer.nodes, spans, index_path)
    else:
        click.echo("Nothing found.", err=True)
    return 0
