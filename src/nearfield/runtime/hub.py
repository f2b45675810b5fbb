"""From a model's name to its folder: a local folder, the Hugging Face cache, then the hub.

What is in the cache is used without asking the hub; a newer state of a branch
is fetched by ``revision`` or by ``hf download``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError, UnknownModelError
from nearfield.runtime.model_files import checked_file, parsed_json, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_OWNER = "sentence-transformers"
# Names without an owner that the hub knows as they are: the first generation of encoders.
_NO_OWNER = re.compile(
    r"(bert|distilbert|roberta|distilroberta|albert|xlnet|xlm-roberta|xlm|gpt2|distilgpt2|"
    r"openai-gpt|transfo-xl|t5|camembert|ctrl)(-.*)?"
)
# As the hub has it: 96 characters, none of - and . at an end or twice in a row.
_NAME = re.compile(r"(?!.*(--|\.\.))(?=.{1,96}$)\w([\w.-]*\w)?(/\w([\w.-]*\w)?)?")
_REVISION = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
# Configs, tokenizers and vocabularies of any kind; a pattern's * crosses folders.
_DESCRIPTION = ["*.json", "*.txt", "*.model"]
_NOT_THESE = ["onnx/*", "openvino/*", "*.onnx*"]
WEIGHT_NAMES = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Found:
    """A model's folder.

    Attributes:
        path: The folder.
        name: The model's full name on the hub; for a local folder its path as given.
        revision: The commit, for a model of the hub.
    """

    path: Path
    name: str
    revision: str | None = None


def find_model(
    name: str,
    *,
    files: Sequence[str] = (),
    revision: str | None = None,
    cache_folder: Path | str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    code: bool = False,
    owner: str = DEFAULT_OWNER,
) -> Found:
    """Find a model's folder, fetching what is needed of it and no more.

    Args:
        name: A folder, or a name on the hub such as ``"BAAI/bge-small-en-v1.5"``; without an
            owner it is ``owner``'s.
        files: Patterns of places in the folder; any that is there will do in place of the weights.
        revision: A branch, tag, commit or ``"refs/pr/N"``; the main branch by default.
        cache_folder: The cache, in place of ``HF_HUB_CACHE``.
        token: As huggingface_hub takes it; ``HF_TOKEN`` or the saved one by default.
        local_files_only: Never ask the hub.
        code: Whether Python files that come with the model are wanted too.
        owner: Whose a name without an owner is; sentence-transformers' by default.

    Returns:
        The folder and the full name.

    Raises:
        UnknownModelError: There is no such folder, or no such model.
        ModelLoadError: The model is not here and the hub cannot be asked.
    """
    local = Path(name).expanduser()
    try:
        if name and local.is_dir():  # an empty path would be the working folder
            return Found(local, name)
        repo = _repo_name(name, local, owner)
    except OSError as error:  # a name longer than a path may be
        message = f"{name[:60]!r}... cannot be the name of a model: {error.strerror}."
        raise UnknownModelError(message) from error
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        message = f"revision={revision!r} is no branch, tag, commit or refs/pr/N."
        raise UnknownModelError(message)
    wanted = _Wanted(repo, revision or "main", cache_folder, token, tuple(files), code)
    cached = wanted.cached()
    if cached is not None and wanted.holds(cached, wanted.files):
        return Found(cached, repo, cached.name)
    if local_files_only or _hub_is_off():
        if cached is not None and wanted.holds(cached, ()):
            return Found(cached, repo, cached.name)  # a graph can be made of the weights
        why = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE is set"
        message = f"the hub may not be asked ({why})"
        raise wanted.absent(message)
    snapshot = wanted.fetch()
    return Found(snapshot, repo, snapshot.name)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is wanted of which model."""

    repo: str
    revision: str
    cache_folder: Path | str | None
    token: str | bool | None
    files: tuple[str, ...]
    code: bool

    @property
    def cache(self) -> Path:
        if self.cache_folder is not None:
            return Path(self.cache_folder).expanduser()
        from huggingface_hub import constants  # noqa: PLC0415 - read when first needed

        return Path(constants.HF_HUB_CACHE)

    def cached(self) -> Path | None:
        """Find the snapshot in the cache, by the cache's documented layout."""
        home = self.cache / f"models--{self.repo.replace('/', '--')}"
        ref = home / "refs" / self.revision
        commit = ref.read_text("utf-8").strip() if ref.is_file() else self.revision
        snapshot = home / "snapshots" / commit
        return snapshot if snapshot.is_dir() else None

    def holds(self, snapshot: Path, files: tuple[str, ...]) -> bool:
        """Say whether a snapshot holds its description and any of the files, or the weights."""
        try:
            folders = _module_folders(snapshot)
            described = ("config.json", "tokenizer.json")  # a word table may lack the first
            if not any(checked_file(snapshot, folders[0], name) for name in described):
                return False
            if not files:
                return _has_weights(snapshot, folders)
            return _has_any(snapshot, files) and _has_weights(snapshot, folders[1:])
        except ModelLoadError:
            return False  # damaged: fetched again

    def fetch(self) -> Path:
        """Fetch the description, then what it says is needed."""
        described = [*_DESCRIPTION, *(["*.py"] if self.code else [])]
        snapshot = self._download(described, ignore=_NOT_THESE)
        folders = _module_folders(snapshot)
        # The commit just seen, so that all parts are of one state.
        commit = snapshot.name
        if self.files:
            self._download([*self.files, *_weights_of(folders[1:])], revision=commit)
            if _has_any(snapshot, self.files):
                return snapshot
        self._download(_weights_of(folders), revision=commit)
        if not _has_weights(snapshot, folders):
            message = (
                f"Model {self.repo!r} has no safetensors weights at {self.revision!r}; pickled "
                "ones are not fetched. The hub's converter proposes them as a pull request: pass "
                "it as revision='refs/pr/N'."
            )
            raise ModelLoadError(message)
        return snapshot

    def _download(
        self, patterns: list[str], *, ignore: list[str] | None = None, revision: str | None = None
    ) -> Path:
        from huggingface_hub import errors, snapshot_download  # noqa: PLC0415 - slow to import

        before = sys.exception()
        try:
            found = snapshot_download(
                self.repo,
                revision=revision or self.revision,
                cache_dir=self.cache,
                token=self.token,
                allow_patterns=patterns,
                ignore_patterns=ignore,
            )
        except errors.GatedRepoError as error:
            raise self.absent("its owner grants access on request; set HF_TOKEN") from error
        except errors.RepositoryNotFoundError as error:
            message = (
                f"There is no model {self.repo!r} on the hub, and no folder of that name. Check "
                "the spelling; for a private model set HF_TOKEN."
            )
            raise UnknownModelError(message) from error
        except errors.RevisionNotFoundError as error:
            message = f"Model {self.repo!r} has no revision {self.revision!r}."
            raise UnknownModelError(message) from error
        except Exception as error:  # its transport's own errors differ between releases
            message = f"the hub did not answer ({reason_of(error, before=before)})"
            raise self.absent(message) from error
        return Path(found)

    def absent(self, why: str) -> ModelLoadError:
        """Say that the model is not here and cannot be fetched."""
        at = "" if self.revision == "main" else f" --revision {self.revision}"
        return ModelLoadError(
            f"Model {self.repo!r} is not (wholly) in {self.cache}, and {why}. With the hub in "
            f"reach run: hf download {self.repo}{at}"
        )


