"""What a store has of its documents, but for texts and vectors: their facts, and ids of nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.schema import Metadata
    from nearfield.core.store import VectorStore


@dataclass(frozen=True, slots=True)
class Outline:
    """What a store has of one document.

    Attributes:
        metadata: Its facts.
        node_ids: The ids of its nodes, in order.
    """

    metadata: Metadata
    node_ids: list[str] = field(default_factory=list)


@runtime_checkable
class Outlined(Protocol):
    """A store that can tell of its documents without reading their vectors."""

    def outlines(self, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
        """Give what there is of documents, by document id, in the order of writing.

        Args:
            document_ids: Which; all when ``None``. Unknown ids are passed over.
        """


def outlines(store: VectorStore, document_ids: Sequence[str] | None = None) -> dict[str, Outline]:
    """Give what a store has of documents, by document id.

    Args:
        store: Any store; one that is not :class:`Outlined` is read through.
        document_ids: Which; all when ``None``. Unknown ids are passed over.
    """
    if isinstance(store, Outlined):
        return store.outlines(document_ids)
    wanted = None if document_ids is None else set(document_ids)
    found = {
        name: Outline(facts)
        for name, facts in store.documents()
        if wanted is None or name in wanted
    }
    if found:
        for node, _ in store.nodes():
            if node.document_id in found:  # else it came since, by somebody else
                found[node.document_id].node_ids.append(node.id)
    return found
