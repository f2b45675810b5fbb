"""Retrieval quality on a judged collection: nearfield, and sentence-transformers beside it.

    python -m benchmarks.retrieval DATA_FOLDER                      # the bundled model
    python -m benchmarks.retrieval DATA_FOLDER --model FOLDER       # any local model
    python -m benchmarks.retrieval DATA_FOLDER --model FOLDER --int8 # and its 8-bit products
    python -m benchmarks.retrieval DATA_FOLDER --model static:TABLE # a word table
    python -m benchmarks.retrieval DATA_FOLDER --reference FOLDER   # and torch float32 beside it

DATA_FOLDER holds docs.jsonl (id, text), queries.jsonl (id, text) and qrels.tsv (question,
document, gain; one header line). Every document is one text, compared by cosine.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.core.evaluation import RetrievalScores, evaluate
from nearfield.core.vectors import similarity, top_k

if TYPE_CHECKING:
    from nearfield.core.vectors import Vectors

DEPTH = 100


@dataclass(frozen=True)
class Retrieval:
    """A judged collection.

    Attributes:
        documents: Text by document id.
        questions: Text by question id.
        judgements: For each question id, the gain of each judged document id.
    """

    documents: dict[str, str]
    questions: dict[str, str]
    judgements: dict[str, dict[str, float]]

    @property
    def document_texts(self) -> list[str]:
        """The documents' texts, in order."""
        return list(self.documents.values())

    @property
    def question_texts(self) -> list[str]:
        """The questions' texts, in order."""
        return list(self.questions.values())

    def score(self, document_vectors: Vectors, question_vectors: Vectors) -> RetrievalScores:
        """Rank every document for every question by cosine and score the rankings.

        Args:
            document_vectors: ``(documents, dim)`` float32.
            question_vectors: ``(questions, dim)`` float32.

        Returns:
            The mean scores.
        """
        names = list(self.documents)
        best = top_k(similarity(question_vectors, document_vectors), min(DEPTH, len(names)))
        rankings = {
            question: [names[place] for place in places]
            for question, places in zip(self.questions, best, strict=True)
        }
        return evaluate(rankings, self.judgements)


def read_retrieval(folder: Path) -> Retrieval:
    """Read a judged collection from its three files."""
    judgements: dict[str, dict[str, float]] = {}
    lines = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        question, document, gain = line.split("\t")
        judgements.setdefault(question, {})[document] = float(gain)
    return Retrieval(_texts(folder / "docs.jsonl"), _texts(folder / "queries.jsonl"), judgements)


def _texts(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    return {str(entry["id"]): entry["text"] for entry in entries}


def measure_nearfield(model: object, data: Retrieval) -> dict[str, Any]:
    """Score a nearfield model, as it would be used: questions and documents each their own way."""
    embedding = resolve_embed_model(model)
    embedding.on_truncation = "ignore"
    started = time.perf_counter()
    documents = embedding.encode(data.document_texts)
    questions = embedding.encode(data.question_texts, input_type="query")
    elapsed = time.perf_counter() - started
    return {
        "model": repr(embedding),
        "seconds": elapsed,
        **asdict(data.score(documents, questions)),
    }


def measure_reference(folder: str, data: Retrieval) -> dict[str, Any]:
    """Score sentence-transformers on torch in float32."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu", backend="torch")
    started = time.perf_counter()
    documents = model.encode_document(data.document_texts, show_progress_bar=False)
    questions = model.encode_query(data.question_texts, show_progress_bar=False)
    elapsed = time.perf_counter() - started
    scores = data.score(np.asarray(documents), np.asarray(questions))
    return {"model": "sentence-transformers, torch", "seconds": elapsed, **asdict(scores)}


def main() -> None:
    """Print one line per model, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--model", default=None, help="a folder or name; the bundled model if left out"
    )
    parser.add_argument("--int8", action="store_true", help="also with products of 8 bits")
    parser.add_argument("--reference", help="a folder that sentence-transformers loads")
    parser.add_argument("--json", type=Path, help="also write the results here")
    arguments = parser.parse_args()
    data = read_retrieval(arguments.data)
    model = arguments.model
    if model and not model.startswith("static:"):
        model = f"local:{model}"
    results = [measure_nearfield(model, data)]
    if arguments.int8:
        from nearfield.embeddings.huggingface import HuggingFaceEmbedding

        rounded = HuggingFaceEmbedding(arguments.model, model_kwargs={"dtype": "int8"})
        results.append(measure_nearfield(rounded, data))
    if arguments.reference:
        results.append(measure_reference(arguments.reference, data))
    print(f"{len(data.documents)} documents, {results[0]['questions']} questions")
    for result in results:
        print(
            "nDCG@10 {ndcg_at_10:.4f}  Recall@100 {recall_at_100:.4f}  MRR@10 {mrr_at_10:.4f}"
            "  {seconds:.1f} s  {model}".format_map(result)
        )
    if len(results) > 1:
        print(f"difference in nDCG@10: {results[0]['ndcg_at_10'] - results[1]['ndcg_at_10']:+.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
