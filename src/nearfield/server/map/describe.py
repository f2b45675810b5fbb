"""A picture as plain facts: what the page and the stand-alone file are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield.server.map.findings import LIKENESS
from nearfield.server.map.picture import NEIGHBOURS

if TYPE_CHECKING:
    from nearfield.server.map.fields import Field
    from nearfield.server.map.picture import Picture
    from nearfield.server.map.points import Points
    from nearfield.server.map.regions import Region


def describe(picture: Picture) -> dict[str, Any]:
    """Give all that is known of a map but for the points themselves.

    Args:
        picture: The map.

    Returns:
        JSON-able facts; ``near_duplicates`` and ``outliers`` are ``None`` until known.
    """
    points, pairs, outliers = picture.points, picture.duplicates, picture.outliers
    return {
        "count": len(points.ids),
        "total": points.total,
        "is_sample": points.is_sample,
        "explained": [round(float(share), 4) for share in points.axes.explained],
        "recall": picture.recall,
        "neighbours": NEIGHBOURS,
        "seconds": {name: round(value, 2) for name, value in picture.seconds.items()},
        "fields": [{"name": f.name, "categories": len(f.labels)} for f in points.fields],
        "regions": _regions(picture.regions),
        "near_duplicates": None
        if pairs is None
        else {
            "pairs": [[low, high, round(score, 4)] for low, high, score in pairs.pairs],
            "total": pairs.total,
            "exact": pairs.exact,
            "likeness": LIKENESS,
        },
        "outliers": None
        if outliers is None
        else {
            "points": [[place, round(distance, 4)] for place, distance in outliers.points],
            "total": outliers.total,
        },
    }


def describe_field(field: Field) -> dict[str, Any]:
    """Give a field without its codes.

    Args:
        field: The field.
    """
    return {"name": field.name, "labels": field.labels, "counts": field.counts}


def card(points: Points, number: int) -> dict[str, Any]:
    """Give what a list shows of a point.

    Args:
        points: The points.
        number: Which one.
    """
    start, end = points.spans[number]
    return {
        "i": number,
        "node_id": points.ids[number],
        "document": points.documents[number],
        "start": start,
        "end": end,
        "text": points.texts[number],
    }


def _regions(regions: list[Region]) -> list[dict[str, Any]]:
    return [
        {"x": round(r.x, 4), "y": round(r.y, 4), "name": r.name, "size": r.size} for r in regions
    ]
