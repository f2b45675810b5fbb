"""A model folder, read as sentence-transformers reads it; nothing in it is run.

``modules.json`` names the steps: a transformer, pooling, dense layers, a
normalisation. Without it the folder is a plain transformer, pooled by the mean
(by the last token for a causal language model). What is damaged, pickled, or
points out of the folder is refused by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.safetensors import SafetensorsFile, ShardedTensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "pytorch_model.pt")
POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
NO_LIMIT = 1_000_000_000  # tokenizer configs write absurdly large numbers for "no limit"


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A dense layer after the pooling, as its folder describes it.

    Attributes:
        path: Its folder, relative to the model's.
        activation: The activation's class name, such as ``"Tanh"`` or ``"Identity"``.
        bias: Whether it has one.
    """

    path: str
    activation: str
    bias: bool


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says about its model.

    Attributes:
        path: The folder.
        config: The transformer's ``config.json``.
        transformer: The transformer's own folder, relative; ``""`` for the model's.
        pooling: Names of :data:`POOLING_MODES`, their results joined end to end.
        include_prompt: Whether the tokens of a prompt take part in the pooling.
        dense: Dense layers, in order.
        normalize: Whether the vectors are scaled to length 1.
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
    transformer: str = ""
    pooling: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    dense: tuple[DenseLayer, ...] = ()
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    default_prompt_name: str | None = None
    similarity: str = "cosine"
    truncate_dim: int | None = None
    max_tokens: int | None = None
    position_limit: int | None = None
    lower_case: bool = False
    tokenizer_config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
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

    @property
    def tokenizer_file(self) -> Path:
        """``tokenizer.json``, of the transformer's folder or the model's."""
        found = self.file(self.transformer, "tokenizer.json") or self.file("tokenizer.json")
        if found is None:
            message = (
                f"{self.path} has no tokenizer.json. Make one with transformers: "
                f"AutoTokenizer.from_pretrained({str(self.path)!r}).save_pretrained(...)."
            )
            raise ModelLoadError(message)
        return found

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files of the transformer and the dense layers, in order."""
        shards = set(self._shards.values()) if self._shards else {self._whole(self.transformer)}
        return (*sorted(shards), *(self._whole(layer.path) for layer in self.dense))

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Give the transformer's tensors by name, read when asked for.

        Raises:
            ModelLoadError: They are absent, pickled or damaged.
        """
        if self._shards:
            return ShardedTensors(self._shards)
        return SafetensorsFile(self._whole(self.transformer))

    def dense_tensors(self, layer: DenseLayer) -> tuple[NDArray[np.float32], Any]:
        """Give a dense layer's weight ``(out, in)`` and bias ``(out,)`` or ``None``.

        Raises:
            ModelLoadError: They are absent, pickled or damaged.
        """
        file = SafetensorsFile(self._whole(layer.path))
        try:
            return file["linear.weight"], file["linear.bias"] if layer.bias else None
        except KeyError as error:
            message = f"{file.path} lacks the tensor {error}."
            raise ModelLoadError(message) from error

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
        if self.file(self.transformer, WEIGHTS):
            return {}
        index = self.file(self.transformer, WEIGHTS_INDEX)
        if index is None:
            return {}
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            message = f"{index} has no weight_map. Fetch it again."
            raise ModelLoadError(message)
        found: dict[str, Path] = {}
        for tensor, name in weight_map.items():
            path = self.file(self.transformer, str(name))
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


def checked_file(root: Path, *parts: str) -> Path | None:
    """Find a file within a folder, links out of it refused.

    Args:
        root: The folder.
        parts: The file's place in it.

    Returns:
        Its path, or ``None`` when there is none.

    Raises:
        ModelLoadError: It leads out of the folder, or is a Git LFS pointer.
    """
    path = root.joinpath(*parts)
    if not path.is_file():
        if path.is_symlink():
            message = f"{path} is a link to nothing. Fetch the model again."
            raise ModelLoadError(message)
        return None
    real, home = path.resolve(), root.resolve()
    if not real.is_relative_to(home) and not real.is_relative_to(_blobs(home)):
        message = (
            f"{path} leads out of the model's folder, to {real}; refused. Copy the file there."
        )
        raise ModelLoadError(message)
    with path.open("rb") as file:
        if file.read(23) == b"version https://git-lfs":
            message = f"{path} is a Git LFS pointer, not the file. Run 'git lfs pull' in {root}."
            raise ModelLoadError(message)
    return path


