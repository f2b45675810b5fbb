"""One state of a map, complete: where the points stand, and what is known about them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nearfield.server.map.findings import Outliers, Pairs, find_outliers, near_duplicates
from nearfield.server.map.layout import lay_out, weigh
from nearfield.server.map.neighbours import find_neighbours
from nearfield.server.map.points import read_points
from nearfield.server.map.projection import align, project
from nearfield.server.map.regions import Region, name_regions

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from nearfield.core.store import VectorStore
    from nearfield.server.map.points import Points

    Report = Callable[[str, float], None]
    """Told what is being done and which share of it; it raises to stop the work."""

NEIGHBOURS = 15


@dataclass(frozen=True, slots=True)
class Picture:
    """A map as it is known so far.

    Attributes:
        points: What is shown.
        pca: Where the points stand by their two principal components, ``(n, 2)`` float32.
        layout: Where they stand when neighbours stand together; ``None`` until it is ready.
        regions: Names for parts of the layout, or of the components while there is none.
        duplicates: Near-duplicates; ``None`` until they are known.
        outliers: Points that stand alone; ``None`` until they are known.
        recall: Which share of the true neighbours the layout was made from.
        seconds: What each step took, by its name.
    """

    points: Points
    pca: NDArray[np.float32]
    layout: NDArray[np.float32] | None = None
    regions: list[Region] = field(default_factory=list)
    duplicates: Pairs | None = None
    outliers: Outliers | None = None
    recall: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def places(self) -> NDArray[np.float32]:
        """Where the points stand, as well as it is known."""
        return self.pca if self.layout is None else self.layout


def sketch(
    store: VectorStore,
    *,
    report: Report,
    limit: int | None = None,
    text_characters: int | None = None,
) -> Picture:
    """Read an index and show it by its principal components.

    Args:
        store: The index.
        report: Told how far it is.
        limit: The most points; see :func:`~nearfield.server.map.points.read_points`.
        text_characters: How much of each text is kept.

    Returns:
        The picture, quickly made.

    Raises:
        StoreError: The index is empty.
    """
    begin = time.perf_counter()
    more = {} if text_characters is None else {"text_characters": text_characters}
    points = read_points(store, step=lambda share: report("reading", share), limit=limit, **more)
    pca = project(points.vectors, points.axes)
    regions = name_regions(pca, points.texts)
    return Picture(points, pca, regions=regions, seconds={"reading": _since(begin)})


def finish(picture: Picture, *, report: Report) -> Picture:
    """Give the better layout, the near-duplicates and the outliers.

    Args:
        picture: A sketch.
        report: Told how far it is.

    Returns:
        The whole picture: the same for the same vectors.
    """
    points, seconds, begin = picture.points, dict(picture.seconds), time.perf_counter()
    vectors = points.vectors
    neighbours = find_neighbours(vectors, NEIGHBOURS, step=lambda s: report("neighbours", s))
    seconds["neighbours"], begin = _since(begin), time.perf_counter()
    layout = picture.pca
    if neighbours.places.shape[1]:
        graph = weigh(neighbours)
        layout = lay_out(graph, picture.pca, step=lambda share: report("layout", share))
        layout = align(layout, picture.pca)
    seconds["layout"], begin = _since(begin), time.perf_counter()
    duplicates = near_duplicates(vectors, neighbours, step=lambda s: report("near-duplicates", s))
    seconds["near-duplicates"] = _since(begin)
    return replace(
        picture,
        layout=layout,
        regions=name_regions(layout, points.texts),
        duplicates=duplicates,
        outliers=find_outliers(neighbours),
        recall=neighbours.recall,
        seconds=seconds,
    )


def _since(begin: float) -> float:
    return time.perf_counter() - begin
