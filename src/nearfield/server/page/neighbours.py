"""What stands before and after a node in its document, put together from the nodes beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfield.core.outlines import outlines

if TYPE_CHECKING:
    from nearfield.core.schema import Node
    from nearfield.core.store import VectorStore

SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The document around a node.

    Attributes:
        before: The text before it, its last 300 characters; ``""`` at the beginning.
        after: The text after it, its first 300 characters; ``""`` at the end.
        shared_before: How many of the node's first characters the node before has too.
        shared_after: How many of its last characters the node after has too.
        number: Which node of its document it is, from 1.
        of: How many nodes the document has.
    """

    before: str = ""
    after: str = ""
    shared_before: int = 0
    shared_after: int = 0
    number: int = 1
    of: int = 1


def around(store: VectorStore, node: Node) -> Surroundings:
    """Give what stands around a node.

    Args:
        store: The store it is in.
        node: A node of it.

    Returns:
        Its surroundings; none when the store no longer has it.
    """
    outline = outlines(store, [node.document_id]).get(node.document_id)
    names = [] if outline is None else outline.node_ids
    if node.id not in names:
        return Surroundings()
    here = names.index(node.id)
    beside = names[max(here - 1, 0) : here + 2]
    texts = {found.id: found for found, _ in store.nodes(beside)}
    earlier = texts.get(names[here - 1]) if here else None
    later = texts.get(names[here + 1]) if here + 1 < len(names) else None
    before, shared_before = _before(node, earlier) if earlier else ("", 0)
    after, shared_after = _after(node, later) if later else ("", 0)
    return Surroundings(before, after, shared_before, shared_after, here + 1, len(names))


def _before(node: Node, earlier: Node) -> tuple[str, int]:
    shared = max(min(earlier.end, node.end) - node.start, 0)
    if not (_is_cut_out(node) and _is_cut_out(earlier) and earlier.start <= node.start):
        return earlier.text[-SHOWN_CHARACTERS:], 0
    return earlier.text[: len(earlier.text) - shared][-SHOWN_CHARACTERS:], shared


def _after(node: Node, later: Node) -> tuple[str, int]:
    shared = max(node.end - max(later.start, node.start), 0)
    if not (_is_cut_out(node) and _is_cut_out(later) and node.start <= later.start):
        return later.text[:SHOWN_CHARACTERS], 0
    return later.text[shared : shared + SHOWN_CHARACTERS], shared


def _is_cut_out(node: Node) -> bool:
    """Say whether the places of a node are those of its very text."""
    return node.end - node.start == len(node.text)
