"""What stands before and after a node in its document, put together from the nodes beside it."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nearfield.core.schema import Node
    from nearfield.core.store import VectorStore

SHOWN_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The document around a node.

    Attributes:
        before: The text before it, its last 600 characters; ``""`` at the beginning.
        after: The text after it, its first 600 characters; ``""`` at the end.
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


class _Place(NamedTuple):
    start: int
    end: int
    node_id: str


class Neighbours:
    """The order of the nodes of every document, read once for each version of a store.

    Safe to use from several threads.

    Args:
        store: The store.
    """

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._lock = Lock()
        self._version: tuple[float | None, int] | None = None
        self._places: dict[str, list[_Place]] = {}

    def around(self, node: Node) -> Surroundings:
        """Give what stands around a node.

        Args:
            node: A node of the store.

        Returns:
            Its surroundings; none when the store no longer has it.
        """
        places = self._all().get(node.document_id, [])
        here = _Place(node.start, node.end, node.id)
        number = bisect_left(places, here)
        if number >= len(places) or places[number] != here:
            return Surroundings()
        before = places[number - 1] if number else None
        after = places[number + 1] if number + 1 < len(places) else None
        wanted = [place.node_id for place in (before, after) if place]
        texts = {found.id: found for found, _ in self._store.nodes(wanted)} if wanted else {}
        earlier = texts.get(before.node_id) if before else None
        later = texts.get(after.node_id) if after else None
        text_before, shared_before = _before(node, earlier) if earlier else ("", 0)
        text_after, shared_after = _after(node, later) if later else ("", 0)
        return Surroundings(
            text_before, text_after, shared_before, shared_after, number + 1, len(places)
        )

    def _all(self) -> dict[str, list[_Place]]:
        info = self._store.info()
        version = (info.changed_at, info.nodes)
        with self._lock:
            if version != self._version:
                found: dict[str, list[_Place]] = defaultdict(list)
                for node, _ in self._store.nodes():
                    found[node.document_id].append(_Place(node.start, node.end, node.id))
                for places in found.values():
                    places.sort()
                self._places, self._version = dict(found), version
            return self._places


def _before(node: Node, earlier: Node) -> tuple[str, int]:
    shared = max(min(earlier.end, node.end) - node.start, 0)
    if not (_is_cut_out(node) and _is_cut_out(earlier)):
        return earlier.text[-SHOWN_CHARACTERS:], 0
    return earlier.text[: len(earlier.text) - shared][-SHOWN_CHARACTERS:], shared


def _after(node: Node, later: Node) -> tuple[str, int]:
    shared = max(node.end - max(later.start, node.start), 0)
    if not (_is_cut_out(node) and _is_cut_out(later)):
        return later.text[:SHOWN_CHARACTERS], 0
    return later.text[shared : shared + SHOWN_CHARACTERS], shared


def _is_cut_out(node: Node) -> bool:
    """Say whether the places of a node are those of its very text."""
    return node.end - node.start == len(node.text)
