"""PyTorch as a backend: SentenceTransformer itself, fed in batches of our making.

On a GPU this has been written but not run: see docs/performance.md.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.core.vectors import normalize
from nearfield.errors import ConfigError, ModelLoadError
from nearfield.runtime.cut import CUT_FACTS, cut_after_normalizing
from nearfield.runtime.local_model import LocalModel
from nearfield.runtime.model_files import check_links
from nearfield.runtime.padded import pad, padded_batches
from nearfield.runtime.pickles import lone_pickles, refuse_pickles
from nearfield.runtime.pooling import kept_dim
from nearfield.runtime.tokenize import TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nearfield.core.vectors import SimilarityMode, Vectors
    from nearfield.runtime.model_folder import ModelFolder
    from nearfield.runtime.options import Options

PURPOSE = "backend='torch'"
CPU_TOKENS = 2048
GPU_TOKENS = 32768
DTYPE_SINCE = (4, 56)  # the transformers version that calls torch_dtype dtype


class TorchEngine:
    """SentenceTransformer's modules over batches of tokens.

    Args:
        model: The SentenceTransformer.
        options: What the user asked.
    """

    def __init__(self, model: Any, options: Options) -> None:
        self._torch = require("torch", extra="torch", purpose=PURPOSE)
        self.model = model
        self.name = f"torch ({model.device})"
        self._options = options
        self._padding = int(getattr(model.tokenizer, "pad_token_id", None) or 0)
        self.whole_dim = self._forward([[0, 0]], 0).shape[1]
        self.dim = kept_dim(model.truncate_dim, self.whole_dim)

    def encode(self, token_ids: Sequence[Sequence[int]], *, prompt_tokens: int = 0) -> Vectors:
        """Compute the vectors of texts; see ``Engine.encode``."""
        vectors = np.empty((len(token_ids), self.dim), np.float32)
        on_cpu = str(self.model.device) == "cpu"
        batches = padded_batches(
            token_ids,
            texts=self._options.batch_texts,
            tokens=CPU_TOKENS if on_cpu else GPU_TOKENS,
        )
        for numbers in batches:
            rows = [token_ids[number] for number in numbers]
            vectors[numbers] = self._forward(rows, prompt_tokens)[:, : self.dim]
        return normalize(vectors) if self._options.normalize else vectors

    def _forward(self, rows: Sequence[Sequence[int]], prompt_tokens: int) -> Vectors:
        torch, device = self._torch, self.model.device
        ids, mask = (torch.from_numpy(part).to(device) for part in pad(rows, self._padding))
        features: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if prompt_tokens:
            features["prompt_length"] = prompt_tokens
        with torch.inference_mode():
            found = self.model(features)["sentence_embedding"]
        vectors: Vectors = found.float().cpu().numpy()
        return vectors


class TorchModel(LocalModel):
    """A SentenceTransformer run on its own tokens where that can be, else on texts.

    Args:
        name: The model's name, for messages.
        model: The SentenceTransformer.
        tokenizer: Its tokenizer, with the limit that holds.
        options: What the user asked.
        weights: The files its weights were read from.
        facts: What else changes its vectors.
        mode: The comparison the model was trained for.
    """

    engine: TorchEngine

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: TextTokenizer,
        options: Options,
        *,
        weights: tuple[Path, ...],
        facts: Mapping[str, Any],
        mode: SimilarityMode,
    ) -> None:
        super().__init__(
            name,
            tokenizer,
            TorchEngine(model, options),
            backend="torch",
            weights=weights,
            facts=facts,
            mode=mode,
            on_truncation=options.on_truncation,
        )
        self._options = options
        self._pool: Any = None
        self._stopping: Callable[[], object] | None = None
        self._using = threading.Lock()

    @property
    def exposed(self) -> Any:
        """The SentenceTransformer, as LlamaIndex exposes it."""
        return self.engine.model

    def embed(self, texts: Sequence[str], prompt: str = "") -> Vectors:
        """Compute the vectors of texts; with ``parallel_process`` on all target devices."""
        if not self._options.parallel_process:
            return super().embed(texts, prompt)
        self.admit(texts, self.tokenizer.encode(texts, prompt))
        with self._using:  # the answers to all calls come through one queue, which mixes them
            try:
                vectors: Vectors = self.engine.model.encode(
                    list(texts),
                    prompt=prompt,  # None would stand for the model's own
                    batch_size=self._options.batch_texts or 32,
                    pool=self._started_pool(),
                    normalize_embeddings=self._options.normalize,
                    show_progress_bar=False,
                )
            except BaseException:
                self._stop_pool()  # or answers nobody waited for would go to the next call
                raise
        return vectors

    def close(self) -> None:
        """Stop the processes of ``parallel_process``, if any were started."""
        with self._using:
            self._stop_pool()

    def _stop_pool(self) -> None:
        stopping, self._pool, self._stopping = self._stopping, None, None
        if stopping is not None:
            stopping()

    def _started_pool(self) -> Any:
        if self._pool is None:  # once for the life of the model: each process loads it anew
            devices = self._options.target_devices
            self._pool = self.engine.model.start_multi_process_pool(
                list(devices) if devices else None
            )
            # Also where the model is forgotten without being closed.
            stop = self.engine.model.stop_multi_process_pool
            self._stopping = weakref.finalize(self, stop, self._pool)
        return self._pool


def load_torch(
    name: str, folder: ModelFolder, options: Options, mode: SimilarityMode
) -> TorchModel:
    """Load a folder into SentenceTransformer.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        options: What the user asked.
        mode: The comparison the model was trained for.

    Raises:
        MissingDependencyError: torch or sentence-transformers is not installed.
        ModelLoadError: The folder asks for code or pickles to be run, or cannot be loaded.
        ConfigError: The device is not there, or a dtype is unknown.
    """
    torch = require("torch", extra="torch", purpose=PURPOSE)
    if not options.trust_remote_code:
        if folder.custom_code:
            folder.require_understood()
        refuse_pickles(folder.path)
        check_links(folder.path)
    for device in (options.device, *(options.target_devices or ())):
        check_device(torch, device)
    library = require("sentence_transformers", extra="torch", purpose=PURPOSE)
    kwargs = _model_kwargs(torch, options.model_kwargs)
    further = {"local_files_only": True, **options.further}
    if options.truncate_dim is not None:
        further["truncate_dim"] = options.truncate_dim
    if options.similarity is not None:
        further["similarity_fn_name"] = {"dot_product": "dot"}.get(mode.value, mode.value)
    try:
        model = library.SentenceTransformer(
            str(folder.path),
            device=options.device,
            trust_remote_code=options.trust_remote_code,
            model_kwargs=kwargs,
            **further,
        )
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
        if isinstance(error, TypeError) and options.further:
            raise  # a keyword that SentenceTransformer does not take
        message = f"sentence-transformers cannot load {folder.path}: {error}"
        raise ModelLoadError(message) from error
    model.eval()
    tokenizer = _tokenizer(model, folder, options)
    made = TorchModel(
        name,
        model,
        tokenizer,
        options,
        weights=_weights(folder, trusted=options.trust_remote_code),
        facts=_facts(folder, options, kwargs),
        mode=mode,
    )
    if cut_after_normalizing(folder, options) and made.engine.dim < made.engine.whole_dim:
        made.facts |= CUT_FACTS
    return made


def _facts(folder: ModelFolder, options: Options, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what changes the vectors beside the folder's files and the usual options."""
    facts: dict[str, Any] = {}
    if kwargs or options.further:
        facts["torch"] = {k: repr(v) for k, v in {**kwargs, **options.further}.items()}
    if not folder.understood:  # nor is it known whether the model normalises by itself
        facts["normalize"] = "asked" if options.normalize else "left to the model"
    return facts


