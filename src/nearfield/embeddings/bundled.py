"""The model inside the package: all-MiniLM-L6-v2 in 8 bits, ready without a network."""

from __future__ import annotations

import hashlib
import threading
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.core.settings import Settings
from nearfield.errors import ModelLoadError
from nearfield.runtime.backends import load_model
from nearfield.runtime.local_embedding import LocalEmbedding
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.options import Options
from nearfield.runtime.prompts import Prompts

if TYPE_CHECKING:
    from nearfield.core.cache import EmbeddingCache
    from nearfield.runtime.local_model import LocalModel, OnTruncation

NAME = "nearfield/all-MiniLM-L6-v2-int8"
FOLDER = Path(__file__).parents[1] / "bundled" / "all-MiniLM-L6-v2"
SUMS = "SHA256SUMS"

_loading = threading.Lock()


class BundledEmbedding(LocalEmbedding):
    """The model that comes with nearfield: 384 numbers a vector, 256 tokens a text, English.

    It is sentence-transformers' all-MiniLM-L6-v2 with its weights in 8 bits, and
    has a name of its own: its vectors are near those of the original, not equal.

    Args:
        embed_batch_size: The most texts handed over at once by those who ask; the
            engine itself takes more.
        threads: Threads to compute with; ``Settings.threads`` by default.
        on_truncation: What to do with a text over 256 tokens: cut and ``"warn"``, cut and
            ``"ignore"``, or ``"error"``.
        num_workers: How many batches may be under way at once.
        cache: Where vectors are kept between calls; none by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ModelLoadError: A file of the model is missing or damaged.
    """

    model_name = NAME

    def __init__(
        self,
        embed_batch_size: int | None = None,
        *,
        threads: int | None = None,
        on_truncation: OnTruncation = "warn",
        num_workers: int | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,
    ) -> None:
        super().__init__(
            None,
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        self.options = Options(
            "native",
            threads=Settings.threads if threads is None else threads,
            on_truncation=on_truncation,
        )
        self.on_truncation = on_truncation
        self.applied_prompts = Prompts()
        self._open()

    @property
    def fingerprint(self) -> str:
        """The name, and the hash of all files of the model."""
        return f"{NAME}/{_sha256(FOLDER / SUMS)[:16]}"

    def _open(self) -> None:
        with _loading:  # two threads asking first must not load it twice
            shared = _loaded(self.options.threads)
        self._runner = copy(shared)
        self._runner.on_truncation = self.options.on_truncation

    def __repr__(self) -> str:
        """Name the model and what computes it."""
        return f"{type(self).__name__}(model_name={NAME!r}, engine={self._runner.engine.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights behind when pickled or copied."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings and load the weights from the package."""
        vars(self).update(state)
        self._open()


@cache
def _loaded(threads: int | None) -> LocalModel:
    """Load the model once per process and number of threads: its weights never change."""
    verify()
    return load_model(NAME, read_folder(FOLDER), "native", Options("native", threads=threads))


def verify(folder: Path = FOLDER) -> None:
    """Compare every file of the model with the hash it was published with.

    Args:
        folder: Where the model lies.

    Raises:
        ModelLoadError: A file is missing or damaged; the message names it.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name in expected or [SUMS]:
            if _sha256(folder / name) != expected.get(name):
                message = f"{folder / name} is damaged. Install nearfield again."
                raise ModelLoadError(message)
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror}. Install nearfield again."
        raise ModelLoadError(message) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
