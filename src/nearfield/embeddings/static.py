"""Word-table models: ten to a hundred times as fast as a transformer, less exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.core.settings import Settings
from nearfield.errors import ModelLoadError
from nearfield.runtime.fingerprint import file_digest, fingerprint
from nearfield.runtime.hub import find_model
from nearfield.runtime.local_embedding import LocalEmbedding
from nearfield.runtime.local_model import LocalModel
from nearfield.runtime.options import Options
from nearfield.runtime.prompts import Prompts
from nearfield.runtime.static import StaticEngine, read_static
from nearfield.runtime.tokenize import TextTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.core.cache import EmbeddingCache
    from nearfield.runtime.local_model import OnTruncation

DEFAULT_MODEL = "minishlab/potion-base-8M"


class StaticEmbedding(LocalEmbedding):
    """A Model2Vec model, or a sentence-transformers StaticEmbedding, from a folder or the hub.

    Args:
        model_name: A folder, or a name on the hub.
        embed_batch_size: Accepted for uniformity; batches are made by tokens.
        normalize: Scale vectors to length 1; ``False`` leaves it to the model.
        truncate_dim: Keep so many leading numbers of each vector.
        max_length: Tokens read of each text, in place of the model's own limit.
        query_instruction: Put before queries.
        text_instruction: Put before documents.
        cache_folder: The folder of fetched models, in place of ``HF_HUB_CACHE``.
        revision: A branch, tag, commit or ``"refs/pr/N"``.
        on_truncation: ``"warn"``, ``"error"`` or ``"ignore"`` texts the model cannot read whole.
        threads: 1 keeps tokenising on the calling thread; ``Settings.threads`` by default.
        cache: Where vectors are kept between calls; none by default.
        num_workers: How many batches may be under way at once.
        token: As huggingface_hub takes it; ``HF_TOKEN`` by default.
        local_files_only: Never ask the hub.
        callback_manager: Accepted for LlamaIndex's sake, not used.

    Raises:
        UnknownModelError: There is no such folder or model.
        ModelLoadError: The model is not here and cannot be fetched, is damaged, or is no table.
        ConfigError: An argument does not fit the model.
    """

    def __init__(
        self,
        model_name: str = DEFAULT_MODEL,
        *,
        embed_batch_size: int | None = None,
        normalize: bool = True,
        truncate_dim: int | None = None,
        max_length: int | None = None,
        query_instruction: str = "",
        text_instruction: str = "",
        cache_folder: Path | str | None = None,
        revision: str | None = None,
        on_truncation: OnTruncation = "warn",
        threads: int | None = None,
        cache: EmbeddingCache | None = None,
        num_workers: int | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        callback_manager: object = None,
    ) -> None:
        super().__init__(
            str(model_name),
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        # Checked as for any local model, so that both refuse the same by the same words.
        Options(
            max_length=max_length,
            truncate_dim=truncate_dim,
            threads=threads,
            on_truncation=on_truncation,
        )
        self.on_truncation = on_truncation
        self.normalize = normalize
        self.truncate_dim = truncate_dim
        self.max_length = max_length
        self.threads = Settings.threads if threads is None else threads
        self.applied_prompts = Prompts(query_instruction, text_instruction)
        self.found = find_model(
            self.model_name,
            revision=revision,
            cache_folder=cache_folder,
            token=token,
            local_files_only=local_files_only,
        )
        self._open()

    def _open(self) -> None:
        folder = read_static(self.found.path)
        self._scaled = self.normalize or folder.normalize
        self._files = folder.files
        tokenizer = TextTokenizer.of_file(
            folder.files[1],
            max_tokens=self.max_length or folder.max_tokens,
            specials=False,
            left_out=folder.unknown,
            threads=self.threads,
        )
        if tokenizer.vocabulary > folder.tokens:
            message = (
                f"{self.found.path} has {tokenizer.vocabulary} tokens but vectors for "
                f"{folder.tokens}. Fetch the model again."
            )
            raise ModelLoadError(message)
        self._runner = LocalModel(
            self.found.name,
            tokenizer,
            StaticEngine(folder, scale=self._scaled, truncate_dim=self.truncate_dim),
            backend="static",
            weights=folder.files[:1],
            on_truncation=self.on_truncation,
        )

    @property
    def fingerprint(self) -> str:
        """What tells this model's vectors from any other's."""
        facts = {
            "static": [file_digest(path, Settings.cache_dir) for path in self._files],
            "max_tokens": self.max_tokens,
            "normalize": self._scaled,
            "truncate_dim": self.truncate_dim,
            "prompts": [self.applied_prompts.query, self.applied_prompts.document],
        }
        return fingerprint(facts)

    def __repr__(self) -> str:
        """Name the model and its size."""
        return (
            f"{type(self).__name__}(model_name={self.model_name!r}, dim={self.dim}, "
            f"max_tokens={self.max_tokens})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the table behind when pickled or copied."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings and open the table anew."""
        vars(self).update(state)
        self._open()
