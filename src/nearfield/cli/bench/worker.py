"""One model on one backend, in a process of its own: told what to do by lines of JSON.

    python -m nearfield.cli.bench.worker PROVIDER BACKEND NAME TEXTS_JSON

It loads, embeds one text and answers; then each line on standard input is a
command and gets one line back.

``{"do": "batch", "workload": "short"}``   one call for all texts, timed
``{"do": "single", "workload": "page"}``   one call a text, each timed
``{"do": "vectors", "path": "x.npy"}``     the vectors of the texts to compare
``{"do": "similarity"}``                   the question against the four planets

It ends with its input, whatever it is doing then: nobody is left to hear the answer.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TextIO

from nearfield.cli.bench.workloads import PLANETS, QUESTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nearfield.core.embeddings.base import InputType
    from nearfield.runtime.local_embedding import LocalEmbedding

WARM_TEXTS = 8


def load(provider: str, backend: str, name: str) -> LocalEmbedding:
    """Load a model; texts it cannot read whole are cut and not spoken of.

    Args:
        provider: ``"bundled"``, ``"local"`` or ``"static"``.
        backend: The backend, for ``"local"``, with its number type: ``"native-int8"``.
        name: The model's folder or name.
    """
    # Each import here, for its time belongs to the loading.
    if provider == "bundled":
        from nearfield.embeddings.bundled import BundledEmbedding  # noqa: PLC0415

        return BundledEmbedding(on_truncation="ignore")
    if provider == "static":
        from nearfield.embeddings.static import StaticEmbedding  # noqa: PLC0415

        return StaticEmbedding(name, on_truncation="ignore")
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding  # noqa: PLC0415

    backend, _, dtype = backend.partition("-")
    options = {"dtype": dtype} if dtype else {}
    return HuggingFaceEmbedding(name, backend=backend, model_kwargs=options, on_truncation="ignore")


def answer(
    model: LocalEmbedding, command: dict[str, Any], texts: dict[str, list[str]]
) -> dict[str, Any]:
    """Do what a command says.

    Args:
        model: The model.
        command: The command.
        texts: The texts of each workload.

    Returns:
        What was measured.
    """
    match command["do"]:
        case "batch":
            return _batch(model, texts[command["workload"]], command["input_type"])
        case "single":
            return _single(model, texts[command["workload"]])
        case "vectors":
            import numpy as np  # noqa: PLC0415

            vectors = model.encode(texts["compared"])
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            np.save(command["path"], vectors / np.maximum(lengths, np.finfo(np.float32).tiny))
            return {}
        case _:
            return {"similarity": _similarity(model)}


def _batch(model: LocalEmbedding, texts: list[str], input_type: InputType) -> dict[str, Any]:
    # Below the plan: encode() computes equal texts once, which would say nothing of 512 equal ones.
    from nearfield.core.report import EmbeddingReport, reporting  # noqa: PLC0415

    model._encode(texts[:WARM_TEXTS], input_type)  # noqa: SLF001 - see above
    with reporting(EmbeddingReport()) as report:
        started = time.perf_counter()
        model._encode(texts, input_type)  # noqa: SLF001
        taken = time.perf_counter() - started
    return {"seconds": taken, "tokens": report.tokens}


def _single(model: LocalEmbedding, texts: list[str]) -> dict[str, Any]:
    for text in texts[:WARM_TEXTS]:
        model.get_query_embedding(text)
    each = []
    for text in texts:
        started = time.perf_counter()
        model.get_query_embedding(text)
        each.append(time.perf_counter() - started)
    return {"each": each}


def _similarity(model: LocalEmbedding) -> list[float]:
    from nearfield.core.vectors import similarity  # noqa: PLC0415

    question = model.encode([QUESTION], input_type="query")
    planets = model.encode(list(PLANETS.values()))
    scores: list[float] = similarity(question, planets, model.similarity_mode)[0].tolist()
    return scores


def peak_rss_bytes() -> int | None:
    """Give the most memory this process has held; ``None`` where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss on Linux: a process inherits that of its parent
        return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) * 1024
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(words: list[str], commands: Iterable[str], out: TextIO) -> None:
    """Load a model, then answer commands.

    Args:
        words: Provider, backend, name and the file of texts.
        commands: A line each.
        out: Where answers go.
    """
    provider, backend, name, path = words
    texts = json.loads(Path(path).read_text("utf-8"))
    try:
        started = time.perf_counter()
        model = load(provider, backend, name)
        model.get_query_embedding(QUESTION)
        taken = time.perf_counter() - started
        _say(out, {"load_s": taken, "engine": model._runner.engine.name, "dim": model.dim})  # noqa: SLF001
        for line in commands:
            _say(out, answer(model, json.loads(line), texts))
    except Exception as error:  # noqa: BLE001 - whatever it is, the row of this backend says it
        _say(out, {"error": " ".join(str(error).split()) or type(error).__name__})


def _say(out: TextIO, found: dict[str, Any]) -> None:
    out.write(json.dumps({**found, "peak_rss_bytes": peak_rss_bytes()}) + "\n")
    out.flush()


def _listen(commands: SimpleQueue[str]) -> None:
    """Pass on what comes in; end the process when no more can come."""
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)


def main() -> None:
    """Serve, with what libraries print kept out of the answers."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    commands: SimpleQueue[str] = SimpleQueue()
    Thread(target=_listen, args=(commands,), daemon=True).start()
    try:
        serve(sys.argv[1:], iter(commands.get, None), out)
    finally:
        os._exit(1)  # an orderly end would wait for what the other thread reads


if __name__ == "__main__":
    main()
