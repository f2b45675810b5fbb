"""A document of one file that takes the place of another file's, because both have one id."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.core.outlines import Outlined
from nearfield.core.warn import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.core.drafts import Draft
    from nearfield.core.store import VectorStore

FILE_PATH = "file_path"


def warn_of_other_files(store: VectorStore, drafts: Sequence[Draft]) -> None:
    """Warn of documents that replace those of other files, which are still there.

    Two folders may hold files of the same path below them, which is their id. A folder that was
    moved or removed is no such case: its documents are to be replaced. Nor are ids that lead to
    one file alone, whatever it was called: paths from one folder, as those of the command line.

    Args:
        store: The store; only one that is :class:`~nearfield.core.outlines.Outlined` is asked,
            for any other would have to be read through.
        drafts: What is about to be written.
    """
    given = {
        draft.document_id: str(draft.metadata[FILE_PATH])
        for draft in drafts
        if draft.replaces and FILE_PATH in draft.metadata
    }
    if not given or not isinstance(store, Outlined):
        return
    had = store.outlines(list(given))
    files = {(str(had[name].metadata.get(FILE_PATH, "")), given[name]): name for name in had}
    both = {
        (old, new): name
        for (old, new), name in files.items()
        if _is_below(old, name) and _is_below(new, name) and _are_two_files(old, new)
    }
    if both:
        (old, new), name = next(iter(both.items()))
        more = f" ({len(both)} such files in this part.)" if len(both) > 1 else ""
        warn(
            f"{new!r} takes the place of {old!r} in the index: both have the id {name!r}.{more} "
            "To have both, read both folders by one PathReader, whose ids are other paths, "
            "or each into an index of its own."
        )


def _is_below(path: str, name: str) -> bool:
    """Say whether a file lies in some folder, below which its path is the id."""
    file_id = name.rpartition("#")[0] if name.rpartition("#")[2].isdecimal() else name
    return path.replace(os.sep, "/").endswith((f"/{name}", f"/{file_id}"))


def _are_two_files(old: str, new: str) -> bool:
    if old == new:
        return False
    try:
        return not Path(old).samefile(new)
    except (OSError, ValueError):  # one is no longer there, or no path at all
        return False
