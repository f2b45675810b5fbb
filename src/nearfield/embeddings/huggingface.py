"""Hugging Face models, run on this machine: native, torch, ONNX Runtime or OpenVINO."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from nearfield.core.settings import Settings
from nearfield.core.warn import warn
from nearfield.runtime.backends import load_model
from nearfield.runtime.fingerprint import fingerprint, folder_facts
from nearfield.runtime.graph_files import wanted_files
from nearfield.runtime.hub import find_model
from nearfield.runtime.local_embedding import LocalEmbedding
from nearfield.runtime.model_folder import read_folder
from nearfield.runtime.options import Choice, Options, choose_by_folder, choose_by_keywords
from nearfield.runtime.prompts import Prompts, choose_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nearfield.core.cache import EmbeddingCache
    from nearfield.core.embeddings.base import InputType
    from nearfield.core.report import EmbeddingReport
    from nearfield.core.vectors import Vectors
    from nearfield.runtime.local_model import OnTruncation

DEFAULT_MODEL = "BAAI/bge-small-en-v1.5"


class HuggingFaceEmbedding(LocalEmbedding):
    """A sentence-transformers model, or a plain transformer, from a folder or the hub.

    Args:
        model_name: A folder, or a name on the hub; without an owner sentence-transformers' own.
        backend: ``"native"``, ``"torch"``, ``"onnx"``, ``"openvino"``, or ``"auto"``: native
            where the model's architecture and the other arguments allow it, else torch.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; never silently another one.
        max_length: Tokens read of each text, in place of the model's own limit.
        query_instruction: Put before queries; ``""`` for nothing; by default the model's own.
        text_instruction: Put before documents, likewise.
        normalize: Scale vectors to length 1; ``False`` leaves it to the model.
        embed_batch_size: The most texts in one padded batch, 1 to 2,048; by default batches are
            made by tokens. The native engine pads nothing and needs no such limit.
        cache_folder: The folder of fetched models, in place of ``HF_HUB_CACHE``.
        trust_remote_code: Run code and pickles that come with the model; torch only.
        parallel_process: On torch, spread the texts over ``target_devices``, a process each. The
            native engine takes it too: one process of it uses every core already. On ONNX and
            OpenVINO it does nothing, and a warning says so.
        target_devices: One entry a process, such as ``["cuda:0", "cuda:1"]``.
        show_progress_bar: Draw a bar on stderr for every call, on a terminal only.
        callback_manager: Accepted for LlamaIndex's sake, not used.
        model_kwargs: ``dtype="int8"`` (native: faster, vectors within a cosine of about 0.997),
            ``file_name``, ``export``, ``provider`` (ONNX), ``ov_config`` (OpenVINO),
            ``dtype`` or ``torch_dtype`` and whatever else transformers takes (torch).
        truncate_dim: Keep so many leading numbers of each vector, after the model's own
            normalising and before that of ``normalize``.
        similarity_fn_name: ``"cosine"``, ``"dot"`` or ``"euclidean"``, in place of the model's own.
        revision: A branch, tag, commit or ``"refs/pr/N"``.
        prompts: Prompts by name (``"query"``, ``"document"``, ...); ``{}`` for none at all.
        default_prompt_name: Which of them, or of the model's, is put before queries and documents
            that no other prompt is said for.
        on_truncation: ``"warn"``, ``"error"`` or ``"ignore"`` texts the model cannot read whole.
        threads: Threads to compute with; ``Settings.threads`` by default.
        cache: Where vectors are kept between calls; none by default.
        num_workers: How many plans' batches may be under way at once.
        token: As huggingface_hub takes it; ``HF_TOKEN`` by default.
        local_files_only: Never ask the hub.
        further: Keywords for SentenceTransformer; torch only.

    Raises:
        UnknownModelError: There is no such folder or model.
        ModelLoadError: The model is not here and cannot be fetched, is damaged, or is refused.
        ConfigError: An argument does not fit the model or the machine.
        TypeError: A keyword is unknown to the backend that was named.
        MissingDependencyError: The backend's library is not installed.
    """

    def __init__(
        self,
        model_name: str = DEFAULT_MODEL,
        *,
        backend: str = "auto",
        device: str | None = None,
        max_length: int | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        normalize: bool = True,
        embed_batch_size: int | None = None,
        cache_folder: Path | str | None = None,
        trust_remote_code: bool = False,
        parallel_process: bool = False,
        target_devices: Sequence[str] | None = None,
        show_progress_bar: bool = False,
        callback_manager: object = None,
        model_kwargs: Mapping[str, Any] | None = None,
        truncate_dim: int | None = None,
        similarity_fn_name: str | None = None,
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        on_truncation: OnTruncation = "warn",
        threads: int | None = None,
        cache: EmbeddingCache | None = None,
        num_workers: int | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **further: Any,
    ) -> None:
        super().__init__(
            str(model_name),
            embed_batch_size,
            num_workers=num_workers,
            cache=cache,
            callback_manager=callback_manager,
        )
        self.on_truncation = on_truncation
        self.show_progress_bar = show_progress_bar
        self.options = Options(
            backend=backend,
            device=device,
            max_length=max_length,
            normalize=normalize,
            truncate_dim=truncate_dim,
            similarity=similarity_fn_name,
            batch_texts=embed_batch_size,
            threads=Settings.threads if threads is None else threads,
            on_truncation=on_truncation,
            trust_remote_code=trust_remote_code,
            parallel_process=parallel_process,
            target_devices=tuple(target_devices) if target_devices else None,
            model_kwargs=copy(model_kwargs or {}),
            further=further,
        )
        choice = choose_by_keywords(self.options)
        # Kept, but for the token, to find the model again where it is unpickled.
        self._places: dict[str, Any] = {
            "cache_folder": cache_folder,
            "local_files_only": local_files_only,
            "code": trust_remote_code,
        }
        self.found = find_model(
            self.model_name,
            files=wanted_files(choice.backend if choice else "native", self.options.file_name),
            revision=revision,
            token=token,
            **self._places,
        )
        self._folder = read_folder(self.found.path)
        self.applied_prompts = choose_prompts(
            self._folder,
            self.found.name,
            query_instruction=query_instruction,
            text_instruction=text_instruction,
            prompts=prompts,
            default_prompt_name=default_prompt_name,
        )
        self._open(choice or choose_by_folder(self._folder, self.options))
        if parallel_process and self.backend in {"onnx", "openvino"}:
            warn(
                f"parallel_process=True does nothing on backend={self.backend!r}: one process "
                "computes all. Leave it out, or use backend='torch' for several devices."
            )

    _fingerprint: str | None = None

    def _open(self, choice: Choice) -> None:
        self.choice = choice
        self._runner = load_model(self.found.name, self._folder, choice.backend, self.options)

    @property
    def _model(self) -> Any:
        """The SentenceTransformer on torch; elsewhere what has its ``encode``, ``similarity``."""
        return self._runner.exposed

    @property
    def fingerprint(self) -> str:
        """What tells this model's vectors from any other's; weights are hashed when first asked."""
        if self._fingerprint is None:
            facts = folder_facts(
                self._folder,
                weights=self._runner.weights,
                prompts=self.applied_prompts,
                max_tokens=self.max_tokens,
                normalize=self.options.normalize,
                truncate_dim=self.options.truncate_dim,
                cache_dir=Settings.cache_dir,
            )
            self._fingerprint = fingerprint(facts | self._runner.facts)
        return self._fingerprint

    def encode_with_report(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> tuple[Vectors, EmbeddingReport]:
        """Give the vectors of texts, and what it took; see :meth:`BaseEmbedding.encode`."""
        return super().encode_with_report(
            texts, input_type=input_type, show_progress=show_progress or self.show_progress_bar
        )

    async def aencode_with_report(
        self,
        texts: Sequence[str],
        *,
        input_type: InputType = "document",
        show_progress: bool = False,
    ) -> tuple[Vectors, EmbeddingReport]:
        """Give the vectors of texts, and what it took, as :meth:`encode_with_report` does."""
        return await super().aencode_with_report(
            texts, input_type=input_type, show_progress=show_progress or self.show_progress_bar
        )

    def close(self) -> None:
        """Stop the processes that ``parallel_process`` started, if any."""
        self._runner.close()

    def __repr__(self) -> str:
        """Name the model, the backend, why it was chosen, and the prompts."""
        why = f" ({self.choice.why})" if self.choice.why else ""
        dtype = ", dtype='int8'" if self._runner.facts.get("dtype") == "int8" else ""
        prompts = f", prompts={self.applied_prompts!r}" if self.applied_prompts != Prompts() else ""
        return (
            f"{type(self).__name__}(model_name={self.model_name!r}, "
            f"backend={self.backend!r}{why}{dtype}, dim={self.dim}, "
            f"max_tokens={self.max_tokens}{prompts})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights behind when pickled or copied."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings and load the model anew, fetched again if its folder is not there."""
        vars(self).update(state)
        if not self.found.path.is_dir():
            self.found = find_model(
                self.model_name,
                files=wanted_files(self.choice.backend, self.options.file_name),
                revision=self.found.revision,
                **self._places,
            )
            self._folder = read_folder(self.found.path)
        self._open(self.choice)
