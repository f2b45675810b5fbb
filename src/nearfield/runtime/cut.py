"""Vectors that are normalised by the model and cut after it, whatever length that leaves.

So sentence-transformers does it: its Normalize module runs before the cut. Where the user
asks for vectors of length 1 they are scaled after the cut, and what was before it has no say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nearfield.runtime.pooling import kept_dim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.local_model import Engine
    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.options import Options

CUT_FACTS: Final[Mapping[str, str]] = {"normalize": "before the cut"}
"""Tells such vectors in a fingerprint from the same numbers scaled after the cut."""


class CutEngine:
    """An engine of which only the leading numbers of each vector are kept.

    Args:
        whole: The engine, kept as ``whole``.
        dim: How many numbers are kept.

    Raises:
        ConfigError: ``dim`` is not within the vector.
    """

    def __init__(self, whole: Engine, dim: int) -> None:
        self.whole = whole
        self.dim = kept_dim(dim, whole.dim)

    @property
    def name(self) -> str:
        """What computes."""
        return self.whole.name

    def encode(
        self, token_ids: Sequence[Sequence[int]], *, prompt_tokens: int = 0, **options: Any
    ) -> Vectors:
        """Compute the vectors of texts; see ``Engine.encode``, and that of the whole for more."""
        vectors = self.whole.encode(token_ids, prompt_tokens=prompt_tokens, **options)
        return np.ascontiguousarray(vectors[:, : self.dim])


def cut_after_normalizing(folder: ModelFolder, options: Options) -> int | None:
    """Say to how many numbers vectors are cut that were normalised before.

    Args:
        folder: The model's folder.
        options: What the user asked.

    Returns:
        The number, or ``None`` where nothing is cut or normalising comes last.
    """
    if options.normalize or not (folder.modules.normalize and folder.understood):
        return None
    return folder.truncate_dim if options.truncate_dim is None else options.truncate_dim
