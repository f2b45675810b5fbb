"""The command line in the tests' own process, which has loaded what each process loads anew.

For tests of what a command does with its words, and not of its process. Used by
``runpy``, for tests are no package.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nearfield.cli.main import run
from nearfield.core import Settings

if TYPE_CHECKING:
    from pathlib import Path


def here(
    *words: object, cwd: Path, stdin: str | bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, as ``subprocess.run`` would with these words.

    Args:
        words: Those after ``nearfield``.
        cwd: Where it runs.
        stdin: What it is given to read.
        more: Variables of its environment.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    given, *written = (io.BytesIO(text) for text in (data, b"", b""))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        for name, value in {"COLUMNS": "100", **more}.items():
            patch.setenv(name, value)
        for name, stream in zip(("stdin", "stdout", "stderr"), (given, *written), strict=True):
            patch.setattr(sys, name, io.TextIOWrapper(stream, "utf-8", write_through=True))
        code = run([*map(str, words)])
        output, errors = (stream.getvalue() for stream in written)
    Settings.reset()
    return subprocess.CompletedProcess(words, code, output, errors)
