"""English text that every Python has: the documentation inside its standard library.

Nothing is downloaded and nothing is imported: docstrings are read with ``ast``.
The same interpreter version gives the same paragraphs in the same order.
"""

from __future__ import annotations

import ast
import random
import re
import sysconfig
import textwrap
from pathlib import Path
from pydoc_data import topics
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "site-packages", "idlelib", "lib2to3", "ensurepip", "turtledemo"}
)
SHORTEST_PARAGRAPH = 40
SHORTEST_SENTENCE = 16
LEAST_SHARE_OF_LETTERS = 0.88
SEED = 8086


def help_topics() -> Iterator[str]:
    """Give the topics of Python's ``help()``, in a fixed order: half a megabyte, at once."""
    yield from (topics.topics[name] for name in sorted(topics.topics))


def documentation() -> Iterator[str]:
    """Give the topics, then all docstrings of the standard library: seconds, for all is parsed."""
    yield from help_topics()
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        skipped = SKIPPED_FOLDERS.intersection(parts) or parts[0].startswith("config-")
        if not skipped and not path.name.startswith("_sysconfigdata"):
            yield from _docstrings(path)


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def paragraphs(texts: Iterable[str] | None = None) -> list[str]:
    """Give the different paragraphs of prose, without markup or code, in a fixed shuffled order.

    Args:
        texts: Where they stand; all documentation when not given.
    """
    found: dict[str, None] = {}
    for text in documentation() if texts is None else texts:
        for block in re.split(r"\n\s*\n", textwrap.dedent(text)):
            paragraph = re.sub(r"[*`]+", "", " ".join(block.split()))
            if _is_prose(paragraph):
                found.setdefault(paragraph)
    shuffled = list(found)
    random.Random(SEED).shuffle(shuffled)  # noqa: S311 - a fixed order is wanted
    return shuffled


def texts_like_yours(path: Path | None) -> list[str]:
    """Give the lines of a user's file, or Python's own documentation when there is none.

    Args:
        path: The file: UTF-8, a text a line; empty lines are left out.

    Raises:
        click.ClickException: The file is not UTF-8.
    """
    if path is None:
        return paragraphs(help_topics())
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8. Convert it first."
        raise click.ClickException(message) from error
    return [line for line in lines if line.strip()]


def _is_prose(paragraph: str) -> bool:
    if len(paragraph) < SHORTEST_PARAGRAPH or any(mark in paragraph for mark in (">>>", "::=")):
        return False
    letters = sum(char.isalpha() or char == " " for char in paragraph)
    return letters >= LEAST_SHARE_OF_LETTERS * len(paragraph)


def sentences(texts: Iterable[str] | None = None) -> list[str]:
    """Give the different sentences of the paragraphs, in order of appearance.

    Args:
        texts: Where they stand; all documentation when not given.
    """
    found: dict[str, None] = {}
    for paragraph in paragraphs(texts):
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
            if len(sentence) >= SHORTEST_SENTENCE:
                found.setdefault(sentence)
    return list(found)
