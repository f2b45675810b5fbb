"""``modules.json``: the steps a sentence-transformers folder is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.model_files import checked_file, parsed_json, read_json_if_there
from nearfield.runtime.pooling import Activation, Pooling

if TYPE_CHECKING:
    from collections.abc import Mapping

# What sentence-transformers calls each way of pooling, and the switch that older folders have.
_POOLING = {
    "cls": (Pooling.CLS, "pooling_mode_cls_token"),
    "max": (Pooling.MAX, "pooling_mode_max_tokens"),
    "mean": (Pooling.MEAN, "pooling_mode_mean_tokens"),
    "mean_sqrt_len_tokens": (Pooling.MEAN_SQRT_LEN, "pooling_mode_mean_sqrt_len_tokens"),
    "weightedmean": (Pooling.WEIGHTED_MEAN, "pooling_mode_weightedmean_tokens"),
    "lasttoken": (Pooling.LAST_TOKEN, "pooling_mode_lasttoken"),
}
_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A dense layer after the pooling, as its folder describes it.

    Attributes:
        path: Its folder, relative to the model's.
        activation: What it applies.
        bias: Whether it has one.
    """

    path: str
    activation: Activation
    bias: bool


@dataclass(frozen=True, slots=True)
class Modules:
    """What follows the transformer.

    Attributes:
        transformer: The transformer's own folder, relative; ``""`` for the model's.
        pooling: Ways of pooling, their results joined end to end.
        include_prompt: Whether the tokens of a prompt take part in the pooling.
        dense: Dense layers, in order.
        normalize: Whether the vectors are scaled to length 1.
        not_understood: What only sentence-transformers itself can run, if anything.
        custom_code: What asks for code of its own to be run, if anything.
    """

    transformer: str = ""
    pooling: tuple[Pooling, ...] = ()
    include_prompt: bool = True
    dense: tuple[DenseLayer, ...] = ()
    normalize: bool = False
    not_understood: str | None = None
    custom_code: str | None = None


def read_modules(root: Path) -> Modules | None:
    """Read ``modules.json`` and the modules' own configs.

    Args:
        root: The model's folder.

    Returns:
        The modules, or ``None`` when the folder lists none.

    Raises:
        ModelLoadError: A file is damaged, or leads out of the folder.
    """
    file = checked_file(root, "modules.json")
    if file is None:
        return None
    listed = _listed(file)
    modules = Modules(transformer=listed[0]["path"])
    for number, entry in enumerate(listed):
        package, _, kind = entry["type"].rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            return replace(modules, custom_code=f"its module {entry['type']} is code of its own")
        problem = _misplaced(kind, number, modules)
        if problem is None and number:
            config = read_json_if_there(root, entry["path"], "config.json")
            modules = _with_module(modules, kind, entry["path"], config)
            problem = modules.not_understood
        if problem:
            return replace(modules, not_understood=problem)
    if not modules.pooling:
        return replace(modules, not_understood="modules.json names no Pooling module")
    return modules


def plain_transformer(config: Mapping[str, Any]) -> Modules:
    """Give the pooling sentence-transformers puts on a transformer without ``modules.json``.

    Args:
        config: The transformer's config.

    Returns:
        Mean pooling, or the last token's state for a causal language model.
    """
    architecture = str((config.get("architectures") or [""])[0])
    causal = architecture.endswith("ForCausalLM") and config.get("is_causal", True)
    return Modules(pooling=(Pooling.LAST_TOKEN if causal else Pooling.MEAN,))


def _listed(path: Path) -> list[dict[str, str]]:
    modules = parsed_json(path)
    if (
        not isinstance(modules, list)
        or not modules
        or not all(
            isinstance(entry, dict) and all(isinstance(entry.get(k), str) for k in ("type", "path"))
            for entry in modules
        )
    ):
        message = f"{path} does not list the model's modules. Fetch it again."
        raise ModelLoadError(message)
    for entry in modules:
        if Path(entry["path"]).is_absolute() or ".." in Path(entry["path"]).parts:
            message = f"{path} names {entry['path']!r}, outside the folder; refused."
            raise ModelLoadError(message)
    return modules


def _misplaced(kind: str, number: int, modules: Modules) -> str | None:
    """Say what is wrong with a module of this kind at this place."""
    in_order = {
        "Transformer": number == 0,
        "Pooling": number > 0 and not modules.pooling,
        "Dense": bool(modules.pooling) and not modules.normalize,
        "Normalize": bool(modules.pooling),
        "Dropout": number > 0,
    }
    if kind not in in_order:
        return f"its module {kind!r} is not known here"
    return None if in_order[kind] else f"its module {kind!r} stands at an unusual place ({number})"


def _with_module(modules: Modules, kind: str, path: str, config: Mapping[str, Any]) -> Modules:
    if kind == "Pooling":
        ways, problem = _pooling(config)
        include = bool(config.get("include_prompt", True))
        return replace(modules, pooling=ways, include_prompt=include, not_understood=problem)
    if kind == "Dense":
        layer, problem = _dense(path, config)
        dense = (*modules.dense, layer) if layer else modules.dense
        return replace(modules, dense=dense, not_understood=problem)
    return replace(modules, normalize=True) if kind == "Normalize" else modules


def _pooling(config: Mapping[str, Any]) -> tuple[tuple[Pooling, ...], str | None]:
    named = config.get("pooling_mode")
    if named is None:
        on = {key for key, value in config.items() if key.startswith("pooling_mode_") and value}
        named = [mode for mode, (_, switch) in _POOLING.items() if switch in on]
        named += sorted(on - {switch for _, switch in _POOLING.values()})
        named = named or "mean"
    modes = list(named) if isinstance(named, list) else [named]
    if not modes:
        return (), "its Pooling module names no way of pooling"
    unknown = next((mode for mode in modes if mode not in _POOLING), None)
    if unknown is not None:
        return (), f"its pooling mode {unknown!r} is not known here"
    return tuple(_POOLING[mode][0] for mode in modes), None


def _dense(path: str, config: Mapping[str, Any]) -> tuple[DenseLayer | None, str | None]:
    named = str(config.get("activation_function", _DEFAULT_ACTIVATION))
    ends = {config.get(f"module_{end}_name") or "sentence_embedding" for end in ("input", "output")}
    if ends != {"sentence_embedding"}:
        return None, f"its Dense module {path!r} works on something else than the vector"
    package, _, kind = named.rpartition(".")
    known = {activation.value: activation for activation in Activation}
    activation = known.get(kind.lower()) if package.startswith("torch.nn") else None
    if activation is None:
        return None, f"its Dense module {path!r} has the activation {named}"
    return DenseLayer(path, activation, bool(config.get("bias", True))), None
