"""The checks that every store makes of its arguments, written once.

Stores share them so that a wrong call gives the same error everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.filter_forms import as_filters
from nearfield.core.metadata import encode_metadata
from nearfield.core.vectors import as_matrix, check_top_k
from nearfield.errors import (
    ConfigError,
    DimensionMismatchError,
    InvalidVectorsError,
    ModelMismatchError,
    NotSupportedError,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nearfield.core.filters import MetadataFilters
    from nearfield.core.store import Capabilities, Entry, Header, QueryMode
    from nearfield.core.vectors import Vectors

SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """An entry that may be written.

    Attributes:
        entry: The entry; its vectors are ``(n, dim)`` float32, finite.
        metadata: Its facts as JSON.
        node_metadata: The facts of each node as JSON.
    """

    entry: Entry
    metadata: str
    node_metadata: list[str]


def check_header(stored: Header, given: Header) -> None:
    """Refuse to open a store for another model than made it.

    Args:
        stored: The store's header.
        given: The header of the model in use.

    Raises:
        ModelMismatchError: The fingerprints differ.
        DimensionMismatchError: The dimensions differ.
        StoreError: The metrics differ.
    """
    if stored.fingerprint != given.fingerprint:
        message = (
            f"This index was made by {stored.model_name} ({stored.fingerprint}); the model in use "
            f"is {given.model_name} ({given.fingerprint}). Use that model, re-embed the "
            "index (`nearfield migrate`), or build a new one."
        )
        raise ModelMismatchError(message)
    if stored.dim != given.dim:
        message = (
            f"This index holds vectors of {stored.dim} numbers; the model in use gives {given.dim}."
            " Use the model and dimensions the index was made with."
        )
        raise DimensionMismatchError(message)
    if stored.metric is not given.metric:
        message = (
            f"This index compares by {stored.metric.value}, not by {given.metric.value}. "
            "Open it with its own metric, or build a new index."
        )
        raise StoreError(message)


def check_new_header(header: Header) -> str:
    """Check the header of a new store.

    Args:
        header: The header.

    Returns:
        Its facts as JSON.

    Raises:
        ConfigError: The dimension is not positive, or the facts are not JSON.
    """
    if isinstance(header.dim, bool) or not isinstance(header.dim, int) or header.dim < 1:
        message = f"An index needs vectors of at least 1 number, not {header.dim!r}."
        raise ConfigError(message)
    return encode_metadata(header.facts, "the header")


def known_header(header: Header | None) -> Header:
    """Give the header of a store that is not new.

    Args:
        header: The header, if there is one.

    Returns:
        The same header.

    Raises:
        StoreError: There is none.
    """
    if header is None:
        message = "The store is new: it must be initialized with a header before it is written."
        raise StoreError(message)
    return header


def check_entries(entries: Iterable[Entry], header: Header | None) -> list[CheckedEntry]:
    """Check entries before any of them is written.

    Args:
        entries: The entries of one call.
        header: The store's header.

    Returns:
        The entries, checked, in order.

    Raises:
        StoreError: The store has no header, an id is given twice, or a node
            names another document than its entry.
        DimensionMismatchError: Vectors are of another length than the header says.
        InvalidVectorsError: Vectors are not finite, or not one per node.
        ConfigError: Metadata is not JSON.
    """
    dim = known_header(header).dim
    checked = [_check_entry(entry, dim) for entry in entries]
    refuse_repeated("document", (one.entry.document_id for one in checked))
    refuse_repeated("node", (node.id for one in checked for node in one.entry.nodes))
    return checked


def check_query(
    capabilities: Capabilities,
    header: Header | None,
    vectors: Any,
    top_k: int,
    *,
    filters: Any,
    mode: QueryMode,
    texts: Sequence[str],
) -> tuple[Vectors, MetadataFilters | None]:
    """Check the arguments of a query.

    Args:
        capabilities: What the store can do.
        header: The store's header.
        vectors: ``(q, dim)`` or ``(dim,)`` numbers; ``None`` for ``mode="text"``.
        top_k: How many results.
        filters: Conditions in any form :func:`~nearfield.core.filter_forms.as_filters` takes.
        mode: By vectors or by words.
        texts: The texts of ``mode="text"``.

    Returns:
        The queries as ``(q, dim)`` float32, without rows for ``mode="text"``, and the filters.

    Raises:
        ConfigError: ``top_k``, ``mode`` or the filters make no sense.
        DimensionMismatchError: The queries are of another length than the header says.
        InvalidVectorsError: A query is not finite.
        NotSupportedError: The store lacks the mode, or filters.
    """
    check_top_k(top_k)
    conditions = as_filters(filters)
    if conditions is not None and not capabilities.filters:
        raise NotSupportedError("This store takes no metadata filters. Query without them.")
    if mode == "text":
        if not capabilities.text_search:
            raise NotSupportedError('This store does not search by words. Use mode="vector".')
        if isinstance(texts, str):
            raise ConfigError("A query by words takes a list of texts, not one text.")
        return np.zeros((0, 0), np.float32), conditions
    if mode != "vector":
        message = f'A store is queried by mode "vector" or "text", not {mode!r}.'
        raise ConfigError(message)
    if vectors is None:
        raise ConfigError('A query of mode="vector" needs vectors.')
    queries = as_matrix(np.atleast_2d(np.asarray(vectors, np.float32)))
    if header is not None and queries.size and queries.shape[1] != header.dim:
        message = (
            f"The query has {queries.shape[1]} numbers, the index holds vectors of {header.dim}. "
            "Embed the query with the model that made the index."
        )
        raise DimensionMismatchError(message)
    return queries, conditions


def shown(name: str) -> str:
    """Give an id for a message: quoted, and cut when it is long.

    Args:
        name: Any text.

    Returns:
        At most 80 characters of it, quoted.
    """
    return repr(name if len(name) <= SHOWN_CHARACTERS else name[:SHOWN_CHARACTERS] + "...")


def refuse_repeated(what: str, ids: Iterable[str]) -> None:
    """Refuse an id given twice in one call.

    Args:
        what: ``"document"`` or ``"node"``.
        ids: The ids.

    Raises:
        StoreError: One of them appears twice.
    """
    given = list(ids)
    if len(set(given)) == len(given):
        return
    seen: set[str] = set()
    for name in given:
        if name in seen:
            message = f"The {what} id {shown(name)} is given twice. Give each {what} its own id."
            raise StoreError(message)
        seen.add(name)


def _check_entry(entry: Entry, dim: int) -> CheckedEntry:
    if not _is_ready(entry.vectors, (len(entry.nodes), dim)):
        entry = replace(entry, vectors=_checked_vectors(entry, dim))
    metadata = encode_metadata(entry.metadata, f"document {shown(entry.document_id)}")
    node_metadata = []
    for node in entry.nodes:
        if node.document_id != entry.document_id:
            message = (
                f"Node {shown(node.id)} of document {shown(entry.document_id)} "
                f"names document {shown(node.document_id)}."
            )
            raise StoreError(message)
        same = node.metadata is entry.metadata or node.metadata == entry.metadata
        node_metadata.append(
            metadata if same else encode_metadata(node.metadata, f"node {shown(node.id)}")
        )
    return CheckedEntry(entry, metadata, node_metadata)


def _is_ready(vectors: Any, shape: tuple[int, int]) -> bool:
    """Say at little cost that vectors are as stores want them; a doubt is no."""
    return (
        type(vectors) is np.ndarray
        and vectors.dtype == np.float32
        and vectors.shape == shape
        and vectors.flags.c_contiguous
        # Finite squares are squares of finite numbers; one that is too great is a doubt.
        and math.isfinite(np.vdot(vectors, vectors))
    )


def _checked_vectors(entry: Entry, dim: int) -> Vectors:
    width = np.shape(entry.vectors)[1:]
    if len(entry.nodes) and len(width) == 1 and width[0] != dim:
        message = (
            f"The vectors of document {shown(entry.document_id)} have {width[0]} numbers, "
            f"those of the index {dim}. Embed it with the model that made the index."
        )
        raise DimensionMismatchError(message)
    try:
        return as_matrix(entry.vectors, rows=len(entry.nodes), dim=dim)
    except InvalidVectorsError as error:
        message = f"Document {shown(entry.document_id)} cannot be stored. {error}"
        raise InvalidVectorsError(message) from error
