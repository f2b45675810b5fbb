"""Print the result of run.py as Markdown tables.

python -m benchmarks.peers.report result.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


def markdown(result: dict[str, Any]) -> str:
    """Give a result as Markdown: conditions, throughput, then one query, start and fidelity."""
    peers = {name: entry for name, entry in result["peers"].items() if "batch" in entry}
    failed = {name: entry["error"] for name, entry in result["peers"].items() if "error" in entry}
    lines = [_conditions(result), "", *_throughput(result, peers), "", *_alone(result, peers)]
    lines += ["", *(f"{name} did not run: {error}" for name, error in failed.items())]
    return "\n".join(lines).rstrip() + "\n"


def _conditions(result: dict[str, Any]) -> str:
    machine, roof = result["machine"], median(result["roofline_gflops"])
    isa = "all instruction sets" if result["isa"] == "native" else f"capped to {result['isa']}"
    return (
        f"{result['date']} · {machine['processor']} ({machine['family_model']}, "
        f"{', '.join(machine['instructions'])}), {result['threads']} threads, {isa}, "
        f"{machine['memory_gib']} GiB · Python {machine['python']} · nearfield "
        f"{result['nearfield']} · float32 roofline {roof:.0f} GFLOP/s · load before "
        f"{machine['load_average_before'][0]:.2f}\n\n`{result['command']}`"
    )


def _throughput(result: dict[str, Any], peers: dict[str, Any]) -> list[str]:
    """Texts a second; in brackets the ratios to the baseline and the share of the roofline.

    All are medians of the rounds, ratios those of each round's. The second share is of what the
    machine can: the best round by the fastest product of any, for other work on the machine
    spoils most rounds of either.
    """
    roofs, base = result["roofline_gflops"], peers[result["baseline"]]["batch"]
    work = result["workloads"]
    header = " | ".join(f"{name} ({facts['texts']} texts)" for name, facts in work.items())
    lines = [
        f"| texts/s (x wall, x CPU, % of roofline: median, best round) | {header} |",
        "| --- |" + " ---: |" * len(work),
    ]
    for peer, entry in peers.items():
        cells = []
        for name, facts in work.items():
            rounds = entry["batch"][name]
            walls = [sample["wall_s"] for sample in rounds]
            times, cpu_times = (_ratio(base[name], rounds, key) for key in ("wall_s", "cpu_s"))
            share = facts["gflop"] / median(walls) / median(roofs)
            best = facts["gflop"] / min(walls) / max(roofs)
            cells.append(
                f"{facts['texts'] / median(walls):.0f} "
                f"(x {times:.2f}, x {cpu_times:.2f}, {share:.0%}, {best:.0%})"
            )
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return lines


def _alone(result: dict[str, Any], peers: dict[str, Any]) -> list[str]:
    """One query, one by one, start-up, memory, fidelity."""
    header = (
        "peer",
        "one query p50 / p99, ms",
        "W1 one by one, texts/s",
        "cold start, s",
        "peak MB",
        "cosine W2 mean (least)",
        "cosine W3 mean (least)",
        "Venus, Mars, Jupiter, Saturn",
    )
    lines = [f"| {' | '.join(header)} |", "| --- |" + " ---: |" * (len(header) - 1)]
    singles = len(peers[result["baseline"]]["single_s"]) / len(result["roofline_gflops"])
    for peer, entry in peers.items():
        p50, p99 = (np.percentile(entry["single_s"], [50, 99]) * 1e3).tolist()
        alone = singles / median(entry["one_by_one_s"])
        cold = f"{median(entry['cold_start_s']):.2f}" if "cold_start_s" in entry else "-"
        # A run that was cut short has no vectors to compare.
        cosines = (entry.get("cosine", {}).get(name) for name in ("W2", "W3"))
        near = (f"{c['mean']:.6f} ({c['min']:.6f})" if c else "-" for c in cosines)
        planets = ", ".join(f"{score:.4f}" for score in entry.get("planets", ())) or "-"
        lines.append(
            f"| {peer} | {p50:.2f} / {p99:.2f} | {alone:.0f} | {cold} "
            f"| {entry['peak_rss_mb']:.0f} | {' | '.join(near)} | {planets} |"
        )
    return lines


def _ratio(base: list[dict[str, float]], own: list[dict[str, float]], key: str) -> float:
    """How much longer the baseline took than a peer beside it, in the middle round."""
    return median(one[key] / other[key] for one, other in zip(base, own, strict=False))


def main() -> None:
    """Print the tables of the result named on the command line."""
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")


if __name__ == "__main__":
    main()
