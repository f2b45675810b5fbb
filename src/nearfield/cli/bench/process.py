"""The other end of a worker: started, asked, ended."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from nearfield.cli.bench.candidates import Candidate

END_TIMEOUT_S = 10


class WorkerFailedError(Exception):
    """A worker could not load its model, or went away; the message says why."""


class Worker:
    """A model on a backend, loaded in a process of its own.

    Args:
        candidate: What it loads.
        texts: The file of texts.

    Raises:
        WorkerFailedError: It could not load the model.
    """

    def __init__(self, candidate: Candidate, texts: Path) -> None:
        self.candidate = candidate
        # -P: files of the working folder are no modules.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [
                *(sys.executable, "-P", "-m", "nearfield.cli.bench.worker"),
                *(candidate.provider, candidate.backend, candidate.name, str(texts)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self.peak_rss_bytes: int | None = None
        try:
            self.loaded = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **command: Any) -> dict[str, Any]:
        """Have it do something.

        Args:
            do: The command.
            command: What belongs to it.

        Returns:
            Its answer.

        Raises:
            WorkerFailedError: It failed, or is gone.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(json.dumps({"do": do, **command}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None
        return self._answer()

    def close(self) -> None:
        """End it."""
        # communicate() closes its input, which ends it, and reads what is left.
        try:
            self._process.communicate(timeout=END_TIMEOUT_S)
        except (subprocess.TimeoutExpired, ValueError, BrokenPipeError):
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        """Give the worker, to be ended after the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        found: dict[str, Any] = json.loads(line)
        self.peak_rss_bytes = found.pop("peak_rss_bytes")
        if "error" in found:
            raise WorkerFailedError(found["error"])
        return found

    def _gone(self) -> WorkerFailedError:
        code = self._process.wait()
        return WorkerFailedError(f"its process ended with exit code {code}")
