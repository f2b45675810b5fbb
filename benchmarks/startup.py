"""What it takes to start: import time, the first embedding of a cold process, installed size.

    python -m benchmarks.startup                 # under this interpreter
    python -m benchmarks.startup --install       # in a fresh environment, installed from here

Times are of whole processes, from start to end, interpreter included, taken in turns; the
median and the least of all rounds are given, and the CPU time, which other work on the
machine disturbs less. Files are in the disk cache: a first round is thrown away.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import venv
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import ROOT, describe_machine, source_revision

PROGRAMS = {
    "python alone": "pass",
    "import nearfield": "import nearfield",
    "from nearfield.core import VectorStoreIndex": "from nearfield.core import VectorStoreIndex",
    "nearfield --help": (
        "import sys; sys.argv = ['nearfield', '--help']; "
        "from nearfield.cli.main import main; main()"
    ),
    "first embedding": (
        "from nearfield.embeddings.bundled import BundledEmbedding; "
        "BundledEmbedding().encode(['The first text of a cold process.'])"
    ),
}
LOADED = "import sys; import nearfield; print('numpy' in sys.modules)"
PEAK = (
    f"{PROGRAMS['first embedding']}; status = open('/proc/self/status').read(); "
    "print(status.partition('VmHWM:')[2].split()[0])"
)


def main() -> None:
    """Measure and print; write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--install", action="store_true", help="measure a fresh base installation")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", type=Path, help="the result, JSON")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "nearfield": source_revision(),
        "machine": describe_machine(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        python = sys.executable
        if arguments.install:
            python, result["installed"] = install(Path(scratch, "env"))
        result["programs"] = measure(python, arguments.rounds)
        result["numpy_loaded_by_import_nearfield"] = _output(python, LOADED) == "True"
        result["peak_rss_mb_of_first_embedding"] = int(_output(python, PEAK)) / 1024
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(markdown(result), end="")


def measure(python: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Give the wall and CPU seconds each program took, by round."""
    samples: dict[str, dict[str, list[float]]] = {
        name: {"wall_s": [], "cpu_s": []} for name in PROGRAMS
    }
    for number in range(rounds + 1):
        for name, program in PROGRAMS.items():
            wall, cpu = time.perf_counter(), _children_cpu()
            _output(python, program)
            if number > 0:
                samples[name]["wall_s"].append(time.perf_counter() - wall)
                samples[name]["cpu_s"].append(_children_cpu() - cpu)
    return samples


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install(env: Path) -> tuple[str, dict[str, Any]]:
    """Install nearfield without extras into a new environment.

    Returns:
        The environment's interpreter, and what was added: packages by version, megabytes.
    """
    venv.create(env, with_pip=True)
    python = str(env / "bin/python")
    before, empty = _packages(python), _size(env)
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    added = {name: version for name, version in _packages(python).items() if name not in before}
    return python, {"packages": added, "megabytes": (_size(env) - empty) / 1e6}


def _packages(python: str) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True
    )
    return {entry["name"]: entry["version"] for entry in json.loads(listed.stdout)}


def _size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file())


def _output(python: str, program: str) -> str:
    # -P: the working folder is no place to import from, or the source tree would win.
    done = subprocess.run([python, "-P", "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def markdown(result: dict[str, Any]) -> str:
    """Give the result as Markdown."""
    machine, programs = result["machine"], result["programs"]
    bare = {key: median(samples) for key, samples in programs["python alone"].items()}
    conditions = (
        f"{result['date']} · {machine['processor']}, {machine['cores']} cores · Python "
        f"{machine['python']} · nearfield {result['nearfield']} · load before "
        f"{machine['load_average_before'][0]:.2f}"
    )
    lines = [
        conditions,
        "",
        "| program | median, ms | least, ms | over python alone, ms | of that CPU, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, samples in programs.items():
        wall, cpu = median(samples["wall_s"]), median(samples["cpu_s"])
        cells = (wall, min(samples["wall_s"]), wall - bare["wall_s"], cpu - bare["cpu_s"])
        lines.append(f"| {name} | " + " | ".join(f"{cell * 1e3:.0f}" for cell in cells) + " |")
    lines += ["", f"numpy after `import nearfield`: {result['numpy_loaded_by_import_nearfield']}. "]
    lines[-1] += f"Peak of the first embedding: {result['peak_rss_mb_of_first_embedding']:.0f} MB."
    if installed := result.get("installed"):
        names = ", ".join(f"{name} {number}" for name, number in installed["packages"].items())
        count = len(installed["packages"])
        lines += ["", f"Base install: {installed['megabytes']:.0f} MB, {count} packages: {names}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
