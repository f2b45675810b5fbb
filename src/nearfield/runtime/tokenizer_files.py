"""Where a model folder keeps its tokenizer, and reading it from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.vocabulary import ADDED_TOKENS, FAMILIES, SPECIAL_TOKENS_MAP, make_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.runtime.model_folder import ModelFolder

WHOLE = "tokenizer.json"
CONFIG = "tokenizer_config.json"
_CLASSES = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
}
_VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)


def tokenizer_files(folder: ModelFolder) -> dict[str, Path]:
    """Find the files that a folder's tokenizer is made of, whoever makes it.

    Args:
        folder: The folder.

    Returns:
        By name: ``tokenizer.json``, or the older files that stand for it.

    Raises:
        ModelLoadError: There are none, or one leads out of the folder.
    """
    whole = _find(folder, (WHOLE,))
    if whole:
        return whole
    vocabulary = _find(folder, _VOCABULARIES)
    if not vocabulary:
        raise _without(folder, "")
    return vocabulary | _find(folder, (CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS))


def folder_tokenizer(folder: ModelFolder) -> Any:
    """Give the ``tokenizers.Tokenizer`` of a folder.

    Args:
        folder: The folder.

    Raises:
        ModelLoadError: There is none, or it is damaged or of a kind that cannot be read here.
    """
    files = tokenizer_files(folder)
    if WHOLE in files:
        return read_tokenizer(files[WHOLE])
    kind = str(folder.config.get("model_type"))
    named = folder.tokenizer_config.get("tokenizer_class") or folder.config.get("tokenizer_class")
    name = str(named or _CLASSES.get(kind, kind)).removesuffix("Fast")
    family = FAMILIES.get(name)
    if family is None:
        raise _without(folder, f", and the {', '.join(files)} of a {name} cannot be read here")
    missing = [needed for needed in family.files if needed not in files]
    if missing:
        raise _without(folder, f", and no {' and no '.join(missing)} for a {name}")
    rows = folder.config.get("vocab_size")
    rows = rows if isinstance(rows, int) else None
    return make_tokenizer(family, files, folder.tokenizer_config, rows=rows)


def read_tokenizer(path: Path) -> Any:
    """Give the ``tokenizers.Tokenizer`` that a ``tokenizer.json`` describes.

    Args:
        path: The file.

    Raises:
        ModelLoadError: The file is damaged, or of a newer kind than the library reads.
    """
    # Imported here: a program that only searches an index has no need of it.
    from tokenizers import Tokenizer  # noqa: PLC0415

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        message = (
            f"{path} is damaged, half downloaded or too new for this version of tokenizers: "
            f"{error}. Fetch it again, or upgrade tokenizers."
        )
        raise ModelLoadError(message) from error


def _find(folder: ModelFolder, names: tuple[str, ...]) -> dict[str, Path]:
    """Look for each in the transformer's folder, then in the model's."""
    found = {name: folder.file(folder.modules.transformer, name) for name in names}
    found |= {name: folder.file(name) for name in names if found[name] is None}
    return {name: path for name, path in found.items() if path is not None}


def _without(folder: ModelFolder, what: str) -> ModelLoadError:
    return ModelLoadError(
        f"{folder.path} has no {WHOLE}{what}. Make one with transformers: "
        f"AutoTokenizer.from_pretrained({str(folder.path)!r}).save_pretrained(...)."
    )
