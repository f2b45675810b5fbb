"""Instructor models: a text is embedded after an instruction that says what it is for."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.core.embeddings.base import BaseEmbedding
from nearfield.core.report import count
from nearfield.core.settings import Settings
from nearfield.errors import ModelLoadError
from nearfield.runtime.fingerprint import fingerprint, torch_folder_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.embeddings.base import InputType
    from nearfield.core.vectors import Vectors

DEFAULT_MODEL = "hkunlp/instructor-base"
# The defaults of LlamaIndex's class of the same name, after the model's own paper
# (Su et al. 2022, "One Embedder, Any Task", https://arxiv.org/abs/2212.09741).
DEFAULT_QUERY_INSTRUCTION = "Represent the question for retrieving supporting documents: "
DEFAULT_TEXT_INSTRUCTION = "Represent the document for retrieval: "


class InstructorEmbedding(BaseEmbedding):
    """An Instructor model, run here by sentence-transformers.

    The instruction is read by the model but left out of the mean over tokens,
    as the models were trained. Tested with a tiny random model against the
    arithmetic of the paper; the published weights are not part of the tests.

    Args:
        model_name: A Hugging Face name or a folder.
        query_instruction: What a question is for.
        text_instruction: What a text to be found is for.
        instruction: One instruction for both; wins over the other two.
        embed_batch_size: Texts computed together, 1 to 2,048.
        device: ``"cpu"``, ``"cuda"``, ...; the best one found by default.
        cache_folder: Where downloaded models are kept.
        revision: The model's version on the hub.
        cache: Where vectors are kept between calls; nowhere by default.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        ModelLoadError: The model cannot be loaded.
        MissingDependencyError: The extra ``torch`` is not installed.
    """

    def __init__(
        self,
        model_name: str | Path = DEFAULT_MODEL,
        *,
        query_instruction: str = DEFAULT_QUERY_INSTRUCTION,
        text_instruction: str = DEFAULT_TEXT_INSTRUCTION,
        instruction: str | None = None,
        embed_batch_size: int = 10,
        device: str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        cache: EmbeddingCache | None = None,
        callback_manager: object = None,
    ) -> None:
        super().__init__(
            str(model_name), embed_batch_size, cache=cache, callback_manager=callback_manager
        )
        self.revision = revision
        self._instructions: dict[InputType, str] = {
            "query": query_instruction if instruction is None else instruction,
            "document": text_instruction if instruction is None else instruction,
        }
        self._weights = _weights(self.model_name, revision)
        self._model = _load(
            self.model_name, device=device, cache_folder=cache_folder, revision=revision
        )
        # A copy: the model's own is set to cut, which cannot be told from what it gives.
        self._tokenizer = deepcopy(self._model.tokenizer)

    @property
    def dim(self) -> int | None:
        """Numbers per vector."""
        new, old = "get_embedding_dimension", "get_sentence_embedding_dimension"
        name = new if hasattr(self._model, new) else old  # renamed within release 5
        dim: int | None = getattr(self._model, name)()
        return dim

    @property
    def max_tokens(self) -> int | None:
        """Tokens the model reads, instruction included."""
        length: int | None = self._model.max_seq_length
        return length

    @property
    def fingerprint(self) -> str:
        """The model, its version, and both instructions; of a folder, what is in it."""
        query, document = self._instructions["query"], self._instructions["document"]
        return f"instructor:{self._weights}/{query!r}/{document!r}"

    def __repr__(self) -> str:
        """Name the model and its instructions."""
        query, document = self._instructions["query"], self._instructions["document"]
        return (
            f"InstructorEmbedding(model_name={self.model_name!r}, "
            f"query_instruction={query!r}, text_instruction={document!r})"
        )

    def _encode(self, texts: Sequence[str], input_type: InputType) -> Vectors:
        instruction = self._instructions[input_type]
        self._count(instruction + text for text in texts)
        vectors: Vectors = self._model.encode(
            list(texts),
            prompt=instruction or None,
            batch_size=self.embed_batch_size,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return vectors

    def _count(self, sent: Iterable[str]) -> None:
        """Add tokens, and those cut, to the call's report."""
        read = self._tokenizer(list(sent), truncation=False, verbose=False)["input_ids"]
        lengths = [len(tokens) for tokens in read]
        most = self.max_tokens or max(lengths)
        cut = [length - most for length in lengths if length > most]
        count(tokens=sum(lengths) - sum(cut), truncated_texts=len(cut), truncated_tokens=sum(cut))


def _weights(name: str, revision: str | None) -> str:
    """Say which weights a name stands for: a folder may hold others tomorrow."""
    folder = Path(name)
    if folder.is_dir():
        return fingerprint(torch_folder_facts(folder, Settings.cache_dir))
    return f"{name}@{revision}"


def _load(name: str, **options: Any) -> Any:
    library = require("sentence_transformers", extra="torch", purpose="InstructorEmbedding")
    try:
        model = library.SentenceTransformer(name, **options)
    except (OSError, ValueError) as error:
        message = f"The Instructor model {name!r} cannot be loaded: {error}"
        raise ModelLoadError(message) from error
    model.set_pooling_include_prompt(include_prompt=False)
    return model
