"""Tokenizers of folders older than tokenizer.json, made as transformers makes its fast ones.

Such a folder has ``vocab.txt`` (the word pieces of BERT, DistilBERT, ELECTRA and MPNet) or
``vocab.json`` with ``merges.txt`` (the byte pairs of RoBERTa), and small files that say how
they are used. What cannot be made the same is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError
from nearfield.runtime.model_files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    _Ends = tuple[tuple[str, int], tuple[str, int]]

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
# A model may have some more rows than tokens, to make their number round; so many, never.
ROUNDED_UP = 512
SINGLE_BYTES = 256
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


@dataclass(frozen=True, slots=True)
class Family:
    """How a class of transformers' tokenizers reads its files.

    Attributes:
        files: The files of its vocabulary, the tokens first.
        specials: The special tokens by role, where no file names others.
        wide_mask: Whether the mask takes the blanks before it.
        separators: How many separators stand between two texts of word pieces.
    """

    files: tuple[str, ...]
    specials: Mapping[str, str]
    wide_mask: bool = True
    separators: int = 1


_BRACKETED = {role: f"[{role.removesuffix('_token').upper()}]" for role in ROLES[2:]}
_ANGLED = dict(zip(ROLES, ("<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"), strict=True))
_BERT = Family(("vocab.txt",), _BRACKETED, wide_mask=False)
FAMILIES = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "ElectraTokenizer": _BERT,
    "MPNetTokenizer": Family(
        ("vocab.txt",),
        {**_ANGLED, "unk_token": _BRACKETED["unk_token"]},
        separators=2,
    ),
    "RobertaTokenizer": Family(("vocab.json", "merges.txt"), _ANGLED),
}
"""The tokenizers that can be made, by the name of transformers' class for them."""


def make_tokenizer(
    family: Family, files: Mapping[str, Path], config: Mapping[str, Any], *, rows: int | None = None
) -> Any:
    """Make a tokenizer of a vocabulary.

    Args:
        family: One of :data:`FAMILIES`.
        files: By name the vocabulary's files, and ``special_tokens_map.json`` and
            ``added_tokens.json`` where they are there.
        config: ``tokenizer_config.json``.
        rows: How many tokens the model knows, if that is said.

    Returns:
        A ``tokenizers.Tokenizer``.

    Raises:
        ModelLoadError: A file is damaged or half downloaded, or lacks a special token.
    """
    place = files[family.files[0]]
    roles, others = _special_tokens(family, files, config)
    unknown, opening, closing = (
        str(roles[role].content) for role in ("unk_token", "cls_token", "sep_token")
    )
    tokens = _lines(place) if place.suffix == ".txt" else _numbers(place)
    for token in (unknown, opening, closing):
        if token not in tokens:
            message = f"{place} lacks the special token {token!r}. Fetch it again."
            raise ModelLoadError(message)
    if rows is not None and len(tokens) + len(others) + ROUNDED_UP < rows:
        message = (
            f"{place} is half downloaded: it has {len(tokens):,} of the model's {rows:,} tokens. "
            "Fetch it again."
        )
        raise ModelLoadError(message)
    ends = ((opening, tokens[opening]), (closing, tokens[closing]))
    tokenizer = (
        _word_pieces(tokens, unknown, ends, family.separators, config)
        if place.suffix == ".txt"
        else _byte_pairs(tokens, files[family.files[1]], ends, config)
    )
    _add(tokenizer, [*others.values(), *roles.values()])
    for number, token in others.items():
        if tokenizer.token_to_id(token.content) != number:
            message = f"{place} does not go with its added token {token.content!r}, {number}."
            raise ModelLoadError(message)
    return tokenizer


