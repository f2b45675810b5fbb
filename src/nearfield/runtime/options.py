"""What a user asks of a local model, and which backend follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nearfield.errors import ConfigError
from nearfield.runtime.architectures import unsupported
from nearfield.runtime.model_files import naming

if TYPE_CHECKING:
    from nearfield.runtime.local_model import Backend, OnTruncation
    from nearfield.runtime.model_folder import ModelFolder

BACKENDS: tuple[Backend, ...] = ("native", "torch", "onnx", "openvino")
_ONNX_KEYS = {"provider", "providers", "provider_options", "session_options"}
_FILE_KEYS = {"file_name", "subfolder", "export"}
MODEL_KWARGS = {
    "native": {"dtype"},
    "onnx": _FILE_KEYS | _ONNX_KEYS,
    "openvino": _FILE_KEYS | {"ov_config"},
}
"""The keys of ``model_kwargs`` that each backend but torch takes."""
NATIVE_DTYPES = ("float32", "int8")


@dataclass(frozen=True)
class Options:
    """What a user asks of a local model.

    Attributes:
        backend: A backend's name, or ``"auto"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; the backend's own choice when ``None``.
        max_length: A limit of tokens in place of the model's own.
        normalize: Scale the vectors to length 1 even if the model does not.
        truncate_dim: Keep so many numbers of each vector.
        similarity: How vectors are to be compared, in place of the model's own way.
        batch_texts: The most texts in one padded batch; by tokens alone when ``None``.
        threads: Threads of the native engine, and of ONNX Runtime and OpenVINO.
        on_truncation: What to do about texts that are too long.
        trust_remote_code: Allow code of the model's own, and pickled weights, on torch.
        parallel_process: Spread the texts over ``target_devices``, on torch; native does alone.
        target_devices: One entry a process, such as ``["cuda:0", "cuda:1"]``.
        model_kwargs: ``file_name``, ``dtype``, ``provider``, ``export``, ...
        further: Keywords for SentenceTransformer.
    """

    backend: str = "auto"
    device: str | None = None
    max_length: int | None = None
    normalize: bool = True
    truncate_dim: int | None = None
    similarity: str | None = None
    batch_texts: int | None = None
    threads: int | None = None
    on_truncation: OnTruncation = "warn"
    trust_remote_code: bool = False
    parallel_process: bool = False
    target_devices: tuple[str, ...] | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    further: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what makes no sense, or fits another backend only.

        Raises:
            ConfigError: The backend is unknown, or a number is out of range.
            TypeError: A keyword is unknown to the backend that was named.
        """
        if self.backend not in {"auto", *BACKENDS}:
            known = ", ".join(map(repr, ("auto", *BACKENDS)))
            message = f"backend must be one of {known}, not {self.backend!r}."
            raise ConfigError(message)
        if self.on_truncation not in {"warn", "error", "ignore"}:
            message = (
                f"on_truncation must be 'warn', 'error' or 'ignore', not {self.on_truncation!r}."
            )
            raise ConfigError(message)
        if not isinstance(self.model_kwargs, Mapping):
            message = f"model_kwargs must be settings by name, not {self.model_kwargs!r}."
            raise ConfigError(message)
        for name in ("max_length", "truncate_dim", "batch_texts", "threads"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                message = f"{name} must be a whole number of at least 1, not {value!r}."
                raise ConfigError(message)
        if self.backend in MODEL_KWARGS:
            self._check_keywords(self.backend)

    def _check_keywords(self, backend: str) -> None:
        strange = sorted(set(self.model_kwargs) - MODEL_KWARGS[backend])
        if strange or self.further:
            named = f"model_kwargs[{strange[0]!r}]" if strange else repr(next(iter(self.further)))
            message = f"backend={backend!r} takes no {named}. Leave it out, or use backend='torch'."
            raise TypeError(message)
        if backend == "native":
            self._check_native()

    def _check_native(self) -> None:
        other = self.other_device
        if other is not None:
            message = f"backend='native' runs on the CPU, not on {other!r}. Use backend='torch'."
            raise ConfigError(message)
        if self.dtype not in NATIVE_DTYPES:
            message = (
                f"backend='native' computes in dtype 'float32' or 'int8', not {self.dtype!r}. "
                "Use backend='torch' for other types."
            )
            raise ConfigError(message)

    @property
    def dtype(self) -> Any:
        """The number type asked for; ``"float32"`` where none is."""
        return self.model_kwargs.get("dtype", "float32")

    @property
    def other_device(self) -> str | None:
        """The first device asked for that is not the CPU, if there is one."""
        devices = (self.device, *(self.target_devices or ()))
        return next((device for device in devices if not _is_cpu(device)), None)

    @property
    def file_name(self) -> str | None:
        """The file asked for, its subfolder before it."""
        name, folder = self.model_kwargs.get("file_name"), self.model_kwargs.get("subfolder")
        return f"{folder}/{name}" if name and folder else name


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend and why it was chosen.

    Attributes:
        backend: Its name.
        why: What decided, in a few words; empty when the user named it.
    """

    backend: Backend
    why: str = ""


def choose_by_keywords(options: Options) -> Choice | None:
    """Choose a backend by what was asked, before the model's folder is known.

    Args:
        options: What was asked.

    Returns:
        The choice, or ``None`` when nothing asked for decides it.
    """
    for backend in BACKENDS:
        if options.backend == backend:
            return Choice(backend)
    kwargs = options.model_kwargs
    file_name = str(kwargs.get("file_name") or "")
    if options.further:
        return Choice("torch", f"for {next(iter(options.further))!r}")
    if file_name.endswith(".onnx") or _ONNX_KEYS & set(kwargs):
        return Choice("onnx", "for model_kwargs")
    if file_name.endswith(".xml") or "ov_config" in kwargs:
        return Choice("openvino", "for model_kwargs")
    other = options.other_device
    if set(kwargs) == {"dtype"} and options.dtype == "int8" and other is None:
        return Choice("native", "for model_kwargs['dtype']")
    if kwargs:
        return Choice("torch", f"for model_kwargs[{next(iter(kwargs))!r}]")
    return None if other is None else Choice("torch", f"for device {other!r}")


def choose_by_folder(folder: ModelFolder, options: Options) -> Choice:
    """Choose a backend by what the model is.

    Args:
        folder: The model's folder.
        options: What was asked; nothing of it decided.

    Returns:
        Native where it can, else torch where it is installed, else the folder's own ONNX
        file where ONNX Runtime is installed, else torch, which will say how to install it.
    """
    if folder.custom_code and not options.trust_remote_code:
        folder.require_understood()
    with naming(folder.path):
        reason = folder.custom_code or folder.not_understood or unsupported(folder.config)
    if reason is None:
        return Choice("native")
    has_file = any(folder.file(*place) for place in (("onnx", "model.onnx"), ("model.onnx",)))
    if folder.understood and has_file and not find_spec("sentence_transformers"):
        return Choice("onnx", reason) if find_spec("onnxruntime") else Choice("torch", reason)
    return Choice("torch", reason)


def _is_cpu(device: str | None) -> bool:
    return device is None or str(device).lower() == "cpu"
