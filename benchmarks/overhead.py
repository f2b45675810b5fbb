"""What the classes around the engine cost: `model.encode(texts)` over tokenizer and engine alone.

    python -m benchmarks.overhead                 # the bundled model
    python -m benchmarks.overhead FOLDER --rounds 21

Both are called in turns on the same different texts, which of them first changes from round to
round. The figure is the median of the rounds' ratios, by wall time and by CPU time, which other
work on the machine disturbs less. Vectors of both are compared first: they must be the same bits.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine, source_revision
from nearfield.cli.bench.workloads import Counts, make_workloads
from nearfield.embeddings.bundled import BundledEmbedding
from nearfield.embeddings.huggingface import HuggingFaceEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WORKLOADS = {"short": 512, "passages": 96, "mixed": 96}
WARM_TEXTS = 16


def main() -> None:
    """Measure and print; write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", help="a folder; the bundled model by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="the result, JSON")
    arguments = parser.parse_args()
    model: Any = (
        HuggingFaceEmbedding(arguments.model, on_truncation="ignore")
        if arguments.model
        else BundledEmbedding(on_truncation="ignore")
    )
    runner = model._runner  # noqa: SLF001 - what is measured lies inside
    prompt = model.applied_prompts.document

    def bare(texts: Sequence[str]) -> Any:
        tokens = runner.tokenizer.encode(texts, prompt)
        skip = runner.tokenizer.prompt_tokens(prompt)
        return runner.engine.encode(tokens.ids, prompt_tokens=skip)

    made = make_workloads(Counts(**WORKLOADS))
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "nearfield": source_revision(),
        "machine": describe_machine(),
        "model": repr(model),
        "rounds": arguments.rounds,
        "ratios": {
            name: compare(model.encode, bare, made[name], arguments.rounds) for name in WORKLOADS
        },
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("| texts | encode over the bare engine, wall | CPU |\n| --- | ---: | ---: |")
    for name, ratios in result["ratios"].items():
        wall, cpu = (median(ratios[key]) for key in ("wall", "cpu"))
        print(f"| {len(made[name])} {name} | {wall:.4f} | {cpu:.4f} |")


def compare(
    ours: Callable[[Sequence[str]], Any],
    bare: Callable[[Sequence[str]], Any],
    texts: Sequence[str],
    rounds: int,
) -> dict[str, list[float]]:
    """Give the time of the one over that of the other, by round."""
    for call in (ours, bare):
        call(texts[:WARM_TEXTS])
    if not np.array_equal(ours(texts), bare(texts)):
        message = "encode() and the bare engine give different vectors"
        raise SystemExit(message)
    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    for number in range(rounds):
        pair = (ours, bare) if number % 2 else (bare, ours)
        taken = {call: _times(call, texts) for call in pair}
        for key, mine, theirs in zip(ratios, taken[ours], taken[bare], strict=True):
            ratios[key].append(mine / theirs)
    return ratios


def _times(call: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call(texts)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