def _special_tokens(
    family: Family, files: Mapping[str, Path], config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[int, Any]]:
    """Give the special tokens by role, and those with a number of their own, in its order."""
    named: dict[str, Any] = {**family.specials}
    named |= {role: config[role] for role in ROLES if config.get(role)}
    numbered = config.get("added_tokens_decoder")
    further = [*(config.get("additional_special_tokens") or ())]
    if numbered is None:  # an older folder keeps them in files of their own, which win
        said = read_json(files[SPECIAL_TOKENS_MAP]) if SPECIAL_TOKENS_MAP in files else {}
        named |= {role: said[role] for role in ROLES if said.get(role)}
        further += said.get("additional_special_tokens") or ()
        added = read_json(files[ADDED_TOKENS]) if ADDED_TOKENS in files else {}
        special = {_content(token) for token in (*named.values(), *further)}
        numbered = {
            number: {"content": token, "special": token in special}
            for token, number in added.items()
        }
    others = {int(number): _token(numbered[number]) for number in sorted(numbered, key=int)}
    known = {token.content: token for token in others.values()}
    roles: dict[str, Any] = {}
    for role, token in named.items():
        wide = family.wide_mask and role == "mask_token"
        usual = {"content": token, "lstrip": wide}
        described = usual if isinstance(token, str) else token
        roles[role] = known.get(_content(token)) or _token({**described, "special": True})
    for token in further:
        described = {"content": token} if isinstance(token, str) else token
        roles[_content(token)] = known.get(_content(token)) or _token(
            {**described, "special": True}
        )
    return roles, others


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _token(described: Mapping[str, Any]) -> Any:
    from tokenizers import AddedToken  # noqa: PLC0415 - with its use

    flags = {name: bool(described[name]) for name in _FLAGS if name in described}
    return AddedToken(_content(described), special=bool(described.get("special")), **flags)


def _lines(path: Path) -> dict[str, int]:
    """Read a vocabulary of one token a line."""
    try:
        with path.open(encoding="utf-8") as lines:
            return {line.rstrip("\n"): number for number, line in enumerate(lines)}
    except ValueError as error:
        message = f"{path} is damaged: it is not UTF-8 ({error}). Fetch it again."
        raise ModelLoadError(message) from error


def _numbers(path: Path) -> dict[str, int]:
    """Read a vocabulary of numbers by token."""
    tokens = read_json(path)
    if not all(isinstance(number, int) and number >= 0 for number in tokens.values()):
        message = f"{path} does not number its tokens. Fetch it again."
        raise ModelLoadError(message)
    return tokens


def _word_pieces(
    tokens: dict[str, int], unknown: str, ends: _Ends, separators: int, config: Mapping[str, Any]
) -> Any:
    """BERT's way: words are parted at blanks and punctuation, then cut into pieces."""
    from tokenizers import (  # noqa: PLC0415 - with its use
        Tokenizer,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    (opening, _), (closing, _) = ends
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[f"{opening}:0", "$A:0", f"{closing}:0"],
        pair=[
            f"{opening}:0",
            "$A:0",
            *[f"{closing}:0"] * separators,
            "$B:1",
            f"{closing}:1",
        ],
        special_tokens=list(ends),
    )
    return tokenizer


def _byte_pairs(
    tokens: dict[str, int], merges_file: Path, ends: _Ends, config: Mapping[str, Any]
) -> Any:
    """RoBERTa's way: bytes are joined in pairs, the likeliest first."""
    from tokenizers import (  # noqa: PLC0415 - with its use
        Tokenizer,
        models,
        pre_tokenizers,
        processors,
    )

    spaced = bool(config.get("add_prefix_space", False))
    try:
        # The first line is the version, and nothing follows the last line's end.
        lines = merges_file.read_text("utf-8").split("\n")[1:-1]
        merges = [(first, second) for first, second in map(str.split, lines)]
        tokenizer = Tokenizer(models.BPE(tokens, merges))
    except Exception as error:  # the library raises bare Exceptions
        message = f"{merges_file} is damaged or half downloaded ({error}). Fetch it again."
        raise ModelLoadError(message) from error
    if len(merges) + SINGLE_BYTES + ROUNDED_UP < len(tokens):
        message = (
            f"{merges_file} is half downloaded: it has {len(merges):,} merges for "
            f"{len(tokens):,} tokens. Fetch it again."
        )
        raise ModelLoadError(message)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spaced)
    opening, closing = ends
    tokenizer.post_processor = processors.RobertaProcessing(
        closing, opening, trim_offsets=True, add_prefix_space=spaced
    )
    return tokenizer


def _add(tokenizer: Any, tokens: list[Any]) -> None:
    seen: set[str] = set()
    for token in tokens:
        if token.content not in seen:
            seen.add(token.content)
            tokenizer.add_tokens([token])
