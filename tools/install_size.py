"""Measure what the base install adds to an empty environment.

python tools/install_size.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1e6


def main() -> int:
    """Install into a fresh environment and print what grew.

    Returns:
        The exit code.
    """
    wanted = sys.argv[1:] or [str(ROOT)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "env")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        before, names_before = size_bytes(home), packages(home)
        subprocess.run([home / "bin" / "pip", "install", "-qq", *wanted], check=True)
        grown = (size_bytes(home) - before) / MEGABYTE
        added = sorted(packages(home) - names_before)
    print(f"{grown:.0f} MB (1 MB = 10^6 bytes), byte-compiled, in {len(added)} packages:")
    print(", ".join(added))
    return 0


def size_bytes(folder: Path) -> int:
    """Sum the sizes of all files under a folder, as stored on disk.

    Args:
        folder: Where to look.

    Returns:
        Bytes, in whole blocks of the file system.
    """
    return sum(one.lstat().st_blocks * 512 for one in folder.rglob("*"))


def packages(home: Path) -> set[str]:
    """Name what is installed in an environment.

    Args:
        home: The environment's folder.

    Returns:
        Distributions as ``name==version``.
    """
    done = subprocess.run(
        [home / "bin" / "pip", "list", "--format=freeze"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


if __name__ == "__main__":
    sys.exit(main())