def _tokenizer(model: Any, folder: ModelFolder, options: Options) -> TextTokenizer:
    """The model's own tokenizer, as SentenceTransformer has set it up."""
    limit = options.max_length or _least(folder.max_tokens, model.max_seq_length)
    if options.max_length:
        model.max_seq_length = options.max_length
    fast = getattr(model.tokenizer, "backend_tokenizer", None)
    if fast is None:
        message = (
            f"{folder.path} has a tokenizer that is not one of the tokenizers library, so its "
            "texts cannot be measured. Save it anew as tokenizer.json."
        )
        raise ModelLoadError(message)
    side = {"truncation_side": model.tokenizer.truncation_side}
    # A copy: SentenceTransformer's own keeps its truncation and padding.
    copy = type(fast).from_str(fast.to_str())
    return TextTokenizer(copy, max_tokens=limit, config=side, threads=options.threads)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit), default=None)


def _weights(folder: ModelFolder, *, trusted: bool) -> tuple[Path, ...]:
    """All weight files of a folder, understood or not; pickles where there is nothing else."""
    if not folder.understood:
        return tuple(sorted(folder.path.rglob("*.safetensors"))) or lone_pickles(folder.path)
    try:
        return folder.weight_files
    except ModelLoadError:
        if not trusted:
            raise
        return lone_pickles(folder.path)


def check_device(torch: Any, device: str | int | None) -> None:
    """Refuse a device this machine does not have: nothing runs silently elsewhere.

    Raises:
        ConfigError: The message names the device, and how many there are.
    """
    named = f"cuda:{device}" if isinstance(device, int) else str(device or "cpu")
    kind, _, number = named.partition(":")
    there = {
        "cpu": lambda: 1,
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    if kind in there and int(number or 0) >= there[kind]():
        message = (
            f"There is no device {device!r} here: torch {torch.__version__} sees "
            f"{there[kind]()} of the kind {kind!r}. Use device='cpu'."
        )
        raise ConfigError(message)


def _model_kwargs(torch: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Spell the number type as the installed transformers does."""
    kwargs = dict(given)
    asked = kwargs.pop("torch_dtype", None)
    asked = kwargs.pop("dtype", asked)
    if asked is None or asked == "auto":
        return kwargs | ({"torch_dtype": asked} if asked else {})
    dtype = getattr(torch, asked, None) if isinstance(asked, str) else asked
    if not isinstance(dtype, torch.dtype):
        message = f"dtype={asked!r} is no number type of torch, such as 'float16'."
        raise ConfigError(message)
    transformers = require("transformers", extra="torch", purpose=PURPOSE)
    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    return kwargs | {"dtype" if version >= DTYPE_SINCE else "torch_dtype": dtype}
