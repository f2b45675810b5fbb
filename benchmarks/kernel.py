"""How fast the native engine runs by itself, and how near it comes to what the processor can.

    python -m benchmarks.kernel FOLDER [--tokens 128] [--rounds 9] [--json FILE]

No tokenizer and no peers: random token ids through a model folder's encoder, on every kernel
set this processor has. One thread, CPU time, the best of all rounds: other work on the machine
disturbs that least. Beside it the same thread's float32 matrix product in numpy, the usual
yardstick: an engine of float32 products cannot pass 100 % of it.
"""

from __future__ import annotations

import os

# Before numpy is imported: its matrix products would take all cores.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine, source_revision
from nearfield.runtime.architectures import read_encoder
from nearfield.runtime.native import Head, NativeEngine, instruction_sets, select_isa
from nearfield.runtime.safetensors import SafetensorsFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearfield.runtime.encoder import Encoder

PRODUCT = (1024, 384, 1536)  # rows, inputs, outputs: the shape of an encoder's products
SHORT = 11  # tokens of a question


def main() -> None:
    """Measure and print; write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="with config.json and model.safetensors")
    parser.add_argument("--tokens", type=int, default=128, help="of each text")
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tensors = SafetensorsFile(options.folder / "model.safetensors")
    config = json.loads((options.folder / "config.json").read_text())
    encoder = read_encoder(config, tensors, release=tensors.release)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "revision": source_revision(),
        "model": options.folder.name,
        "tokens": options.tokens,
        "load_s": best(lambda: NativeEngine(encoder, Head(), threads=1), 3),
        "float32_gflops": float32_rate(options.rounds),
        "kernels": [
            measure(encoder, isa, (options.texts, options.tokens), options.rounds)
            for isa in instruction_sets()
        ],
    }
    print(f"float32 products in numpy: {result['float32_gflops']:.0f} GFLOP/s")
    print(f"loading and packing: {result['load_s'] * 1e3:.0f} ms of CPU")
    for row in result["kernels"]:
        share = row["gflops"] / result["float32_gflops"]
        print(
            f"{row['kernels']:12s} {row['tokens_per_s']:9.0f} tokens/s"
            f" {row['gflops']:6.0f} GFLOP/s ({share:.0%} of float32)"
            f"   {SHORT} tokens: {row['short_ms']:.2f} ms"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def measure(encoder: Encoder, isa: str, shape: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time one kernel set on many texts and on one short one."""
    select_isa(isa)
    engine = NativeEngine(encoder, Head(), threads=1)
    texts, tokens = shape
    ids = np.random.default_rng(0).integers(5, encoder.vocabulary, shape).tolist()
    short = [ids[0][:SHORT]]
    rate = texts * tokens / best(lambda: engine.encode(ids), rounds)
    return {
        "kernels": isa,
        "tokens_per_s": rate,
        "gflops": rate * flops_per_token(encoder, tokens) / 1e9,
        "short_ms": best(lambda: engine.encode(short), 5 * rounds) * 1e3,
    }


def flops_per_token(encoder: Encoder, tokens: int) -> int:
    """Count multiplications and additions of matrices and attention for each token."""
    matrices = 2 * encoder.hidden * (4 * encoder.hidden + 2 * encoder.intermediate)
    return len(encoder.layers) * (matrices + 4 * tokens * encoder.hidden)


def float32_rate(rounds: int) -> float:
    """Measure numpy's matrix product on one thread, in GFLOP/s."""
    rows, inputs, outputs = PRODUCT
    rng = np.random.default_rng(0)
    a = rng.random((rows, inputs), np.float32)
    b = rng.random((inputs, outputs), np.float32)
    return 2 * rows * inputs * outputs / best(lambda: a @ b, 5 * rounds) / 1e9


def best(work: Callable[[], object], rounds: int) -> float:
    """Give the least CPU time of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
