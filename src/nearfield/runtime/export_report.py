"""What an optimised or quantised graph costs and gains, measured; and the pull request for it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.backends import load_model
from nearfield.runtime.graph_files import files_of
from nearfield.runtime.hub import reason_of
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.options import Options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.graph_files import GraphBackend
    from nearfield.runtime.local_model import LocalModel

ROUNDS = 3
LEAST_TEXTS = 3


@dataclass(frozen=True, slots=True)
class GraphReport:
    """What a graph costs and gains against the float32 one.

    Attributes:
        path: The graph.
        cosine_mean: Mean cosine, text by text, −1 to 1.
        cosine_min: The worst text's.
        spearman: Rank correlation of all texts' mutual similarities, −1 to 1.
        speed: Texts per second over those of the float32 graph.
        size_bytes: Bytes of the graph and its weights.
        size: Those bytes over the float32 graph's.
    """

    path: Path
    cosine_mean: float
    cosine_min: float
    spearman: float
    speed: float
    size_bytes: int
    size: float


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A proposal on the hub.

    Attributes:
        url: Its page.
        revision: What to pass as ``revision``, such as ``"refs/pr/16"``; ``None`` for a
            commit made directly.
    """

    url: str
    revision: str | None


def measure_graphs(
    model: Path | str, backend: GraphBackend, graphs: Sequence[Path], texts: Sequence[str]
) -> list[GraphReport]:
    """Compare graphs with the first of them.

    Args:
        model: The model's folder.
        backend: ``"onnx"`` or ``"openvino"``.
        graphs: The float32 graph, then those to be compared with it.
        texts: At least three texts, like those to be embedded.

    Returns:
        A report for each graph, the first one's own included.

    Raises:
        ConfigError: There are too few texts.
        ModelLoadError: A graph cannot be run.
        MissingDependencyError: The backend's library is not installed.
    """
    if len(texts) < LEAST_TEXTS:
        message = f"Comparing graphs needs at least {LEAST_TEXTS} texts. Pass more."
        raise ConfigError(message)
    models = [_load(model, backend, graph) for graph in graphs]
    vectors = [found.embed(texts) for found in models]
    seconds = _seconds(models, texts)
    sizes = [sum(path.stat().st_size for path in files_of(graph)) for graph in graphs]
    reports = []
    for graph, found, taken, size in zip(graphs, vectors, seconds, sizes, strict=True):
        cosines = np.einsum("ij,ij->i", found, vectors[0])
        reports.append(
            GraphReport(
                path=graph,
                cosine_mean=float(cosines.mean()),
                cosine_min=float(cosines.min()),
                spearman=spearman(mutual_similarities(vectors[0]), mutual_similarities(found)),
                speed=seconds[0] / taken,
                size_bytes=size,
                size=size / sizes[0],
            )
        )
    return reports


def push_graphs(
    repo: str,
    backend: GraphBackend,
    graphs: Sequence[Path],
    *,
    create_pr: bool = True,
    token: str | bool | None = None,
    description: str = "",
) -> PullRequest:
    """Put graphs into a repository on the hub.

    Args:
        repo: Its name, such as ``"BAAI/bge-small-en-v1.5"``.
        backend: ``"onnx"`` or ``"openvino"``: the folder they go to.
        graphs: The graphs; their weights go along.
        create_pr: Propose them as a pull request, in place of a commit to the main branch.
        token: As huggingface_hub takes it.
        description: What is said in the pull request.

    Returns:
        The pull request.

    Raises:
        ModelLoadError: The hub refused, or could not be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415 - slow to import

    files = [path for graph in graphs for path in files_of(graph)]
    names = ", ".join(graph.name for graph in graphs)
    before = sys.exception()
    try:
        made = HfApi(token=token).create_commit(
            repo,
            [CommitOperationAdd(f"{backend}/{path.name}", str(path)) for path in files],
            commit_message=f"Add {backend} files: {names}",
            commit_description=description,
            create_pr=create_pr,
        )
    except Exception as error:  # its transport's own errors differ between releases
        reason = reason_of(error, before=before).rstrip(".")
        message = f"The hub did not take {names} for {repo!r}: {reason}. Check name and HF_TOKEN."
        raise ModelLoadError(message) from error
    if not create_pr:
        return PullRequest(str(made.commit_url), None)
    return PullRequest(str(made.pr_url), f"refs/pr/{made.pr_num}")


def spearman(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Give Spearman's rank correlation, equal values sharing their mean rank.

    Args:
        left: ``(n,)`` numbers, ``n`` at least 2.
        right: ``(n,)`` numbers.

    Returns:
        −1 to 1; 0 when all of one side are equal.
    """
    a, b = (ranks - ranks.mean() for ranks in (_ranks(left), _ranks(right)))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale else 0.0


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks


def mutual_similarities(vectors: Vectors) -> NDArray[np.float32]:
    """Give the dot product of every vector with every later one, as ``(n (n − 1) / 2,)``."""
    rows, columns = np.triu_indices(len(vectors), 1)
    found: NDArray[np.float32] = (vectors @ vectors.T)[rows, columns]
    return found


def _seconds(models: Sequence[LocalModel], texts: Sequence[str]) -> list[float]:
    """The best time of each model, taken in turns, so that a busy moment hits all alike."""
    best = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for number, found in enumerate(models):
            started = time.perf_counter()
            found.embed(texts)
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def _load(model: Path | str, backend: GraphBackend, graph: Path) -> LocalModel:
    folder = read_folder(model)
    options = Options(backend=backend, on_truncation="ignore")
    return load_model(str(model), folder, backend, options, graph=graph)