def _repo_name(name: str, local: Path, owner: str) -> str:
    if local.is_file():
        message = f"{name!r} is a file; a model is a folder. Pass the folder it is in."
        raise UnknownModelError(message)
    if not _NAME.fullmatch(name):
        message = f"There is no folder {name!r}, and it cannot be the name of a model on the hub."
        raise UnknownModelError(message)
    if "/" in name or _NO_OWNER.fullmatch(name.lower()):
        return name
    return f"{owner}/{name}"


def _hub_is_off() -> bool:
    from huggingface_hub import constants  # noqa: PLC0415 - read when first needed

    return bool(constants.HF_HUB_OFFLINE)


def _module_folders(snapshot: Path) -> list[str]:
    """The folders of the model's modules, the transformer's first; ``""`` is the top."""
    modules_file = checked_file(snapshot, "modules.json")
    modules: Any = parsed_json(modules_file) if modules_file else [{"path": ""}]
    if not isinstance(modules, list) or not modules:
        return [""]
    folders = [str(module.get("path", "")) for module in modules if isinstance(module, dict)]
    kinds = [str(module.get("type", "")) for module in modules if isinstance(module, dict)]
    dense = [f for f, kind in zip(folders[1:], kinds[1:], strict=True) if kind.endswith("Dense")]
    return [folders[0], *dense]


def _weights_of(folders: Sequence[str]) -> list[str]:
    names = (*WEIGHT_NAMES, "model-?????-of-?????.safetensors")
    return [f"{folder}/{name}" if folder else name for folder in folders for name in names]


def _has_any(snapshot: Path, patterns: Sequence[str]) -> bool:
    return any(any(snapshot.glob(pattern)) for pattern in patterns)


def _has_weights(snapshot: Path, folders: Sequence[str]) -> bool:
    for folder in folders:
        if checked_file(snapshot, folder, WEIGHT_NAMES[0]) is not None:
            continue
        index = checked_file(snapshot, folder, WEIGHT_NAMES[1])
        if index is None:
            return False
        shards = set(read_json(index).get("weight_map", {}).values())
        if not shards or any(checked_file(snapshot, folder, shard) is None for shard in shards):
            return False
    return True


def reason_of(error: BaseException, *, before: BaseException | None) -> str:
    """Give the first line of what lies at the bottom of an error of the hub's library.

    Args:
        error: The error.
        before: What was being handled before the library was called, which is no reason of it.
    """
    # Transports raise while they handle the socket's own error, without "from".
    while (deeper := error.__cause__ or error.__context__) not in {None, before}:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
