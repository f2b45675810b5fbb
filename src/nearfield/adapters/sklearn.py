"""nearfield's models as a scikit-learn transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nearfield._extras import require
from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sklearn.base import BaseEstimator, TransformerMixin

    from nearfield.core.embeddings.base import BaseEmbedding
    from nearfield.core.vectors import Vectors
else:
    _base = require("sklearn.base", extra="sklearn", purpose="EmbeddingTransformer")
    BaseEstimator, TransformerMixin = _base.BaseEstimator, _base.TransformerMixin


class EmbeddingTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc] # optional: Any
    """Turns texts into rows of numbers in a scikit-learn pipeline; nothing is fitted.

    Given a name, it is cloned and pickled as that name, without weights; the
    model is loaded when first used.

    Args:
        model: The model, or a name for one; the bundled model by default.
        input_type: ``"document"`` or ``"query"``.
    """

    def __init__(self, model: object = None, input_type: str = "document") -> None:
        self.model = model
        self.input_type = input_type

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: ARG002, N803 - sklearn's
        """Learn nothing.

        Args:
            X: Texts, not looked at.
            y: Not looked at.

        Returns:
            The transformer itself.
        """
        return self

    def transform(self, X: Iterable[str]) -> Vectors:  # noqa: N803 - scikit-learn's keyword
        """Give the vectors of texts.

        Args:
            X: Any number of texts.

        Returns:
            ``(n, dim)`` float32.

        Raises:
            ConfigError: ``X`` is a table: iterating it would give the names of its columns.
            TypeError: ``X`` is one text, or holds something that is not a text.
        """
        if len(getattr(X, "shape", "1")) != 1:
            message = (
                f"Expected a column of texts, got a table ({type(X).__name__}). Pass X['text'], or "
                "to a ColumnTransformer the column's name 'text', not the list ['text']."
            )
            raise ConfigError(message)
        texts: Any = X if isinstance(X, (str, bytes)) else list(X)
        return self._loaded().encode(texts, input_type=self.input_type)  # type: ignore[arg-type]

    def get_feature_names_out(self, input_features: object = None) -> Any:  # noqa: ARG002
        """Give a name for each number of a vector.

        Args:
            input_features: Not looked at.

        Returns:
            An array of ``dim`` names.
        """
        dim = self._loaded().dim or self.transform(["text"]).shape[1]
        return np.array([f"embedding{number}" for number in range(dim)], dtype=object)

    def _loaded(self) -> BaseEmbedding:
        resolved: tuple[object, BaseEmbedding] | None = self.__dict__.get("_resolved")
        if resolved is None or resolved[0] is not self.model:
            resolved = (self.model, resolve_embed_model(self.model))
            self._resolved = resolved
        return resolved[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind when pickled."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_resolved", None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True

    def __sklearn_tags__(self) -> Any:
        """Say that texts go in and that no fit is needed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags
