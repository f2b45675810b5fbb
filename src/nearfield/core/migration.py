"""An index re-embedded by another model, while it goes on serving.

The new vectors are kept in a file of their own as they come, so that a
migration that was killed goes on where it stopped and pays for no text twice.
When all are there, the index is switched in one transaction. Texts written
meanwhile are caught up with first; if some come again and again, the last of
them are embedded while writers wait.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nearfield.core.cache import EmbeddingCache
from nearfield.core.drafts import WINDOW_NODES
from nearfield.core.embeddings.rebuild import name_of, rebuild
from nearfield.core.ingest import TRUNCATION_FACTS
from nearfield.core.progress import progress
from nearfield.core.tokens import count_tokens
from nearfield.errors import ModelMismatchError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.report import EmbeddingReport
    from nearfield.core.store import Header
    from nearfield.core.vectors import Vector, Vectors

    Embed = Callable[[Sequence[str]], Vectors]

MOST_ROUNDS = 8
"""How often to catch up with other writers before they are made to wait."""


class Former(Protocol):
    """What an index was before its migration."""

    @property
    def header(self) -> Header:
        """Its header."""

    @property
    def next_row(self) -> int:
        """The first row that was written since."""


class Movable(Protocol):
    """An index that can be moved; see :class:`nearfield.stores.sqlite.Migration`."""

    @property
    def header(self) -> Header:
        """The header as it is now."""

    @property
    def before(self) -> Former | None:
        """What it was before its migration, if it can be rolled back."""

    def check_free(self) -> None:
        """Refuse if an earlier migration can still be rolled back."""

    def next_row(self) -> int:
        """Give the row that the next node will get."""

    def texts(self, first: int, last: int) -> list[str]:
        """Give the texts of the nodes of some rows, both ends included."""

    def working(self) -> AbstractContextManager[EmbeddingCache]:
        """Lend the file that keeps vectors as they come."""

    def switch(
        self, renewed: Callable[[Header], Header], embed: Embed, *, seen: int | None
    ) -> bool:
        """Move to other vectors, unless texts came after row ``seen``."""

    def switch_back(self, embed: Embed, *, seen: int | None) -> bool:
        """Move back to the vectors of before, unless texts came after row ``seen``."""


@dataclass(slots=True)
class MigrationReport:
    """What a migration did.

    Attributes:
        model: The name of the model that the vectors are of now.
        former_model: The name of the model that they were of.
        nodes: Nodes looked through; for a rollback, those written since.
        embedded: Different texts that the model computed in this run.
        kept: Texts whose vector was there: from a run that was stopped, from the
            model's cache, or from an equal node.
        long_nodes: Nodes of more tokens than the model reads.
        left_out_tokens: Tokens of them that it does not read.
        rounds: How often the texts were looked through, catching up included.
        seconds: How long it took.
    """

    model: str
    former_model: str
    nodes: int = 0
    embedded: int = 0
    kept: int = 0
    long_nodes: int = 0
    left_out_tokens: int = 0
    rounds: int = 0
    seconds: float = 0.0


def migrate(
    index: Movable, model: BaseEmbedding, *, show_progress: bool = False
) -> MigrationReport:
    """Re-embed an index by another model, and switch to it.

    Args:
        index: The index.
        model: The new model.
        show_progress: Draw a bar on stderr, on a terminal only.

    Returns:
        What was done; nothing, when the model is the one that made the index.

    Raises:
        StoreError: The index is empty, or cannot be written, or an earlier migration can
            still be rolled back.
        StoreLockedError: Another process is migrating it, or forgets an earlier migration.
        NearfieldError: The model failed. The index is as it was; what was
            embedded is kept for the next run.
    """
    began = time.perf_counter()
    old = index.header
    report = MigrationReport(model.model_name, old.model_name)
    if old.fingerprint == model.fingerprint:
        return report
    with index.working() as kept, _keeping(model, kept):
        index.check_free()

        def renewed(header: Header) -> Header:
            return _renewed(header, model, report)

        def switch(seen: int | None) -> bool:
            return index.switch(renewed, model.encode, seen=seen)

        _until_done(index, model, 0, report, switch, show_progress=show_progress)
    report.seconds = time.perf_counter() - began
    return report


def roll_back(
    index: Movable, model: BaseEmbedding | None = None, *, show_progress: bool = False
) -> MigrationReport:
    """Give an index back the vectors it had before its migration, bit for bit.

    Args:
        index: The index.
        model: The model it had; needed only for nodes written since, and only
            where the index cannot make it by itself.
        show_progress: Draw a bar on stderr, on a terminal only.

    Returns:
        What was done.

    Raises:
        StoreError: There is nothing to go back to, or a model is needed for it.
        StoreLockedError: Another process is migrating it, or forgets its old vectors.
        ModelMismatchError: ``model`` is not the one it had.
        NearfieldError: The model failed; the index is as it was.
    """
    began = time.perf_counter()
    with index.working() as kept:
        former, now = index.before, index.header
        if former is None:
            message = (
                "The index has no migration to roll back: there was none, it was rolled back "
                "already, or what it would need was forgotten."
            )
            raise StoreError(message)
        old, first = former.header, former.next_row
        report = MigrationReport(old.model_name, now.model_name)
        if index.next_row() != first or not index.switch_back(_none, seen=first):
            usual = _former_model(old, model)

            def switch(seen: int | None) -> bool:
                return index.switch_back(usual.encode, seen=seen)

            with _keeping(usual, kept):
                _until_done(index, usual, first, report, switch, show_progress=show_progress)
    report.seconds = time.perf_counter() - began
    return report


def _until_done(
    index: Movable,
    model: BaseEmbedding,
    first: int,
    report: MigrationReport,
    switch: Callable[[int | None], bool],
    *,
    show_progress: bool,
) -> None:
    """Embed all texts from a row on, and go round again while more have come."""
    while True:
        end = index.next_row()
        _embed(index, model, range(first, end), report, show_progress=show_progress)
        report.rounds += 1
        if switch(end if report.rounds < MOST_ROUNDS else None):
            return
        first = end


def _embed(
    index: Movable,
    model: BaseEmbedding,
    rows: range,
    report: MigrationReport,
    *,
    show_progress: bool,
) -> None:
    """See to it that the texts of some rows have a vector that is kept."""
    with progress(len(rows), "Migrating", show=show_progress) as bar:
        for start in range(rows.start, rows.stop, WINDOW_NODES):
            stop = min(start + WINDOW_NODES, rows.stop)
            texts = index.texts(start, stop - 1)
            if texts:
                counts = model.encode_with_report(texts)[1]
                report.nodes += len(texts)
                report.embedded += counts.computed
                report.kept += counts.cache_hits
                long, left_out = _cut(model, texts, counts)
                report.long_nodes += long
                report.left_out_tokens += left_out
            bar.advance(stop - start)


def _cut(model: BaseEmbedding, texts: Sequence[str], counts: EmbeddingReport) -> tuple[int, int]:
    """Count the texts that the model does not read whole, and the tokens it leaves out."""
    measure, most = model.measure, model.max_tokens
    if measure is None or most is None:
        return counts.truncated_texts, counts.truncated_tokens  # of those computed in this run
    # No token is shorter than a byte, but for one that some tokenizers put in front.
    short = most - measure.special_tokens - 1
    suspects = [text for text in texts if len(text.encode("utf-8", "surrogatepass")) > short]
    over = [tokens - most for tokens in count_tokens(measure, suspects) if tokens > most]
    return len(over), sum(over)


def _renewed(header: Header, model: BaseEmbedding, report: MigrationReport) -> Header:
    dim = model.dim or model.encode(["a word to measure by"]).shape[1]
    facts = {name: fact for name, fact in header.facts.items() if name not in TRUNCATION_FACTS}
    facts["embed_model"] = name_of(model)
    if report.long_nodes:
        facts |= dict(
            zip(TRUNCATION_FACTS, (report.long_nodes, report.left_out_tokens), strict=True)
        )
    return replace(
        header,
        fingerprint=model.fingerprint,
        dim=dim,
        metric=model.similarity_mode,
        model_name=model.model_name,
        facts=facts,
    )


def _former_model(header: Header, given: BaseEmbedding | None) -> BaseEmbedding:
    model = rebuild(header.facts.get("embed_model")) if given is None else given
    if model is None:
        message = (
            "Nodes were written since the migration; to roll it back, the model that the index "
            f"had must embed them: {header.model_name!r}. Pass it (--model)."
        )
        raise StoreError(message)
    if model.fingerprint != header.fingerprint:
        message = (
            f"Before its migration the index was made by {header.model_name!r} "
            f"({header.fingerprint}), not by {model.model_name!r} ({model.fingerprint}). "
            "Roll it back with that model."
        )
        raise ModelMismatchError(message)
    return model


def _none(texts: Sequence[str]) -> Vectors:
    """Refuse to embed where nothing should be missing."""
    message = f"{len(texts)} nodes have no vector from before the migration. Verify the index."
    raise StoreError(message)


class _AlsoKept(EmbeddingCache):
    """A cache before the one that the model has already; both get what is computed."""

    def __init__(self, kept: EmbeddingCache, usual: EmbeddingCache) -> None:
        super().__init__(kept.path, max_bytes=kept.max_bytes, required=kept.required)
        self._usual = usual

    def get_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str]
    ) -> dict[str, Vector]:
        """Find the vectors of texts in either cache."""
        found = super().get_many(fingerprint, input_type, texts)
        missing = [text for text in texts if text not in found]
        more = self._usual.get_many(fingerprint, input_type, missing)
        if more:
            vectors = np.stack(list(more.values()))
            super().put_many(fingerprint, input_type, list(more), vectors)
        return found | more

    def put_many(
        self, fingerprint: str, input_type: str, texts: Sequence[str], vectors: Vectors
    ) -> None:
        """Keep the vectors of texts in both caches."""
        super().put_many(fingerprint, input_type, texts, vectors)
        self._usual.put_many(fingerprint, input_type, texts, vectors)


@contextmanager
def _keeping(model: BaseEmbedding, kept: EmbeddingCache) -> Iterator[None]:
    """Keep all that a model computes in a file, batch by batch, within the block."""
    usual = model.cache
    both = kept if usual is None else _AlsoKept(kept, usual)
    model.cache = both
    try:
        yield
    finally:
        model.cache = usual
        both.close()
