"""The instructions a model wants before queries and documents.

In order: what the user says, what the model's folder says, what is known of
the model's family by its published name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nearfield.runtime.model_folder import ModelFolder

QUERY_NAMES = ("query",)
DOCUMENT_NAMES = ("document", "passage", "corpus", "text")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is put before texts; empty for nothing.

    Attributes:
        query: Before queries.
        document: Before documents.
    """

    query: str = ""
    document: str = ""

    def of(self, input_type: str) -> str:
        """Give the prompt of an input type, ``"query"`` or ``"document"``."""
        return self.query if input_type == "query" else self.document

    def __repr__(self) -> str:
        """Show what is set, as it would be written."""
        named = {"query": self.query, "document": self.document}
        return repr({name: text for name, text in named.items() if text})


_RETRIEVAL = "Represent this sentence for searching relevant passages: "
_E5_TASK = "Given a web search query, retrieve relevant passages that answer the query"

# Patterns match the whole name after the owner. Sources: the models' cards on the hub.
_FAMILIES = tuple(
    (re.compile(pattern), prompts)
    for pattern, prompts in (
        (
            r"(multilingual-)?e5-(small|base|large)(-unsupervised)?(-v2)?",
            Prompts("query: ", "passage: "),
        ),
        (
            r"(multilingual-)?e5-(large|mistral-7b)-instruct",
            Prompts(f"Instruct: {_E5_TASK}\nQuery: "),
        ),
        (r"bge-(small|base|large)-en(-v1\.5)?", Prompts(_RETRIEVAL)),
        (r"bge-(small|base|large)-zh(-v1\.5)?", Prompts("为这个句子生成表示以用于检索相关文章：")),  # noqa: RUF001 - as trained
        (r"mxbai-embed-(xsmall|large|2d-large)-v1", Prompts(_RETRIEVAL)),
        (r"uae-large-v1", Prompts(_RETRIEVAL)),
        (r"snowflake-arctic-embed-(xs|s|m|l|m-long|m-v1\.5)", Prompts(_RETRIEVAL)),
        (r"snowflake-arctic-embed-(m|l)-v2\.0", Prompts("query: ")),
        (
            r"nomic-embed-text-v1(\.5|-unsupervised)?",
            Prompts("search_query: ", "search_document: "),
        ),
    )
)


def known_prompts(name: str) -> Prompts | None:
    """Give the published convention of a model's family.

    Args:
        name: A model's name, with or without its owner, or a folder's path.

    Returns:
        Its prompts, or ``None`` when no convention is known.
    """
    last = name.rstrip("/\\").replace("\\", "/").rpartition("/")[2].lower()
    return next((prompts for pattern, prompts in _FAMILIES if pattern.fullmatch(last)), None)


def choose_prompts(
    folder: ModelFolder,
    name: str,
    *,
    query_instruction: str | None = None,
    text_instruction: str | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
) -> Prompts:
    """Settle what is put before queries and documents.

    Args:
        folder: The model's folder.
        name: The model's name as given.
        query_instruction: Before queries; ``""`` for nothing, ``None`` for the model's own.
        text_instruction: Before documents, likewise.
        prompts: By name (``"query"``, ``"document"``, ...), before the folder's; ``{}`` for none.
        default_prompt_name: Which of these stands in where no prompt is said for queries or for
            documents, in place of the one that the folder names.

    Returns:
        The prompts.

    Raises:
        ConfigError: A prompt is no text, there is none of the name, or none that was given
            would be used.
    """
    if prompts is not None and not (
        isinstance(prompts, Mapping) and all(isinstance(text, str) for text in prompts.values())
    ):
        message = f"prompts must be texts by name, not {prompts!r}."
        raise ConfigError(message)
    texts = {
        "query_instruction": query_instruction,
        "text_instruction": text_instruction,
        "default_prompt_name": default_prompt_name,
    }
    for argument, text in texts.items():
        if text is not None and not isinstance(text, str):
            message = f"{argument} must be a text, not {text!r}."
            raise ConfigError(message)
    given = prompts or {}
    named = {} if prompts == {} else {**folder.prompts, **given}
    if default_prompt_name is None:
        default = named.get(folder.default_prompt_name or "") or None
    elif default_prompt_name in named:
        default = named[default_prompt_name]
    else:
        message = (
            f"There is no prompt {default_prompt_name!r} to be the default of {name}; there are "
            f"{', '.join(map(repr, named)) or 'none at all'}. Give it in prompts={{...}}, or use "
            "query_instruction and text_instruction."
        )
        raise ConfigError(message)
    used = {*QUERY_NAMES, *DOCUMENT_NAMES, default_prompt_name or folder.default_prompt_name}
    if given and used.isdisjoint(given):
        first = next(iter(given))
        message = (
            f"Of the prompts given for {name} none would be used: call {first!r} 'query' or "
            f"'document', or pass default_prompt_name={first!r} to put it before both."
        )
        raise ConfigError(message)
    chosen = Prompts() if prompts == {} else _own(folder, name, default)
    query = _first(given, QUERY_NAMES) if query_instruction is None else query_instruction
    document = _first(given, DOCUMENT_NAMES) if text_instruction is None else text_instruction
    return Prompts(
        chosen.query if query is None else query,
        chosen.document if document is None else document,
    )


def _own(folder: ModelFolder, name: str, default: str | None) -> Prompts:
    """The folder's prompts, the default one, or those of the family it says it belongs to."""
    if default is None and not any(folder.prompts.values()):
        found = (known_prompts(said) for said in _said_names(folder, name))
        return next((prompts for prompts in found if prompts), Prompts())
    query = _first(folder.prompts, QUERY_NAMES)
    document = _first(folder.prompts, DOCUMENT_NAMES)
    if not query and not document:
        # Both empty is what sentence-transformers writes into every folder, not a choice.
        query = document = None
    default = default or ""
    return Prompts(default if query is None else query, default if document is None else document)


def _said_names(folder: ModelFolder, name: str) -> Iterator[str]:
    yield name
    for said in (folder.config.get("_name_or_path"), folder.tokenizer_config.get("name_or_path")):
        if isinstance(said, str):
            yield said


def _first(prompts: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first prompt that says something; ``""`` when those that are there say nothing."""
    found = [prompts[name] for name in names if name in prompts]
    return next(filter(None, found), "") if found else None
