"""Make the virtual environments of the peers, each group in one of its own.

    python benchmarks/peers/setup.py ENVS_FOLDER [--only main] [--torch-index URL]

Torch goes in first, so that the CPU build stays when an index of CPU builds is given
(https://download.pytorch.org/whl/cpu). An environment that is complete is left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
GROUPS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


def main() -> None:
    """Make the environments asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("envs", type=Path, help="where the environments go")
    parser.add_argument("--only", choices=GROUPS, action="append", help="these groups only")
    parser.add_argument("--torch-index", help="an index with CPU builds of torch")
    arguments = parser.parse_args()
    for group in arguments.only or GROUPS:
        make(arguments.envs / group, REQUIREMENTS / f"{group}.txt", arguments.torch_index)


def make(folder: Path, requirements: Path, torch_index: str | None) -> None:
    """Make one environment, unless it was made from these very requirements."""
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    complete = folder / "complete"
    if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
        sys.stdout.write(f"{folder}: complete\n")
        return
    sys.stdout.write(f"{folder}: installing\n")
    sys.stdout.flush()
    venv.create(folder, with_pip=True, clear=True)
    pins = requirements.read_text(encoding="utf-8").splitlines()
    torch = next(pin for pin in pins if pin.startswith("torch=="))
    index = ["--index-url", torch_index] if torch_index else []
    _pip(folder, torch, *index)
    _pip(folder, "-r", str(requirements))
    complete.write_text(wanted, encoding="utf-8")


def _pip(folder: Path, *arguments: str) -> None:
    python = str(folder / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main()