def check_links(root: Path) -> None:
    """Refuse a folder that holds a link out of it, wherever it is.

    Raises:
        ModelLoadError: The message names the link.
    """
    for path in root.rglob("*"):
        if path.is_symlink() and path.is_file():
            checked_file(root, *path.relative_to(root).parts)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelLoadError: The file is cut short, damaged, or holds something else.
    """
    content = _parsed(path)
    if not isinstance(content, dict):
        message = f"{path} does not hold a JSON object. Fetch it again."
        raise ModelLoadError(message)
    return content


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
    modules_file = checked_file(root, "modules.json")
    modules = _modules(modules_file) if modules_file else None
    transformer = modules[0]["path"] if modules else ""
    config_file = checked_file(root, transformer, "config.json")
    if config_file is None:
        message = f"{root} is not a model folder: {Path(transformer, 'config.json')} is missing."
        raise ModelLoadError(message)
    config = read_json(config_file)
    facts = _head_facts(root, modules) if modules else _plain_facts(config)
    own = _optional(root, "config_sentence_transformers.json")
    bert = _first_optional(root, transformer, TRANSFORMER_CONFIGS)
    tokenizer = _optional(root, transformer, "tokenizer_config.json")
    facts.setdefault("custom_code", _custom_code(config, tokenizer))
    facts.setdefault("not_understood", _unusual(bert))
    prompts = own.get("prompts") or {}
    return ModelFolder(
        path=root,
        config=MappingProxyType(config),
        transformer=transformer,
        prompts=MappingProxyType({k: v for k, v in prompts.items() if isinstance(v, str)}),
        default_prompt_name=own.get("default_prompt_name"),
        similarity=str(own.get("similarity_fn_name") or "cosine").removesuffix("_product"),
        truncate_dim=own.get("truncate_dim"),
        max_tokens=_max_tokens(config, bert, tokenizer),
        position_limit=_position_limit(config),
        lower_case=bool(bert.get("do_lower_case")),
        tokenizer_config=MappingProxyType(tokenizer),
        **facts,
    )


def _blobs(snapshot: Path) -> Path:
    """The folder a hub cache's snapshot links into; the snapshot itself if it is none."""
    if snapshot.parent.name == "snapshots":
        return snapshot.parent.parent / "blobs"
    return snapshot


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise ModelLoadError(message) from error
    except ValueError as error:
        message = f"{path} is damaged or half downloaded: it is not JSON ({error}). Fetch it again."
        raise ModelLoadError(message) from error


def _optional(root: Path, *parts: str) -> dict[str, Any]:
    found = checked_file(root, *parts)
    return read_json(found) if found else {}


def _first_optional(root: Path, folder: str, names: tuple[str, ...]) -> dict[str, Any]:
    for name in names:
        found = checked_file(root, folder, name)
        if found:
            return read_json(found)
    return {}


def _modules(path: Path) -> list[dict[str, str]]:
    modules = _parsed(path)
    sound = isinstance(modules, list) and modules
    if not sound or not all(
        isinstance(m, dict) and isinstance(m.get("type"), str) and isinstance(m.get("path"), str)
        for m in modules
    ):
        message = f"{path} does not list the model's modules. Fetch it again."
        raise ModelLoadError(message)
    for module in modules:
        if Path(module["path"]).is_absolute() or ".." in Path(module["path"]).parts:
            message = f"{path} names {module['path']!r}, outside the folder; refused."
            raise ModelLoadError(message)
    return list(modules)


def _plain_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The head sentence-transformers puts on a plain transformer."""
    architecture = str((config.get("architectures") or [""])[0])
    causal = architecture.endswith("ForCausalLM") and config.get("is_causal", True)
    return {"pooling": ("lasttoken",) if causal else ("mean",)}


def _head_facts(root: Path, modules: list[dict[str, str]]) -> dict[str, Any]:
    """Read the modules after the transformer; the first that is unknown is named."""
    facts: dict[str, Any] = {"pooling": ()}
    dense: list[DenseLayer] = []
    for number, module in enumerate(modules):
        package, _, kind = module["type"].rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            return facts | {"custom_code": f"its module {module['type']} is code of its own"}
        config = _optional(root, module["path"], "config.json") if number else {}
        problem = _misplaced(kind, number, facts)
        if kind == "Pooling" and not problem:
            facts["pooling"], problem = _pooling(config)
            facts["include_prompt"] = config.get("include_prompt", True)
        elif kind == "Dense" and not problem:
            layer, problem = _dense(module["path"], config)
            dense.append(layer)
        elif kind == "Normalize":
            facts["normalize"] = True
        if problem:
            return facts | {"not_understood": problem}
    if not facts["pooling"]:
        return facts | {"not_understood": "modules.json names no Pooling module"}
    return facts | {"dense": tuple(dense)}


def _misplaced(kind: str, number: int, facts: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a module of this kind at this place."""
    if kind not in {"Transformer", "Pooling", "Dense", "Normalize", "Dropout"}:
        return f"its module {kind!r} is not known here"
    in_order = {
        "Transformer": number == 0,
        "Pooling": number > 0 and not facts["pooling"],
        "Dense": bool(facts["pooling"]) and not facts.get("normalize"),
        "Normalize": bool(facts["pooling"]),
        "Dropout": number > 0,
    }
    return None if in_order[kind] else f"its module {kind!r} stands at an unusual place ({number})"


def _pooling(config: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    named = config.get("pooling_mode")
    if named is not None:
        modes = (named,) if isinstance(named, str) else tuple(named)
    else:
        old_names = {"cls": "cls_token", "lasttoken": "lasttoken"}
        old_names |= {mode: f"{mode}_tokens" for mode in ("max", "mean", "weightedmean")}
        old_names |= {"mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}
        flags = {mode: config.get(f"pooling_mode_{old_names[mode]}") for mode in POOLING_MODES}
        modes = tuple(mode for mode, flag in flags.items() if flag) or ("mean",)
    unknown = next((mode for mode in modes if mode not in POOLING_MODES), None)
    return modes, f"its pooling mode {unknown!r} is not known here" if unknown else None


def _dense(path: str, config: Mapping[str, Any]) -> tuple[DenseLayer, str | None]:
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    layer = DenseLayer(path, activation.rpartition(".")[2], bool(config.get("bias", True)))
    ends = {config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output")}
    if ends != {"sentence_embedding"}:
        return layer, f"its Dense module {path!r} works on something else than the vector"
    if not activation.startswith("torch.nn."):
        return layer, f"its Dense module {path!r} has the activation {activation}"
    return layer, None


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
