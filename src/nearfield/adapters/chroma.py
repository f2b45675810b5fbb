"""nearfield's models as Chroma's embedding function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.embeddings.rebuild import name_of, rebuild
from nearfield.core.embeddings.resolve import resolve_embed_model
from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from chromadb.api.types import EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

    from nearfield.core.vectors import Vector
else:
    _types = require("chromadb.api.types", extra="chroma", purpose="ChromaAdapter")
    EmbeddingFunction = _types.EmbeddingFunction
    register_embedding_function = require(
        "chromadb.utils.embedding_functions", extra="chroma"
    ).register_embedding_function


@register_embedding_function
class ChromaAdapter(EmbeddingFunction):  # type: ignore[misc] # Chroma is optional: Any
    """A model of nearfield, as Chroma's ``EmbeddingFunction``.

    Chroma keeps the model's name with the collection. A model that runs here is
    made again from it; a remote one must be passed again, because a name found
    in a database must not send texts anywhere.

    Args:
        model: The model, or a name for one; the bundled model by default.
    """

    def __init__(self, model: object = None) -> None:
        self.model = resolve_embed_model(model)

    def __call__(self, input: list[str]) -> list[Vector]:  # noqa: A002 - Chroma's keyword
        """Give the vectors of texts to be found, in order."""
        return list(self.model.encode(input))

    def embed_query(self, input: list[str]) -> list[Vector]:  # noqa: A002 - Chroma's keyword
        """Give the vectors of questions, in order.

        Args:
            input: The questions.

        Returns:
            One ``(dim,)`` float32 array each.
        """
        return list(self.model.encode(input, input_type="query"))

    @staticmethod
    def name() -> str:
        """Give the name Chroma files the class under."""
        return "nearfield"

    def default_space(self) -> str:
        """Give the comparison that suits the model."""
        spaces = {"cosine": "cosine", "dot_product": "ip", "euclidean": "l2"}
        return spaces[self.model.similarity_mode.value]

    def supported_spaces(self) -> list[str]:
        """Give the comparisons that can be chosen."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """Give what Chroma keeps with the collection."""
        return {"model": name_of(self.model), "fingerprint": self.model.fingerprint}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> ChromaAdapter:
        """Make it again from what a collection keeps.

        Args:
            config: What :meth:`get_config` gave.

        Returns:
            The adapter.

        Raises:
            ConfigError: The model is remote, or its name alone does not make it again.
        """
        name = config.get("model")
        model = rebuild(name)
        # A name says nothing of options, such as an instruction, that the model was made with.
        if model is None or config.get("fingerprint") not in (None, model.fingerprint):
            options = "" if model is None else " with options of its own"
            message = (
                f"The collection was made with {name or 'a model of your own'!r}{options}. "
                "Pass embedding_function=ChromaAdapter(model) to open it."
            )
            raise ConfigError(message)
        return ChromaAdapter(model)

    def is_legacy(self) -> bool:
        """Have Chroma keep the configuration also where no model can be made again from it.

        Chroma asks by trying, and would open the collection with a model of its own.
        """
        return False

    def validate_config_update(
        self, old_config: dict[str, Any], new_config: dict[str, Any]
    ) -> None:
        """Refuse another model for a collection that has vectors.

        Args:
            old_config: What the collection keeps.
            new_config: What it is to keep.

        Raises:
            ConfigError: The two models differ.
        """
        if old_config.get("fingerprint") != new_config.get("fingerprint"):
            message = (
                f"The collection was made with {old_config.get('model')!r}; vectors of "
                f"{new_config.get('model')!r} do not compare with its own. Make a new collection."
            )
            raise ConfigError(message)

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Accept any configuration: :meth:`build_from_config` says what is wrong with it."""
