"""Names for the parts of a map: the words that are said there, and seldom elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_REGIONS = 24
POINTS_PER_REGION = 60
MOST_TEXTS = 20_000
WORDS = 2
LEAST_SHARE = 0.12
LEAST_TEXTS = 4
ROUNDS = 12
_WORD = re.compile(r"[^\W\d_]{3,24}")


class Region(NamedTuple):
    """A part of a map.

    Attributes:
        x: Where its name stands, from left to right.
        y: And from below to above.
        name: Up to ``WORDS`` words.
        size: How many points it has.
    """

    x: float
    y: float
    name: str
    size: int


def name_regions(
    places: NDArray[np.float32], texts: Sequence[str], *, seed: int = 0
) -> list[Region]:
    """Part a map into regions by k-means, and name each by its words.

    A word is weighed by its share of the region's texts times the logarithm of how much
    larger that share is than elsewhere, its part of the Kullback-Leibler divergence.

    Args:
        places: Where the points stand, ``(n, 2)``.
        texts: Theirs.
        seed: Of the first centres, and of the texts that are read.

    Returns:
        The regions that have a word of their own, largest first.
    """
    n = len(places)
    count = min(n // POINTS_PER_REGION, MOST_REGIONS)
    if count < 2:  # noqa: PLR2004 - one region is the whole map
        return []
    random = np.random.default_rng(seed)
    owners = _part(places, count, random)
    read = np.arange(n)
    if n > MOST_TEXTS:
        read = np.sort(random.choice(n, MOST_TEXTS, replace=False))
    vocabulary, shares = _word_shares([texts[int(place)] for place in read], owners[read], count)
    regions = []
    for number in range(count):
        inside = np.flatnonzero(owners == number)
        name = _name(vocabulary, shares, number, np.bincount(owners[read], minlength=count))
        if len(inside) and name:
            x, y = np.median(places[inside], axis=0)
            regions.append(Region(float(x), float(y), name, len(inside)))
    return sorted(regions, key=lambda region: -region.size)


def _part(places: NDArray[np.float32], count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Part points into regions around centres (Lloyd 1982), begun far apart (k-means++)."""
    centres = places[[int(random.integers(len(places)))]].astype(np.float64)
    reach = np.full(len(places), np.inf)
    for _ in range(count - 1):
        reach = np.minimum(reach, _squares(places, centres[-1:])[:, 0])
        if not reach.any():
            break
        chosen = random.choice(len(places), p=reach / reach.sum())
        centres = np.concatenate([centres, places[[chosen]]])
    for _ in range(ROUNDS):
        owners = _squares(places, centres).argmin(axis=1)
        held = np.bincount(owners, minlength=len(centres))[:, None]
        sums = np.stack(
            [np.bincount(owners, places[:, axis], len(centres)) for axis in (0, 1)], axis=1
        )
        centres = np.where(held > 0, sums / np.maximum(held, 1), centres)
    nearest: NDArray[np.intp] = _squares(places, centres).argmin(axis=1)
    return nearest


def _squares(places: NDArray[np.float32], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = (
        np.subtract.outer(places[:, 0], centres[:, 0]),
        np.subtract.outer(places[:, 1], centres[:, 1]),
    )
    squares: NDArray[np.float64] = x * x + y * y
    return squares


def _word_shares(
    texts: Sequence[str], owners: NDArray[np.intp], count: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Count in how many texts of each region a word is said, ``(regions, words)``."""
    numbers: dict[str, int] = {}
    words: list[int] = []
    lengths = []
    for text in texts:
        said = {word.casefold() for word in _WORD.findall(text)}
        words += [numbers.setdefault(word, len(numbers)) for word in sorted(said)]
        lengths.append(len(said))
    keys = np.repeat(owners, lengths) * len(numbers) + np.asarray(words, np.int64)
    counts = np.bincount(keys, minlength=count * len(numbers))
    return list(numbers), counts.reshape(count, len(numbers))


def _name(
    vocabulary: Sequence[str], counts: NDArray[np.int64], region: int, sizes: NDArray[np.int64]
) -> str:
    """Give the words that mark a region; nothing when none does."""
    if sizes[region] in {0, sizes.sum()}:
        return ""
    here = counts[region] / sizes[region]
    others = counts.sum(axis=0) - counts[region]
    elsewhere = (others + 1) / (sizes.sum() - sizes[region] + 2)
    score = here * np.log(np.maximum(here, 1e-9) / elsewhere)
    score[(here < LEAST_SHARE) | (counts[region] < LEAST_TEXTS) | (here < 2 * elsewhere)] = 0
    ranked = np.argsort(-score, kind="stable")
    chosen: list[str] = []
    for place in ranked[: 4 * WORDS]:
        word = vocabulary[place]
        # "wing" and "wings" are one word to a reader.
        if score[place] > 0 and not any(word[:4] == other[:4] for other in chosen):
            chosen.append(word)
    return " · ".join(chosen[:WORDS])
