"""Which way a query of a Lance table goes, and its answers.

Up to ``exact_below`` rows a snapshot in memory answers exactly. Above, the ANN
index does, if there is one, and says so; without one the table is streamed past
the queries, exactly and in bounded memory.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield._extras import require
from nearfield.core.metadata import decode_metadata
from nearfield.core.schema import NodeWithScore
from nearfield.core.search import exact_scores
from nearfield.core.store import Found
from nearfield.core.words import MAX_QUERY_WORDS, WORD
from nearfield.stores.lance.index import ann_index_of, nearest
from nearfield.stores.lance.rows import NODE_COLUMNS, read_nodes, read_vectors, searchable
from nearfield.stores.lance.scan import exact_places
from nearfield.stores.lance.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.vectors import Vectors
    from nearfield.stores.lance.index import AnnIndex
    from nearfield.stores.lance.table import Version

FETCHED_FOR_FILTERS = 4
MOST_FETCHED_FOR_FILTERS = 256


class Searcher:
    """Answers queries, holding the snapshot of the newest version asked.

    Args:
        exact_below: Up to how many rows a snapshot in memory answers.
    """

    def __init__(self, exact_below: int) -> None:
        self._exact_below = exact_below
        self._snapshot: Snapshot | None = None
        self._loading = threading.Lock()

    def by_vectors(
        self, version: Version, queries: Vectors, top_k: int, conditions: MetadataFilters | None
    ) -> list[Found]:
        """Find the nearest nodes of each query vector.

        Args:
            version: The version to look in.
            queries: ``(q, dim)`` float32, checked.
            top_k: How many of each.
            conditions: On the nodes' metadata.

        Returns:
            One answer per query, in order.
        """
        metric = version.header.metric
        if version.data.count_rows() <= self._exact_below:
            snapshot = self._snapshot_of(version)
            return [Found(hits) for hits in snapshot.search(queries, top_k, metric, conditions)]
        index = ann_index_of(version)
        if index is None:
            return self._streamed(version, queries, top_k, conditions)
        answers = [_approximately(version, index, query, top_k, conditions) for query in queries]
        missed = [number for number, answer in enumerate(answers) if answer is None]
        exactly = self._streamed(version, queries[missed], top_k, conditions) if missed else []
        for number, answer in zip(missed, exactly, strict=True):
            answers[number] = answer
        return [answer for answer in answers if answer is not None]

    def by_words(
        self,
        version: Version,
        texts: Sequence[str],
        top_k: int,
        conditions: MetadataFilters | None,
    ) -> list[Found]:
        """Find the best nodes by the words of each text; arguments as :meth:`by_vectors`."""
        return [Found(_words(version, text, top_k, conditions), "text") for text in texts]

    def forget(self) -> None:
        """Let go of the snapshot."""
        with self._loading:
            self._snapshot = None

    def _snapshot_of(self, version: Version) -> Snapshot:
        snapshot = self._snapshot
        if snapshot is not None and snapshot.number == version.number:
            return snapshot
        with self._loading:
            previous = self._snapshot
            if previous is not None and previous.number == version.number:
                return previous
            snapshot = Snapshot(version, previous)
            # A slow reader may see an older version than the one at hand.
            if previous is None or previous.number < version.number:
                self._snapshot = snapshot
            return snapshot

    def _streamed(
        self, version: Version, queries: Vectors, top_k: int, conditions: MetadataFilters | None
    ) -> list[Found]:
        answers = []
        for hits in exact_places(version, queries, top_k, conditions):
            places = [hit.place for hit in hits]
            nodes = read_nodes(version.data.take(places, columns=NODE_COLUMNS)) if places else []
            scored = zip(nodes, hits, strict=True)
            answers.append(Found([NodeWithScore(node, hit.score) for node, hit in scored]))
        return answers


def _approximately(
    version: Version,
    index: AnnIndex,
    query: Any,
    top_k: int,
    conditions: MetadataFilters | None,
) -> Found | None:
    """Ask the ANN index; ``None`` when too few of those it looks at satisfy the conditions."""
    columns = [*NODE_COLUMNS, "row", "vector"]

    def fetch(count: int) -> Any:
        return nearest(version, index, query, count, columns)

    table = _fetched(fetch, top_k, conditions, most=MOST_FETCHED_FOR_FILTERS * top_k)
    if len(table) < top_k:
        return None
    vectors = read_vectors(table["vector"], version.header.dim)
    scores = exact_scores(vectors, query, version.header.metric)
    order = np.lexsort((table["row"].to_numpy(), -scores))[:top_k]
    nodes = read_nodes(table.take(order))
    scored = zip(nodes, scores[order].tolist(), strict=True)
    return Found([NodeWithScore(node, score) for node, score in scored], index.kind.lower())


def _words(
    version: Version, text: str, top_k: int, conditions: MetadataFilters | None
) -> list[NodeWithScore]:
    # With their marks: the engine parts a word at some of them, in texts as in questions.
    found = WORD.findall(searchable(text).lower())
    words = dict.fromkeys(word for word in found if any(map(str.isalnum, word)))
    if not words:
        return []
    lance_query = require("lance.query", extra="lance", purpose="LanceStore")
    asked = lance_query.MatchQuery(" ".join(list(words)[:MAX_QUERY_WORDS]), "text")

    def fetch(count: int) -> Any:
        scanner = version.data.scanner(
            columns=[*NODE_COLUMNS, "row", "_score"], full_text_query=asked, limit=count
        )
        return scanner.to_table()

    table = _fetched(fetch, 2 * top_k, conditions, most=None)
    scores = table["_score"].to_numpy().astype(np.float64)
    order = np.lexsort((table["row"].to_numpy(), -scores))[:top_k]
    scored = zip(read_nodes(table.take(order)), scores[order].tolist(), strict=True)
    return [NodeWithScore(node, score) for node, score in scored]


def _fetched(
    fetch: Callable[[int], Any],
    wanted: int,
    conditions: MetadataFilters | None,
    *,
    most: int | None,
) -> Any:
    """Fetch candidates until enough of them satisfy the conditions.

    Args:
        fetch: Gives the best rows, as many as asked for, if there are.
        wanted: How many are enough.
        conditions: On the nodes' metadata.
        most: How many to fetch at most.

    Returns:
        The rows that satisfy the conditions.
    """
    if conditions is None:
        return fetch(wanted)
    count, verdicts = FETCHED_FOR_FILTERS * wanted, dict[str, bool]()
    while True:
        table = fetch(count)
        facts = table["metadata"].to_pylist()
        for metadata in facts:
            if metadata not in verdicts:
                verdicts[metadata] = conditions.matches(decode_metadata(metadata))
        kept = np.flatnonzero([verdicts[metadata] for metadata in facts])
        if len(table) < count or len(kept) >= wanted or (most is not None and count >= most):
            return table.take(kept)
        count *= FETCHED_FOR_FILTERS
