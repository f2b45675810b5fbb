"""What distribution costs: two one-core workers of Ray against two threads in one process.

    python -m benchmarks.ray FOLDER [--ext .py] [--megabytes 1.5] [--rounds 2]

Both embed the same files by the bundled model into a Lance table, from nothing, in turns, on
the same two cores. Compared is the time in which nodes flow: for threads from a model that is
loaded, for Ray from the moment the *first* worker has loaded its model, to the last commit.
Starting the workers takes seconds whatever the corpus, and is told apart; Ray itself is
started before, and has run a job of one file, for it starts helpers of its own with the first.
Tails are within: at the end one worker waits for the other's last part.

CPU time is that of this process and all below it: Ray's own processes (raylet, gcs and the
like) are told apart from its workers. Ray keeps running, idle, while the threads work; what it
takes of the two cores meanwhile is told as well. On a busy machine the times by the clock say
nothing, and ``efficiency_by_cpu`` alone counts: what of the CPU time the threads would need too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from benchmarks.machine import describe_machine, source_revision
from nearfield import VectorStoreIndex
from nearfield.core.embeddings import resolve_embed_model
from nearfield.core.readers import PathReader
from nearfield.core.settings import Settings
from nearfield.distributed import embed_dataset
from nearfield.distributed.cluster import joined
from nearfield.stores.lance import LanceStore

if TYPE_CHECKING:
    from nearfield.core.embeddings import BaseEmbedding

BAR = 0.85
CORES = 2


class Loader:
    """Makes the model on a worker, and notes when it was ready and what it had cost.

    Args:
        folder: Where the notes go, a file a worker.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> BaseEmbedding:
        """Give the bundled model, warm."""
        model = resolve_embed_model("bundled")
        model.encode(["a text to warm up with"])
        note = {"ready": time.time(), "cpu_s": time.process_time()}
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(note), encoding="utf-8")
        return model

    def notes(self) -> list[dict[str, float]]:
        """Give the notes of the workers, the first to be ready first; the driver's is none."""
        (self._folder / f"{os.getpid()}.json").unlink(missing_ok=True)
        found = [json.loads(path.read_text(encoding="utf-8")) for path in self._folder.iterdir()]
        return sorted(found, key=lambda note: note["ready"])


class Meter:
    """Adds up the CPU time of this process, of Ray's own processes and of its workers.

    Within the block it looks once a second, for Ray ends workers without a word.
    """

    def __init__(self) -> None:
        self.spent = {"driver": 0.0, "ray_itself": 0.0, "workers": 0.0}
        self._before: dict[int, tuple[str, float]] = {}
        self._last: dict[int, tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._before = _processes()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and give what was spent in between."""
        self._over.set()
        self._thread.join()
        self._last |= _processes()
        for number, (role, seconds) in self._last.items():
            self.spent[role] += seconds - self._before.get(number, ("", 0.0))[1]

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._last |= _processes()


def _processes() -> dict[int, tuple[str, float]]:
    """Give what each process is and its CPU time so far, by its number."""
    found = {os.getpid(): ("driver", time.process_time())}
    for process in psutil.Process().children(recursive=True):
        try:
            times, name = process.cpu_times(), " ".join(process.cmdline())
        except psutil.Error:
            continue
        role = "workers" if name.startswith("ray::MapWorker") else "ray_itself"
        found[process.pid] = role, times.user + times.system
    return found


def by_threads(files: list[Path], folder: Path) -> dict[str, Any]:
    """Index files here by two threads."""
    store = LanceStore(folder / "lance")
    with (
        Settings.override(threads=CORES),
        VectorStoreIndex(store=store, embed_model="bundled") as index,
    ):
        index.embed_model.encode(["a text to warm up with"])
        with Meter() as meter:
            began = time.time()
            report = index.ingest(PathReader(files).iter_data())
            store.optimize()  # as a job does in the end
            flow_s = time.time() - began
    flow_cpu_s = meter.spent["driver"]
    return {"flow_s": flow_s, "flow_cpu_s": flow_cpu_s, "nodes": report.nodes, "cpu": meter.spent}


def by_ray(files: list[Path], folder: Path) -> dict[str, Any]:
    """Index files by two workers of one core."""
    (folder / "notes").mkdir(parents=True)
    loader = Loader(folder / "notes")
    with Meter() as meter:
        began = time.time()
        report = embed_dataset(files, loader, f"lance://{folder / 'lance'}", workers=CORES)
        ended = time.time()
    notes = loader.notes()
    loading_s = sum(note["cpu_s"] for note in notes)
    return {
        "flow_s": ended - notes[0]["ready"],
        "start_s": notes[0]["ready"] - began,
        "second_worker_late_s": notes[-1]["ready"] - notes[0]["ready"],
        "flow_cpu_s": sum(meter.spent.values()) - loading_s,
        "loading_cpu_s": loading_s,
        "workers": len(notes),
        "nodes": report.nodes,
        "cpu": meter.spent,
    }


def some_files(folder: Path, ending: str, most_bytes: float) -> list[Path]:
    """Give files of a folder in order, up to some bytes together."""
    chosen, size = [], 0
    for path in sorted(folder.rglob(f"*{ending}")):
        chosen.append(path)
        size += path.stat().st_size
        if size >= most_bytes:
            break
    return chosen


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ext", default=".py")
    parser.add_argument("--megabytes", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    files = some_files(chosen.folder, chosen.ext, chosen.megabytes * 1e6)
    told: dict[str, Any] = {
        "machine": describe_machine(),
        "revision": source_revision(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": len(files),
        "megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "bar": BAR,
    }
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    rounds = []
    with tempfile.TemporaryDirectory() as place, joined(None):
        by_ray(files[:1], Path(place, "first"))
        for number in range(chosen.rounds):
            folder = Path(place, str(number))
            threads = by_threads(files, folder / "threads")
            workers = by_ray(files, folder / "ray")
            rounds.append(
                {
                    "efficiency": threads["flow_s"] / workers["flow_s"],
                    "efficiency_by_cpu": threads["flow_cpu_s"] / workers["flow_cpu_s"],
                    "efficiency_with_start": threads["flow_s"]
                    / (workers["start_s"] + workers["flow_s"]),
                    "same_nodes": threads["nodes"] == workers["nodes"],
                    "threads": threads,
                    "ray": workers,
                }
            )
    print(json.dumps(told | {"rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()
