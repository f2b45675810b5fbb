"""What all embeddings that run here have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.embeddings.base import BaseEmbedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.embeddings.base import InputType
    from nearfield.core.tokens import TokenMeasure
    from nearfield.core.vectors import SimilarityMode
    from nearfield.runtime.local_model import LocalModel
    from nearfield.runtime.prompts import Prompts

# One call of the engine for so many texts: it sorts and packs them better than
# small batches allow, and the tokens of so many still fit in memory.
PLAN_TEXTS = 2048


class LocalEmbedding(BaseEmbedding):
    """An embedding over a :class:`~nearfield.runtime.local_model.LocalModel`.

    A subclass sets ``_runner`` and ``applied_prompts`` and says its fingerprint.
    """

    _runner: LocalModel
    applied_prompts: Prompts

    @property
    def _model(self) -> Any:
        """What runs the model, with ``encode`` and ``similarity``, as LlamaIndex names it."""
        return self._runner

    @property
    def backend(self) -> str:
        """What computes: ``"native"``, ``"torch"``, ``"onnx"``, ``"openvino"``, ``"static"``."""
        return self._runner.backend

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return self._runner.engine.dim

    @property
    def max_tokens(self) -> int | None:
        """Tokens the model reads of a text, specials included; ``None`` without a limit."""
        return self._runner.tokenizer.max_tokens

    @property
    def measure(self) -> TokenMeasure:
        """The model's own tokenizer."""
        return self._runner.tokenizer

    @property
    def similarity_mode(self) -> SimilarityMode:
        """The comparison the model was trained for."""
        return self._runner.mode

    def _plan_batch_size(self) -> int:
        return max(self.embed_batch_size, PLAN_TEXTS)

    def _encode(self, texts: Sequence[str], input_type: InputType) -> object:
        return self._runner.embed(texts, self.applied_prompts.of(input_type))
