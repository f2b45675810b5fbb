"""A model folder, read as sentence-transformers reads it; nothing in it is run.

``modules.json`` names the steps: a transformer, pooling, dense layers, a
normalisation. Without it the folder is a plain transformer, pooled by the mean
(by the last token for a causal language model). What is damaged, pickled, or
points out of the folder is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.encoder import widen
from nearfield.runtime.model_files import checked_file, naming, read_json, read_json_if_there
from nearfield.runtime.modules import DenseLayer, Modules, plain_transformer, read_modules
from nearfield.runtime.pooling import Dense, Head
from nearfield.runtime.safetensors import SafetensorsFile, ShardedTensors

if TYPE_CHECKING:
    from collections.abc import Mapping


WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "pytorch_model.pt")
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
NO_LIMIT = 1_000_000_000  # tokenizer configs write absurdly large numbers for "no limit"


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says about its model.

    Attributes:
        path: The folder.
        config: The transformer's ``config.json``.
        modules: What follows the transformer, and where that lies.
        prompts: Texts put before others, by name.
        default_prompt_name: The prompt used when none is asked for.
        similarity: ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"manhattan"``.
        truncate_dim: How many numbers of each vector are kept.
        max_tokens: Tokens the model reads of a text, specials included; ``None`` without a limit.
        position_limit: Tokens the model has positions for, likewise.
        lower_case: Whether texts are lower-cased first.
        tokenizer_config: ``tokenizer_config.json``.
        not_understood: Why only sentence-transformers itself can run this folder, if so.
        custom_code: What in the folder asks for code of its own to be run, if anything.
    """

    path: Path
    config: Mapping[str, Any]
    modules: Modules
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity: str = "cosine"
    truncate_dim: int | None = None
    max_tokens: int | None = None
    position_limit: int | None = None
    lower_case: bool = False
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict)
    not_understood: str | None = None
    custom_code: str | None = None

    def file(self, *parts: str) -> Path | None:
        """Find a file of the folder.

        Args:
            parts: Its place, relative to the folder.

        Returns:
            Its path, or ``None`` when there is none.

        Raises:
            ModelLoadError: It leads out of the folder, or is a Git LFS pointer.
        """
        return checked_file(self.path, *parts)

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files of the transformer and the dense layers, in order."""
        shards = (
            set(self._shards.values()) if self._shards else {self._whole(self.modules.transformer)}
        )
        return (*sorted(shards), *(self._whole(layer.path) for layer in self.modules.dense))

    def tensors(self) -> SafetensorsFile | ShardedTensors:
        """Give the transformer's tensors by name, read when asked for.

        Raises:
            ModelLoadError: They are absent, pickled or damaged.
        """
        if self._shards:
            return ShardedTensors(self._shards)
        return SafetensorsFile(self._whole(self.modules.transformer))

    def head(self, *, normalize: bool = False, truncate_dim: int | None = None) -> Head:
        """Give what follows the encoder.

        Args:
            normalize: Scale the vectors to length 1 even if the folder does not say so.
            truncate_dim: Keep so many numbers, in place of the folder's own word. Normalising
                comes after it, the folder's too: ``runtime/cut.py`` has the other order.

        Raises:
            ModelLoadError: A dense layer's weights are absent, pickled or damaged.
        """
        return Head(
            pooling=self.modules.pooling,
            normalize=normalize or self.modules.normalize,
            dense=tuple(self._dense(layer) for layer in self.modules.dense),
            truncate_dim=truncate_dim or self.truncate_dim,
            include_prompt=self.modules.include_prompt,
        )

    def _dense(self, layer: DenseLayer) -> Dense:
        file = SafetensorsFile(self._whole(layer.path))
        try:
            bias = widen(file["linear.bias"]) if layer.bias else None
            return Dense(widen(file["linear.weight"]), bias, layer.activation)
        except KeyError as error:
            message = f"{file.path} lacks the tensor {error}."
            raise ModelLoadError(message) from error

    @property
    def understood(self) -> bool:
        """Whether all its modules are known here."""
        return not (self.custom_code or self.not_understood)

    def require_understood(self) -> None:
        """Refuse a folder that only sentence-transformers itself can run.

        Raises:
            ModelLoadError: The message names the module or setting.
        """
        why = self.custom_code or self.not_understood
        if why:
            cure = ", trust_remote_code=True" if self.custom_code else ""
            message = f"{self.path}: {why}. Use backend='torch'{cure}."
            raise ModelLoadError(message)

    @cached_property
    def _shards(self) -> dict[str, Path]:
        if self.file(self.modules.transformer, WEIGHTS):
            return {}
        index = self.file(self.modules.transformer, WEIGHTS_INDEX)
        if index is None:
            return {}
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            message = f"{index} has no weight_map. Fetch it again."
            raise ModelLoadError(message)
        found: dict[str, Path] = {}
        for tensor, name in weight_map.items():
            path = self.file(self.modules.transformer, str(name))
            if path is None:
                message = f"{self.path} lacks {name}, which its index lists."
                raise ModelLoadError(message)
            found[tensor] = path
        return found

    def _whole(self, folder: str) -> Path:
        found = self.file(folder, WEIGHTS)
        if found is not None:
            return found
        where = self.path / folder
        pickled = next((name for name in PICKLED if self.file(folder, name)), None)
        if pickled:
            message = (
                f"{where} has its weights only as {pickled}, a pickle, which can run code when "
                "read; refused. Use a revision with safetensors (the hub's converter proposes one "
                "as revision='refs/pr/N'), or save them anew with safetensors in a sandbox."
            )
            raise ModelLoadError(message)
        message = f"{where} has no {WEIGHTS}. Fetch the model again."
        raise ModelLoadError(message)


def read_folder(path: Path | str) -> ModelFolder:
    """Read what a model folder says, without its weights.

    Args:
        path: The folder.

    Returns:
        Its description; ``not_understood`` says what in it is unknown here.

    Raises:
        ModelLoadError: A file is missing, damaged, or leads out of the folder.
    """
    root = Path(path)
    with naming(root):
        return _read_folder(root)


def _read_folder(root: Path) -> ModelFolder:
    modules = read_modules(root)
    transformer = modules.transformer if modules else ""
    config_file = checked_file(root, transformer, "config.json")
    if config_file is None:
        message = f"{root} is not a model folder: {Path(transformer, 'config.json')} is missing."
        raise ModelLoadError(message)
    config = read_json(config_file)
    modules = modules or plain_transformer(config)
    own = read_json_if_there(root, "config_sentence_transformers.json")
    bert = _first_optional(root, transformer, TRANSFORMER_CONFIGS)
    tokenizer = read_json_if_there(root, transformer, "tokenizer_config.json")
    prompts = own.get("prompts") or {}
    return ModelFolder(
        path=root,
        config=config,
        modules=modules,
        prompts={k: v for k, v in prompts.items() if isinstance(v, str)},
        default_prompt_name=own.get("default_prompt_name"),
        similarity=str(own.get("similarity_fn_name") or "cosine").removesuffix("_product"),
        truncate_dim=_truncate_dim(own),
        max_tokens=_max_tokens(config, bert, tokenizer),
        position_limit=_position_limit(config),
        lower_case=bool(bert.get("do_lower_case")),
        tokenizer_config=tokenizer,
        not_understood=modules.not_understood or _unusual(bert),
        custom_code=modules.custom_code or _custom_code(config, tokenizer),
    )


def _truncate_dim(own: Mapping[str, Any]) -> int | None:
    asked = own.get("truncate_dim")
    if asked is not None and type(asked) is not int:
        message = f"truncate_dim is {asked!r}"
        raise ValueError(message)
    return asked


def _first_optional(root: Path, folder: str, names: tuple[str, ...]) -> dict[str, Any]:
    for name in names:
        content = read_json_if_there(root, folder, name)
        if content:
            return content
    return {}


def _custom_code(*configs: Mapping[str, Any]) -> str | None:
    for config in configs:
        if config.get("auto_map"):
            return "its config names code of its own to run (auto_map)"
    return None


def _unusual(bert: Mapping[str, Any]) -> str | None:
    """Say what in the transformer's sentence config is done nowhere but in its own library."""
    if bert.get("transformer_task", "feature-extraction") != "feature-extraction":
        return f"its transformer_task {bert['transformer_task']!r} is not known here"
    if bert.get("processing_kwargs"):
        return "its sentence config has processing_kwargs, which are not known here"
    if bert.get("module_output_name", "token_embeddings") != "token_embeddings":
        return f"its transformer gives {bert['module_output_name']!r}, not token_embeddings"
    return None


def _position_limit(config: Mapping[str, Any]) -> int | None:
    limit = config.get("max_position_embeddings")
    if not isinstance(limit, int) or limit < 1:
        return None
    # These families count positions from the padding token's number plus one.
    offset = {"roberta", "xlm-roberta", "camembert", "mpnet"}
    if config.get("model_type") in offset:
        return limit - int(config.get("pad_token_id", 1)) - 1
    return limit


def _max_tokens(
    config: Mapping[str, Any], bert: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> int | None:
    """The limit of the sentence config, or else of tokenizer and positions; never past them."""
    own = bert.get("max_seq_length") or tokenizer.get("model_max_length")
    limits = [
        int(limit)
        for limit in (own, _position_limit(config))
        if isinstance(limit, (int, float)) and 0 < limit < NO_LIMIT
    ]
    return min(limits, default=None)
