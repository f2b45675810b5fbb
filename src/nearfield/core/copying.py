"""An index moved from one store to another: its vectors are carried, never made again.

A stream: documents are read and written some at a time, in the order of writing.
Stopped at any moment and run again, it goes on with what is missing. At the
end the copy is compared with what was read: how many, a checksum of
every node with its vector, and the answers to sampled queries.

Hashes, facts and nodes are read one after the other. What somebody wrote in between
would be copied in part, so at the end the hashes are read again: those of a document
that was not touched are the same. Where the store was written at all, its documents are
compared as well: one that was changed and changed back has its hash again.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from nearfield.core.drafts import WINDOW_NODES
from nearfield.core.progress import progress
from nearfield.core.store import Entry, writer_of
from nearfield.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from nearfield.core.schema import Node
    from nearfield.core.store import Header, VectorStore
    from nearfield.core.vectors import Vector
else:
    from nearfield.core.arrays import np

SAMPLES = 20
SAMPLED_K = 10
LEAST_AGREEMENT = 0.8
_NEAR = 1e-6
_MODULUS = 1 << 128


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did, and how it was verified.

    Attributes:
        documents: How many the copy holds.
        nodes: How many the copy holds.
        copied: How many documents were written now; the others were there already.
        checksum: Of all nodes with their vectors, the same in both stores.
        agreement: What part of the nearest nodes of sampled queries both stores give;
            1 when both answer exactly.
        seconds: How long it took.
    """

    documents: int
    nodes: int
    copied: int
    checksum: str
    agreement: float
    seconds: float


def copy_index(
    source: VectorStore, target: VectorStore, *, show_progress: bool = False
) -> CopyReport:
    """Copy a whole index into another store, and verify the copy.

    Args:
        source: The store to read.
        target: A new store, or one that holds a part of the same copy.
        show_progress: Draw a bar on stderr, on a terminal only.

    Returns:
        What was done.

    Raises:
        ConfigError: The source is new and has nothing to copy, or the target has
            documents that the source has not.
        ModelMismatchError: The target was made by another model.
        StoreError: The copy is not what was read, or the source was written meanwhile;
            what changed is not left in the target, so that the same again goes on.
    """
    began = time.perf_counter()
    header = source.header
    if header is None:
        message = "There is nothing to copy: the store is new and empty."
        raise ConfigError(message)
    since, hashes = source.info().changed_at, source.content_hashes()
    there = _resumed(hashes, target)
    target.initialize(header)
    seen = _Seen(target, source.count())
    with progress(seen.total, "Copying", show=show_progress) as job, writer_of(target) as writer:
        for window in _windows(seen.through(_entries(source, header, hashes))):
            missing = [one for one in window if there.get(one.document_id) != one.content_hash]
            if missing:
                writer.upsert(missing)
            seen.copied += len(missing)
            job.advance(sum(len(one.nodes) for one in window))
    touched = _touched(source, target, hashes, since)
    if touched:
        target.delete(touched)
        raise _written_meanwhile(touched)
    target.update_facts(header.facts)  # learnt, perhaps, since a first part was copied
    checksum, nodes = _sum(_digest(node, vector) for node, vector in target.nodes())
    if (checksum, nodes) != (seen.checksum, seen.nodes):
        message = (
            f"The copy holds {nodes} nodes (checksum {checksum:032x}), but {seen.nodes} "
            f"({seen.checksum:032x}) were read. Did somebody else write it? Copy into a new store."
        )
        raise StoreError(message)
    agreement = _agreement(source, target, seen.sampled)
    seconds = time.perf_counter() - began
    return CopyReport(seen.documents, nodes, seen.copied, f"{checksum:032x}", agreement, seconds)


def copy_store(source: VectorStore, target: VectorStore) -> None:
    """Copy a whole store into a new one, without looking at the copy.

    Args:
        source: The store to read.
        target: A store without a header.

    Raises:
        StoreError: Documents of the source were changed or removed meanwhile.
    """
    header = source.header
    if header is None:
        return
    since, hashes = source.info().changed_at, source.content_hashes()
    target.initialize(header)
    with writer_of(target) as writer:
        for window in _windows(_entries(source, header, hashes)):
            writer.add(window)
    # What was only added is not of this copy, and harms nothing in it.
    torn = [name for name in _touched(source, target, hashes, since) if name in hashes]
    if torn:
        raise _written_meanwhile(torn)


def _entries(store: VectorStore, header: Header, hashes: dict[str, str]) -> Iterator[Entry]:
    """Give the documents of a store with all they have: those with nodes first, in their order."""
    left, facts = dict(hashes), dict(store.documents())
    for name, pairs in groupby(store.nodes(), lambda pair: pair[0].document_id):
        content = left.pop(name, None)
        if content is None:  # written since the hashes were read, by somebody else
            continue
        nodes, vectors = zip(*pairs, strict=True)
        yield Entry(name, content, nodes, np.stack(vectors), facts.get(name, {}))
    for name, content in left.items():  # documents without a node
        yield Entry(name, content, [], np.zeros((0, header.dim), np.float32), facts.get(name, {}))


