"""What distribution costs: two one-core workers of Ray against two threads in one process.

    python -m benchmarks.ray FOLDER [--ext .py] [--files N]

Both embed the same files by the bundled model into a Lance table, from nothing. Compared is
the time in which nodes flow: starting Ray and its workers, a matter of seconds whatever the
corpus, is told apart, measured by a run over one file.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, source_revision
from nearfield import VectorStoreIndex
from nearfield.core.readers import PathReader
from nearfield.core.settings import Settings
from nearfield.distributed import embed_dataset
from nearfield.stores.lance import LanceStore

BAR = 0.85


def in_process(files: list[Path], out: Path) -> tuple[float, int]:
    """Index files here by two threads; give the seconds and the nodes."""
    with (
        Settings.override(threads=2),
        VectorStoreIndex(store=LanceStore(out), embed_model="bundled") as index,
    ):
        began = time.perf_counter()
        report = index.ingest(PathReader(files).iter_data())
        return time.perf_counter() - began, report.nodes


def by_ray(files: list[Path], out: Path) -> tuple[float, int]:
    """Index files by two workers of one core; give the seconds and the nodes."""
    report = embed_dataset(files, "bundled", f"lance://{out}", workers=2)
    return report.seconds, report.nodes


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ext", default=".py")
    parser.add_argument("--files", type=int, default=1000)
    chosen = parser.parse_args()
    files = list(islice(sorted(chosen.folder.rglob(f"*{chosen.ext}")), chosen.files))
    figures: dict[str, Any] = {"machine": describe_machine(), "revision": source_revision()}
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start_s, few = by_ray(files[:1], folder / "start")
        one_s, nodes = in_process(files, folder / "one")
        many_s, same = by_ray(files, folder / "many")
    flow_s = many_s - start_s
    figures |= {
        "files": len(files),
        "nodes": nodes,
        "same_nodes": nodes == same,
        "threads_s": one_s,
        "ray_s": many_s,
        "ray_start_s": start_s,
        "ray_start_nodes": few,
        "threads_nodes_per_s": nodes / one_s,
        "ray_nodes_per_s": nodes / flow_s,
        "efficiency": one_s / flow_s,
        "efficiency_with_start": one_s / many_s,
        "bar": BAR,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
