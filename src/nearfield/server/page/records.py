"""What the page is told of a result: its place, and a stretch of its text fit to be shown."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nearfield.core.schema import DERIVED_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nearfield.core.schema import Node, NodeWithScore

SHOWN_CHARACTERS = 1600
LEAD_CHARACTERS = 400
SHOWN_FACTS = 24
FACT_CHARACTERS = 200

Span = tuple[int, int]

_SURROGATE = re.compile("[\ud800-\udfff]")


def sendable(text: str) -> str:
    """Give a text that UTF-8 can say: half a character pair becomes one sign for what is lost."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def all_sendable(value: Any) -> Any:
    """Give a JSON-able value in which every text is one that UTF-8 can say.

    Args:
        value: Texts, numbers, lists and dictionaries of them.
    """
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, dict):
        return {sendable(name): all_sendable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_sendable(each) for each in value]
    return value


def window(length: int, best: Span | None, *, shown: int = SHOWN_CHARACTERS) -> Span:
    """Choose which stretch of a text is shown.

    Args:
        length: Characters of the text.
        best: The place of its best sentence.
        shown: How many characters are shown at most.

    Returns:
        First character and one past the last; the beginning of the best sentence is in it.
    """
    start = best[0] if best else 0
    first = max(0, min(start - LEAD_CHARACTERS, length - shown))
    return first, min(first + shown, length)


def file_of(node: Node) -> str:
    """Name the file of a node, as a person knows it."""
    named = not node.document_id.startswith((DERIVED_ID, "doc-"))
    shown = node.document_id if named else node.metadata.get("file_name", node.document_id)
    return sendable(str(shown))


def facts_of(metadata: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Give metadata as short plain values, the first 24 of them."""
    return {
        sendable(str(name))[:FACT_CHARACTERS]: _plain(value)
        for name, value in list(metadata.items())[:SHOWN_FACTS]
    }


def passage(text: str, best: Span | None = None) -> dict[str, Any]:
    """Give what is shown of a node's text as JSON-able facts.

    Args:
        text: The whole text.
        best: Where its best sentence stands, where that is known.

    Returns:
        The facts; ``text`` is a stretch that begins at the character ``text_start`` of all
        ``length``, ``best`` counts from there, in code points.
    """
    first, last = window(len(text), best)
    return {
        "text": sendable(text[first:last]),
        "text_start": first,
        "length": len(text),
        "best": None if best is None else [best[0] - first, min(best[1], last) - first],
    }


def as_result(found: NodeWithScore, rank: int) -> dict[str, Any]:
    """Give a result as JSON-able facts, no sentence of it marked.

    Args:
        found: The result.
        rank: Its place in the ranking, from 1.
    """
    node = found.node
    return {
        "node_id": sendable(node.id),
        "rank": rank,
        "score": found.score,
        "file": file_of(node),
        "start": node.start,
        "end": node.end,
        **passage(node.text),
        "metadata": facts_of(node.metadata),
    }


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and abs(value) < 1 << 53:
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return sendable(text)[:FACT_CHARACTERS]
