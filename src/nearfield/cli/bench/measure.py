"""Rounds over the backends of a model, taken in turns, and the medians of them."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.cli.bench.candidates import REFERENCES
from nearfield.cli.bench.process import Worker, WorkerFailedError
from nearfield.cli.bench.workloads import PLANETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.cli.bench.candidates import Candidate

BATCHES = {"page": "query", "short": "query", "passages": "document", "mixed": "document"}
"""The workloads embedded in one call, and what their texts are."""


@dataclass(slots=True)
class Measured:
    """What was measured of a model on a backend; medians over the rounds.

    Attributes:
        model: The model as the user named it.
        backend: The backend.
        error: Why it did not run; all below is empty then.
        engine: What computes.
        dim: Numbers per vector.
        load_s: Seconds from nothing imported to the first vector.
        page_one_by_one: The page's equal questions, one call each: texts a second.
        texts_per_s: Texts a second in one call, by workload.
        tokens_per_s: Tokens a second likewise, those cut off not counted.
        query_p50_ms: One question: half of the calls took at most so long.
        query_p99_ms: One question: 99 of 100 calls took at most so long.
        peak_rss_bytes: The most memory its process held; ``None`` where not known.
        cosine_mean: Mean cosine to the reference's vectors; ``None`` for the reference.
        cosine_min: The worst text's.
        similarity: The question against each planet.
    """

    model: str
    backend: str
    error: str | None = None
    engine: str = ""
    dim: int = 0
    load_s: float = 0.0
    page_one_by_one: float = 0.0
    texts_per_s: dict[str, float] = field(default_factory=dict)
    tokens_per_s: dict[str, float] = field(default_factory=dict)
    query_p50_ms: float = 0.0
    query_p99_ms: float = 0.0
    peak_rss_bytes: int | None = None
    cosine_mean: float | None = None
    cosine_min: float | None = None
    similarity: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """A model's backends, measured side by side.

    Attributes:
        model: The model as the user named it.
        reference: The backend whose vectors the others were compared with, if there are two.
        backends: What was measured of each.
    """

    model: str
    reference: str | None
    backends: list[Measured]


def measure(
    candidates: Sequence[Candidate],
    texts: dict[str, list[str]],
    scratch: Path,
    *,
    rounds: int,
    advance: Callable[[], None],
) -> ModelResult:
    """Measure a model on its backends, in turns, each in a process of its own.

    Args:
        candidates: The model on each backend.
        texts: The texts of each workload.
        scratch: A folder to work in.
        rounds: How often.
        advance: Called after each backend's part of a round.

    Returns:
        What was measured; a backend that cannot run it has an error in place of figures.
    """
    file = scratch / "texts.json"
    file.write_text(json.dumps(texts), "utf-8")
    failed: list[Measured] = []
    found: list[Measured] = []
    vectors: dict[str, NDArray[np.float32]] = {}
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as stack:
        workers: list[Worker] = []
        for candidate in candidates:
            try:
                _make_graph_first(candidate, file)
                workers.append(stack.enter_context(Worker(candidate, file)))
            except WorkerFailedError as error:
                failed.append(Measured(candidate.model, candidate.backend, str(error)))
        for _ in range(rounds):
            for worker in list(workers):
                try:
                    samples[worker.candidate.backend].append(_round(worker))
                except WorkerFailedError as error:
                    workers.remove(worker)
                    failed.append(_failed(worker, error))
                advance()
        for worker in workers:
            backend = worker.candidate.backend
            try:
                vectors[backend] = _vectors(worker, scratch)
                found.append(_summary(worker, samples[backend], texts))
            except WorkerFailedError as error:
                failed.append(_failed(worker, error))
    reference = _compare(found, vectors)
    return ModelResult(candidates[0].model, reference, [*found, *failed])


def _make_graph_first(candidate: Candidate, file: Path) -> None:
    """Load a model without a graph once in vain: exporting it is no part of its loading."""
    if candidate.backend not in {"onnx", "openvino"}:
        return
    from nearfield.runtime.graph_files import pick_graph, wanted_files  # noqa: PLC0415
    from nearfield.runtime.hub import find_model  # noqa: PLC0415
    from nearfield.runtime.model_folder import read_folder  # noqa: PLC0415

    try:
        path = find_model(candidate.name, files=wanted_files(candidate.backend, None)).path
        there = pick_graph(read_folder(path), candidate.backend, None)
    except Exception as error:
        raise WorkerFailedError(" ".join(str(error).split())) from error
    if there is None:
        Worker(candidate, file).close()


def _round(worker: Worker) -> dict[str, Any]:
    """Have a worker do everything once."""
    return {
        "page_single": worker.ask("single", workload="page")["each"],
        "single": worker.ask("single", workload="single")["each"],
        **{
            name: worker.ask("batch", workload=name, input_type=kind)
            for name, kind in BATCHES.items()
        },
    }


def _summary(
    worker: Worker, samples: Sequence[dict[str, Any]], texts: dict[str, list[str]]
) -> Measured:
    seconds = {name: median(one[name]["seconds"] for one in samples) for name in BATCHES}
    each = np.concatenate([one["single"] for one in samples]) * 1000
    similarity = worker.ask("similarity")["similarity"]
    return Measured(
        worker.candidate.model,
        worker.candidate.backend,
        engine=worker.loaded["engine"],
        dim=worker.loaded["dim"],
        load_s=worker.loaded["load_s"],
        page_one_by_one=len(texts["page"]) / median(sum(one["page_single"]) for one in samples),
        texts_per_s={name: len(texts[name]) / taken for name, taken in seconds.items()},
        tokens_per_s={name: samples[0][name]["tokens"] / s for name, s in seconds.items()},
        query_p50_ms=float(np.percentile(each, 50)),
        query_p99_ms=float(np.percentile(each, 99)),
        peak_rss_bytes=worker.peak_rss_bytes,
        similarity=dict(zip(PLANETS, similarity, strict=True)),
    )


def _vectors(worker: Worker, scratch: Path) -> NDArray[np.float32]:
    path = scratch / f"{worker.candidate.backend}.npy"
    worker.ask("vectors", path=str(path))
    found: NDArray[np.float32] = np.load(path)
    return found


def _compare(found: Sequence[Measured], vectors: dict[str, NDArray[np.float32]]) -> str | None:
    """Compare all with the most exact, and name it."""
    reference = next((name for name in REFERENCES if name in vectors), None)
    if reference is None or len(vectors) == 1:
        return None
    for one in found:
        if one.backend != reference:
            cosines = np.einsum("ij,ij->i", vectors[one.backend], vectors[reference])
            one.cosine_mean, one.cosine_min = float(cosines.mean()), float(cosines.min())
    return reference


def _failed(worker: Worker, error: Exception) -> Measured:
    return Measured(worker.candidate.model, worker.candidate.backend, str(error))
