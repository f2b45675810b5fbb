"""Install the full test environment, but never gigabytes of CUDA by surprise.

Where plain pip would bring torch's CUDA build, everything but torch is
installed, and the tests that need torch are left out. pip itself is asked
first, so the answer is right for any index and any wheel already at hand; it is
asked about torch alone, which alone brings CUDA, for a plan of all takes a minute.

    python -m venv .venv
    .venv/bin/python tools/install_plan.py --absent .venv/absent

The file given to ``--absent`` then holds the extras that were left out, with
commas: nothing when everything was installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

FULL = "dev,all"
NEED_TORCH = ("torch", "export")

CUDA_PREFIXES = ("nvidia-", "cuda-", "triton", "pytorch-triton")


def main() -> int:
    """Plan, install, and write down what was left out.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--absent", type=Path, required=True, help="file to write")
    absent_file = parser.parse_args().absent
    heavy = cuda_packages(planned("torch"))
    if heavy:
        torch = next(line for line in CONSTRAINTS.read_text().splitlines() if "torch==" in line)
        print(
            f"Leaving torch out: pip would also install {', '.join(heavy[:3])}, ... To test with "
            f"torch: {sys.executable} -m pip install {torch} with the index of PyTorch's CPU "
            "builds (pytorch.org, Get Started), then make test again."
        )
    pip("install", "-e", f"{ROOT}[{without_torch() if heavy else FULL}]")
    absent_file.write_text(",".join(NEED_TORCH) if heavy else "")
    return 0


def without_torch() -> str:
    """Give the extras of the full environment that do not need torch, with commas."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (everything,) = project["optional-dependencies"]["all"]
    names = everything.partition("[")[2].rstrip("]").split(",")
    return ",".join(["dev", *(name for name in names if name not in NEED_TORCH)])


def planned(requirement: str) -> list[str]:
    """Ask pip what it would install.

    Args:
        requirement: What is to be installed.

    Returns:
        The names of the distributions not yet here, in lower case with hyphens.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip("install", "--dry-run", "--report", str(report), requirement)
        return names(json.loads(report.read_text()))


def names(report: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    """Give the distributions of a pip installation report.

    Args:
        report: The report, as ``pip install --report`` writes it.

    Returns:
        Their names, in lower case with hyphens, in the report's order.
    """
    return [item["metadata"]["name"].lower().replace("_", "-") for item in report["install"]]


def cuda_packages(distributions: list[str]) -> list[str]:
    """Pick the distributions that only CUDA needs.

    Args:
        distributions: Names in lower case with hyphens.

    Returns:
        Those that carry CUDA, sorted.
    """
    return sorted(name for name in distributions if name.startswith(CUDA_PREFIXES))


def pip(*arguments: str) -> None:
    """Run pip of this Python under the constraints, errors visible.

    Args:
        arguments: What follows ``pip``.

    Raises:
        SystemExit: pip failed; its own message is on stderr.
    """
    command = [sys.executable, "-m", "pip", "-qq", *arguments, "-c", str(CONSTRAINTS)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the shape of the module's docstring in ``--help``."""


if __name__ == "__main__":
    sys.exit(main())
