"""What bringing an index in step would take, found out without embedding or writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfield.core.drafts import WINDOW_NODES, IngestReport, make_drafts, pack
from nearfield.core.progress import progress
from nearfield.core.tokens import EstimatedMeasure, count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.schema import Document, Metadata, Node
    from nearfield.core.store import VectorStore


@dataclass(slots=True)
class Estimate:
    """What would be done.

    Attributes:
        added: Documents that are new.
        changed: Documents that would replace an older version.
        unchanged: Documents that would be passed over.
        removed: Documents that would be deleted.
        nodes: Nodes of the new and changed documents.
        tokens: The most tokens that the model would read of them: equal texts, nodes
            that a changed document shares with its older version, and texts whose
            vectors are cached cost nothing.
        exact: Whether the tokens were counted by the model's own tokenizer; if not,
            they are an estimate on the high side.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    nodes: int = 0
    tokens: int = 0
    exact: bool = True


def estimate(
    documents: Iterable[Document],
    *,
    store: VectorStore,
    model: BaseEmbedding,
    split: Callable[[Document], Sequence[Node]],
    removable: Callable[[str, Metadata], bool] | None = None,
    total: int | None = None,
    show_progress: bool = False,
) -> Estimate:
    """Find out what bringing a store in step with documents would take.

    Args:
        documents: Any iterable; a generator is streamed, in bounded memory.
        store: The store, which is only read.
        model: The model, whose tokenizer counts; nothing is embedded.
        split: Gives the nodes of a document.
        removable: As for :meth:`~nearfield.core.ingest.Ingest.documents`.
        total: How many documents there are, if known.
        show_progress: Draw a bar on stderr, on a terminal only.

    Returns:
        What would be done.

    Raises:
        TypeError: Something is not a document.
    """
    measure = model.measure or EstimatedMeasure()
    most = model.max_tokens
    found, report, seen = Estimate(exact=measure.exact), IngestReport(), dict[str, str]()
    drafts = make_drafts(documents, split, store.content_hashes(), seen, report)
    with progress(total, "Counting", show=show_progress) as bar:
        for window in pack(drafts, WINDOW_NODES):
            report.tally(window.drafts)
            texts = [node.text for draft in window.drafts for node in draft.nodes]
            counts = count_tokens(measure, texts) if texts else []
            found.tokens += sum(counts if most is None else (min(n, most) for n in counts))
            bar.advance(window.seen)
    found.added, found.changed = report.added, report.changed
    found.unchanged, found.nodes = report.unchanged, report.nodes
    if removable is not None:
        found.removed = sum(
            name not in seen and removable(name, facts) for name, facts in store.documents()
        )
    return found
