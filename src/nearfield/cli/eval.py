"""``nearfield eval``: how well an index answers questions whose answers are known."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield.cli.opening import open_to_read
from nearfield.cli.options import index_option, json_option, model_option, rerank_option
from nearfield.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nearfield.cli.place import Place
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.rerank import Reranker
    from nearfield.core.retriever import Retriever
    from nearfield.core.schema import NodeWithScore

MODES = ("vector", "text", "hybrid")
DEPTH = 100
DEEPER = 4
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("eval")
@click.option(
    "--queries",
    "queries_path",
    type=FILE,
    required=True,
    help="JSON lines with 'id' and 'text', one question a line.",
)
@click.option(
    "--qrels",
    "qrels_path",
    type=FILE,
    required=True,
    help="Lines 'question<TAB>document<TAB>gain', a header line allowed; or TREC's four columns.",
)
@click.option(
    "--mode", "modes", multiple=True, type=click.Choice(MODES), help="Which modes; all by default."
)
@click.option(
    "--id-key",
    metavar="NAME",
    help="The metadata field that holds the judged id; the document's own id by default.",
)
@index_option
@model_option
@rerank_option
@json_option
def command(
    *,
    queries_path: Path,
    qrels_path: Path,
    modes: tuple[str, ...],
    id_key: str | None,
    index_path: Place,
    model: str | None,
    rerank: str | None,
    as_json: bool,
) -> int:
    """Score the rankings of an index: nDCG@10, Recall@100 and MRR@10, per mode.

    Documents are ranked by their best node. Questions without a relevant
    document are left out. With --rerank all 100 ranked passages of a question are read.
    """
    from nearfield.core.evaluation import evaluate  # noqa: PLC0415
    from nearfield.core.rerank import resolve_reranker  # noqa: PLC0415

    questions, judgements = _questions(queries_path), _judgements(qrels_path)
    asked = {name: text for name, text in questions.items() if name in judgements}
    reranker = None if rerank is None else resolve_reranker(rerank)
    with open_to_read(index_path, model) as index:
        rankings = {
            mode: _rankings(index, asked, mode, id_key, reranker) for mode in modes or MODES
        }
        name = index.embed_model.model_name
    _refuse_strange_ids(rankings.values(), judgements)
    scores = {mode: asdict(evaluate(each, judgements)) for mode, each in rankings.items()}
    if as_json:
        print_json({"index": str(index_path), "model": name, "rerank": rerank, "scores": scores})
        return 0
    from rich.table import Table  # noqa: PLC0415

    table = Table("mode", "questions", "nDCG@10", "Recall@100", "MRR@10", box=None, pad_edge=False)
    for mode, row in scores.items():
        figures = (row["ndcg_at_10"], row["recall_at_100"], row["mrr_at_10"])
        table.add_row(mode, str(row["questions"]), *(f"{figure:.4f}" for figure in figures))
    and_reranked = f", reranked by {rerank}" if rerank else ""
    console().print(f"{index_path} by {name}{and_reranked}", markup=False)
    console().print(table)
    return 0


def _rankings(
    index: VectorStoreIndex,
    questions: Mapping[str, str],
    mode: str,
    id_key: str | None,
    reranker: Reranker | None,
) -> dict[str, list[str]]:
    def retriever(depth: int) -> Retriever:
        return index.as_retriever(depth, mode=mode, nodes_per_document=1, rerank=reranker)

    answers = retriever(DEPTH).retrieve_many(list(questions.values()))
    rankings = {}
    for (name, text), answer in zip(questions.items(), answers, strict=True):
        found, depth, ranking = answer, DEPTH, _judged_ids(answer, id_key)
        # Many documents, such as the pages of a file, may carry one judged id.
        while len(ranking) < DEPTH and len(found) == depth and reranker is None:
            depth *= DEEPER
            found = retriever(depth).retrieve(text)
            ranking = _judged_ids(found, id_key)
        rankings[name] = ranking
    return rankings


def _judged_ids(found: Sequence[NodeWithScore], id_key: str | None) -> list[str]:
    """Give the ids that are judged, each at its best rank."""
    names = [str(one.metadata.get(id_key)) if id_key else one.node.document_id for one in found]
    return list(dict.fromkeys(names))


def _refuse_strange_ids(
    rankings: Iterable[Mapping[str, Sequence[str]]], judgements: Mapping[str, Mapping[str, float]]
) -> None:
    """Tell scores of 0 from ids that mean something else in the two files."""
    found = {name for each in rankings for names in each.values() for name in names}
    judged = {name for gains in judgements.values() for name in gains}
    if found and judged and found.isdisjoint(judged):
        message = (
            f"Nothing that was found is judged: the index has ids such as {min(found)!r}, the "
            f"judgements such as {min(judged)!r}. With --id-key NAME the judged id is taken from "
            "a field of the metadata (see nearfield search --json)."
        )
        raise click.ClickException(message)


def _questions(path: Path) -> dict[str, str]:
    questions = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry: Any = json.loads(line)
            questions[str(entry["id"])] = str(entry["text"])
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path}, line {number}: expected a JSON object with 'id' and 'text'."
            raise click.ClickException(message) from error
    return questions


def _judgements(path: Path) -> dict[str, dict[str, float]]:
    judgements: dict[str, dict[str, float]] = {}
    for number, (question, document, gain) in _judged(path):
        try:
            judgements.setdefault(question, {})[document] = float(gain)
        except ValueError as error:
            if number == 1:  # the header line
                judgements.clear()
                continue
            message = f"{path}, line {number}: {gain!r} is not a number."
            raise click.ClickException(message) from error
    return judgements


def _judged(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    for number, line in enumerate(_lines(path), 1):
        fields = next(csv.reader([line], delimiter="\t")) if "\t" in line else line.split()
        if len(fields) == 4:  # noqa: PLR2004 - TREC: question, iteration, document, gain
            fields = [fields[0], *fields[2:]]
        if not fields:
            continue
        if len(fields) != 3:  # noqa: PLR2004
            message = f"{path}, line {number}: expected question, document and gain."
            raise click.ClickException(message)
        yield number, fields


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8. Convert it first."
        raise click.ClickException(message) from error
