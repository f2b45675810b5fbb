"""Entries into the table, in one commit: what is there already decides how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.core.store_checks import shown
from nearfield.errors import StoreError
from nearfield.stores.lance.rows import DOCUMENT, NODE, digest, make_rows, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nearfield.core.store_checks import CheckedEntry
    from nearfield.stores.lance.table import LanceTable, Version


def write_entries(
    table: LanceTable,
    version: Version,
    checked: Sequence[CheckedEntry],
    *,
    replace: bool,
    joined: bool = False,
) -> None:
    """Write documents whole, in one commit.

    Args:
        table: The table, its lock held.
        version: Its newest version.
        checked: The documents.
        replace: Whether a document that is there is replaced; refused otherwise.
        joined: Whether the documents were read in this very version, so that what somebody
            else wrote to one of them since must not be replaced.

    Raises:
        StoreLockedError: The documents were joined, and one was written since; nothing is.
        StoreError: A document is there and not to be replaced, or a node id
            belongs to another document.
    """
    known = _known(version, checked)
    if not replace:
        _refuse_known(known, checked)
    documents = {digest(DOCUMENT, one.entry.document_id) for one in checked}
    _refuse_stolen(known, checked, documents)
    rows = make_rows(checked, version.data.schema, version.number)
    if not replace:
        # Appending looks at no old row; but two who append the same rows both would.
        (table.append if table.alone else table.insert)(version, rows)
        return
    # Without a lock others may have written these documents since: nothing of theirs stays.
    old = documents & known.keys() if table.alone else documents
    if old or not table.alone:
        table.merge(version, rows, one_of("document", sorted(old)), only_on_it=joined)
    else:
        table.append(version, rows)


def _known(version: Version, checked: Sequence[CheckedEntry]) -> dict[str, str]:
    """Give which keys of entries are there already, and the document each belongs to."""
    keys = [digest(DOCUMENT, one.entry.document_id) for one in checked]
    keys += [digest(NODE, node.id) for one in checked for node in one.entry.nodes]
    found = version.data.to_table(columns=["key", "document"], filter=one_of("key", keys))
    return dict(zip(found["key"].to_pylist(), found["document"].to_pylist(), strict=True))


def _refuse_known(known: Mapping[str, str], checked: Sequence[CheckedEntry]) -> None:
    for one in checked:
        if digest(DOCUMENT, one.entry.document_id) in known:
            name = shown(one.entry.document_id)
            message = f"Document {name} is already there. Use upsert to replace it."
            raise StoreError(message)


def _refuse_stolen(
    known: Mapping[str, str], checked: Sequence[CheckedEntry], replaced: set[str]
) -> None:
    for one in checked:
        for node in one.entry.nodes:
            owner = known.get(digest(NODE, node.id))
            if owner is not None and owner not in replaced:
                message = (
                    f"Node id {shown(node.id)} already belongs to another document than "
                    f"{shown(one.entry.document_id)}. Node ids are unique in an index."
                )
                raise StoreError(message)
