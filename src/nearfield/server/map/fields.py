"""What points can be coloured by: folder, document, and every fact that sorts them into a few."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from nearfield.core.schema import Metadata

MOST_CATEGORIES = 12
MOST_KEYS = 32
LABEL_CHARACTERS = 60
LEAST_SHARE_NAMED = 0.1
RANGES = 6
OTHER = "(other)"
NONE = "(none)"
TOP = "(top folder)"


class Field(NamedTuple):
    """A way to colour the points.

    Attributes:
        name: ``"folder"``, ``"document"``, or a key of the metadata.
        labels: The categories, largest first, ranges of numbers from low to high; the rest
            together as the last one.
        counts: How many points each has.
        codes: The category of every point, ``(n,)`` uint8.
    """

    name: str
    labels: list[str]
    counts: list[int]
    codes: NDArray[np.uint8]


class Values:
    """The facts of points, gathered one point at a time."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._count = 0

    def add(self, metadata: Metadata) -> None:
        """Take the facts of the next point; only text, numbers and truth make categories."""
        for key, value in metadata.items():
            if isinstance(value, (str, int, float)):
                column = self._columns.get(key)
                if column is None:
                    if len(self._columns) == MOST_KEYS:
                        continue
                    column = self._columns[key] = []
                column.extend([None] * (self._count - len(column)))
                column.append(value)
        self._count += 1

    def fields(self, documents: Sequence[str]) -> list[Field]:
        """Give what the points can be coloured by.

        Args:
            documents: The document of each point.

        Returns:
            Fields with two categories at least; the folder first, if there are folders.
        """
        columns: dict[str, Sequence[Any]] = {"folder": folders(documents), "document": documents}
        for key, column in self._columns.items():
            column.extend([None] * (self._count - len(column)))
            columns.setdefault(key, column)
        found: list[Field] = []
        for name, values in columns.items():
            field = categorise(name, values)
            # A fact that says the same as another, as a file's name and its document do.
            if field and not any(np.array_equal(field.codes, one.codes) for one in found):
                found.append(field)
        return found


def folders(documents: Sequence[str]) -> list[str]:
    """Give the folder of each document, as deep as a dozen folders can tell documents apart.

    Args:
        documents: Their ids, which are paths when they were files.

    Returns:
        For each a folder, seen from the one that holds all of them. The fullest are parted
        into the folders within them as long as there are few; what lies in such a folder
        itself is named with a slash at the end.
    """
    counted = Counter(documents)
    parents = {name: PurePosixPath(name.replace("\\", "/")).parts[:-1] for name in counted}
    groups: dict[tuple[str, ...], list[str]] = {(): list(parents)}
    top: tuple[str, ...] = ()
    while True:
        fullest = sorted(groups, key=lambda one: (-sum(counted[n] for n in groups[one]), one))
        for group in fullest:
            parted = _parted(group, groups[group], parents)
            alone = len(groups) == 1
            if parted.keys() != {group} and (
                alone or len(groups) - 1 + len(parted) <= MOST_CATEGORIES
            ):
                break
        else:
            break
        del groups[group]
        groups |= parted
        if alone and len(parted) == 1:
            top = next(iter(parted))
    names = {
        name: "/".join(group[len(top) :]) or TOP for group, held in groups.items() for name in held
    }
    return [names[name] for name in documents]


def _parted(
    group: tuple[str, ...], held: Sequence[str], parents: Mapping[str, tuple[str, ...]]
) -> dict[tuple[str, ...], list[str]]:
    """Part a folder into those within it, and what lies in it itself: its name with a slash."""
    if group[-1:] == ("",):
        return {group: list(held)}
    parted: dict[tuple[str, ...], list[str]] = {}
    for name in held:
        deeper = parents[name][len(group) : len(group) + 1]
        parted.setdefault((*group, *(deeper or ("",))) if group or deeper else (), []).append(name)
    if parted.keys() == {(*group, "")}:
        return {group: list(held)}
    return parted


def categorise(name: str, values: Sequence[Any]) -> Field | None:
    """Sort points into a few categories by a fact.

    Args:
        name: The fact's name.
        values: Text, number, truth or ``None`` for each point.

    Returns:
        The field; ``None`` when there are not two categories, or when nearly every point
        would be one of its own.
    """
    counted = Counter(map(_key, values))
    if len(counted) < 2:  # noqa: PLR2004 - one category tells nothing
        return None
    numeric = all(value is None or _is_number(value) for value in values)
    if numeric and len(counted) - (None in counted) > MOST_CATEGORIES:
        return _ranges(name, np.asarray(values, np.float64))  # None becomes NaN
    # Largest first; equal ones in the order of their names, for the same colours each time.
    ranked = sorted(counted, key=lambda key: (-counted[key], str(key)))
    named = ranked if len(ranked) <= MOST_CATEGORIES else ranked[: MOST_CATEGORIES - 1]
    if sum(counted[key] for key in named) < LEAST_SHARE_NAMED * len(values):
        return None
    places = {key: place for place, key in enumerate(named)}
    codes = np.fromiter((places.get(_key(v), len(named)) for v in values), np.uint8, len(values))
    labels = [_label(key) for key in named] + ([OTHER] if len(named) < len(ranked) else [])
    return Field(name, labels, np.bincount(codes, minlength=len(labels)).tolist(), codes)


def _ranges(name: str, numbers: NDArray[np.float64]) -> Field | None:
    """Sort points by a number into ranges that hold about as many each; those without one last."""
    known = numbers[~np.isnan(numbers)]
    shares = np.linspace(0, 1, RANGES + 1)[1:-1]
    borders = np.unique(np.quantile(known, shares, method="lower"))
    borders = borders[borders < known.max()]
    codes = np.searchsorted(borders, numbers, side="left").astype(np.uint8)
    codes[np.isnan(numbers)] = len(borders) + 1
    labels = []
    for code in range(len(borders) + 1):
        inside = numbers[codes == code]
        ends = (f"{inside.min():.6g}", f"{inside.max():.6g}")
        labels.append(" to ".join(dict.fromkeys(ends)))
    labels += [NONE] if len(known) < len(numbers) else []
    return Field(name, labels, np.bincount(codes, minlength=len(labels)).tolist(), codes)


def _key(value: Any) -> Hashable:
    # True and 1 are one key to a dictionary, and two facts to a reader.
    return (type(value) is bool, value) if isinstance(value, (bool, int, float)) else value


def _label(key: Any) -> str:
    value = key[1] if isinstance(key, tuple) else key
    if value is None:
        return NONE
    text = " ".join(str(value).split()) or '""'
    return text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