def _touched(
    source: VectorStore, target: VectorStore, hashes: dict[str, str], since: float | None
) -> list[str]:
    """Give the documents that changed, came or went since the hashes were read.

    Args:
        source: What was read.
        target: What it was copied to.
        hashes: The content hashes that were read first.
        since: When the source had last been written then.
    """
    now = source.content_hashes()
    touched = {name: None for name in hashes | now if hashes.get(name) != now.get(name)}
    header = source.header
    if header is not None and source.info().changed_at != since:
        is_now, was_read = (_sums(store, header, hashes) for store in (source, target))
        touched |= {name: None for name in hashes if is_now.get(name) != was_read.get(name)}
    return list(touched)


def _sums(store: VectorStore, header: Header, hashes: dict[str, str]) -> dict[str, int]:
    """Give a number for all there is of each document, whatever the order of its nodes."""
    return {
        entry.document_id: hash(
            (
                json.dumps(entry.metadata, sort_keys=True),
                _sum(map(_digest, entry.nodes, entry.vectors)),
            )
        )
        for entry in _entries(store, header, hashes)
    }


def _written_meanwhile(touched: list[str]) -> StoreError:
    return StoreError(
        f"{len(touched)} documents of the index were written or removed while it was copied, such "
        f"as {touched[0][:80]!r}. Run the same again, best while nobody writes it."
    )


class _Seen:
    """What went by on the way: counted, summed and sampled.

    Args:
        target: Where it goes.
        total: How many nodes there are to read.
    """

    def __init__(self, target: VectorStore, total: int) -> None:
        self.target = target
        self.total = total
        self.documents = self.nodes = self.copied = self.checksum = 0
        self.sampled: list[Vector] = []
        self._step = max(total // SAMPLES, 1)

    def through(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give entries on, having looked at each."""
        for entry in entries:
            for node, vector in zip(entry.nodes, entry.vectors, strict=True):
                self.checksum = (self.checksum + _digest(node, vector)) % _MODULUS
                if self.nodes % self._step == 0 and len(self.sampled) < SAMPLES:
                    self.sampled.append(vector.copy())
                self.nodes += 1
            self.documents += 1
            yield entry


def _resumed(known: dict[str, str], target: VectorStore) -> dict[str, str]:
    """Give what is in the target already; refuse a target that holds something else."""
    if target.header is None:
        return {}
    there = target.content_hashes()
    strange = next((name for name in there if name not in known), None)
    if strange is not None:
        message = (
            f"The target holds documents that the source has not, such as {strange[:80]!r}. "
            "Copy into a new store, or delete them first."
        )
        raise ConfigError(message)
    return there


def _windows(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    window: list[Entry] = []
    nodes = 0
    for entry in entries:
        window.append(entry)
        nodes += len(entry.nodes)
        if nodes >= WINDOW_NODES or len(window) >= WINDOW_NODES:
            yield window
            window, nodes = [], 0
    if window:
        yield window


def _digest(node: Node, vector: Vector) -> int:
    """Give a number for a node and its vector; the sum of many does not depend on their order."""
    facts = [node.id, node.document_id, node.start, node.end, node.text, node.metadata]
    said = json.dumps(facts, sort_keys=True).encode()
    numbers = np.ascontiguousarray(vector, "<f4").tobytes()
    digest = hashlib.blake2b(said, digest_size=16)
    digest.update(numbers)
    return int.from_bytes(digest.digest(), "little")


def _sum(digests: Iterable[int]) -> tuple[int, int]:
    total = count = 0
    for digest in digests:
        total, count = (total + digest) % _MODULUS, count + 1
    return total, count


def _agreement(source: VectorStore, target: VectorStore, sampled: list[Vector]) -> float:
    """Ask both stores the same, and compare the scores of their answers."""
    if not sampled:
        return 1.0
    queries = np.stack(sampled)
    shared = asked = 0
    exactly = True
    answers = zip(source.query(queries, SAMPLED_K), target.query(queries, SAMPLED_K), strict=True)
    for old, new in answers:
        exactly &= (old.engine, new.engine) == ("exact", "exact")
        before = [hit.score or 0.0 for hit in old.nodes]
        after = [hit.score or 0.0 for hit in new.nodes]
        asked += max(len(before), len(after))
        # By score: where many are equal, any of them may be among the ten best.
        floor = before[-1] - _NEAR if before else 0.0
        shared += sum(score >= floor for score in after)
    agreement = shared / asked if asked else 1.0
    if agreement < (1.0 if exactly else LEAST_AGREEMENT):
        message = (
            f"The copy answers sampled queries otherwise: {agreement:.0%} of the nearest nodes "
            "are the same. If the source was written meanwhile, run it again."
        )
        raise StoreError(message)
    return agreement
