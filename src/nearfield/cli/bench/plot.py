"""Speed against fidelity, drawn: one picture, as SVG by hand and as PNG through matplotlib."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from nearfield.cli.bench.measure import Measured, ModelResult

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 80, 40, 40, 66
# Nearer than float32 can tell is drawn as this.
LEAST_DISTANCE = 1e-7
COLOURS = {
    "native": "#c0392b",
    "native-int8": "#e08e79",
    "torch": "#2c5f8a",
    "onnx": "#3a7d44",
    "openvino": "#8e5ea2",
}
INK, GRID, OTHER_COLOUR = "#000000", "#dddddd", "#666666"
SIZE, TITLE_SIZE = 12, 15
RADIUS = 5
DROP = 4  # from the middle of a letter to its base line
# A letter of the sans-serif faces is so wide, beside its height, on average.
LETTER = 0.55
TITLE = "Speed against fidelity"
SPEED = "passages per second"
DISTANCE = "1 - cosine to the reference, worst text (upwards is nearer)"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the grid, from one place to another in pixels from the top left."""

    x: float
    y: float
    to_x: float
    to_y: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point that was measured."""

    x: float
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class Words:
    """A text, from, around or up to a place on its base line; ``upright`` reads upwards."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    colour: str = INK
    size: int = SIZE
    upright: bool = False


def drawer(path: Path) -> Callable[[Sequence[ModelResult], Path], None]:
    """Give the function that draws a file.

    Args:
        path: The file; its ending decides.

    Returns:
        A function of results and path.

    Raises:
        click.UsageError: The ending is neither .svg nor .png.
        MissingDependencyError: matplotlib is not installed, for PNG.
    """
    if path.suffix == ".svg":
        return draw_svg
    if path.suffix != ".png":
        message = f"--plot writes .svg and .png, not {path.suffix or path.name!r}."
        raise click.UsageError(message)
    from nearfield._extras import require  # noqa: PLC0415

    require("matplotlib", extra="plot", purpose="drawing PNG (SVG needs nothing)")
    return draw_png


def picture(results: Sequence[ModelResult]) -> Iterator[Line | Dot | Words]:
    """Lay the picture out, in pixels from the top left.

    Args:
        results: What was measured.

    Yields:
        The grid, what the axes say, and for each backend that ran its point and name. A
        backend that was compared with nothing has no distance; it is named at the bottom.
    """
    drawn: list[Measured] = []
    alone: list[Measured] = []
    for result in results:
        for one in result.backends:
            compared = one.cosine_min is not None or one.backend == result.reference
            if one.error is None:
                (drawn if compared else alone).append(one)
    low, high = _decades([_speed(one) for one in drawn])
    near, far = _decades([LEAST_DISTANCE, *map(_distance, drawn)])
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(speed: float) -> float:
        return LEFT + (math.log10(speed) - low) / (high - low) * (right - LEFT)

    def down(distance: float) -> float:
        return TOP + (math.log10(distance) - near) / (far - near) * (floor - TOP)

    yield Words(LEFT, 22, TITLE, size=TITLE_SIZE)
    yield Words((LEFT + right) / 2, floor + 36, SPEED, "middle")
    yield Words(18, floor, DISTANCE, upright=True)
    if alone:
        names = "; ".join(map(_label, alone))
        yield Words(LEFT, HEIGHT - 10, f"Not drawn, compared with nothing: {names}")
    for power in range(low, high + 1):
        yield Line(across(10**power), TOP, across(10**power), floor)
        yield Words(across(10**power), floor + 16, f"{10**power:,g}", "middle")
    for power in range(near, far + 1):
        yield Line(LEFT, down(10**power), right, down(10**power))
        yield Words(LEFT - 8, down(10**power) + DROP, f"1e{power}", "end")
    drawn.sort(key=_distance)
    dots = [Dot(across(_speed(one)), down(_distance(one)), _colour(one)) for one in drawn]
    yield from dots
    taken = [(dot.x - RADIUS, dot.x + RADIUS, dot.y + DROP) for dot in dots]
    for one, dot in zip(drawn, dots, strict=True):
        yield _name(_label(one), dot, taken)


def draw_svg(results: Sequence[ModelResult], path: Path) -> None:
    """Draw an SVG file.

    Args:
        results: What was measured.
        path: The file.
    """
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *map(_svg, picture(results)),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", "utf-8")


def draw_png(results: Sequence[ModelResult], path: Path) -> None:
    """Draw a PNG file.

    Args:
        results: What was measured.
        path: The file.
    """
    from nearfield._extras import require  # noqa: PLC0415

    # The Figure itself: pyplot would look for a screen. A point of type is a pixel here.
    figure = require("matplotlib.figure", extra="plot").Figure((WIDTH / 72, HEIGHT / 72))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    sides = {"start": "left", "middle": "center", "end": "right"}
    for part in picture(results):
        if isinstance(part, Line):
            axes.plot([part.x, part.to_x], [part.y, part.to_y], color=GRID, linewidth=1, zorder=1)
        elif isinstance(part, Dot):
            axes.plot([part.x], [part.y], "o", color=part.colour, markersize=2 * RADIUS, zorder=2)
        else:
            axes.text(
                part.x,
                part.y,
                part.text.replace("$", r"\$"),
                color=part.colour,
                size=part.size,
                ha=sides[part.anchor],
                va="baseline",
                rotation=90 if part.upright else 0,
                rotation_mode="anchor",
            )
    figure.savefig(path, dpi=144, facecolor="white")


def _svg(part: Line | Dot | Words) -> str:
    if isinstance(part, Line):
        way = f"M{part.x:.1f} {part.y:.1f}L{part.to_x:.1f} {part.to_y:.1f}"
        return f'<path d="{way}" stroke="{GRID}"/>'
    if isinstance(part, Dot):
        return f'<circle cx="{part.x:.1f}" cy="{part.y:.1f}" r="{RADIUS}" fill="{part.colour}"/>'
    place = f'x="{part.x:.1f}" y="{part.y:.1f}"'
    if part.upright:
        place = f'transform="translate({part.x:.1f} {part.y:.1f}) rotate(-90)"'
    return (
        f'<text {place} font-size="{part.size}" text-anchor="{part.anchor}" '
        f'fill="{part.colour}">{escape(part.text)}</text>'
    )


def _name(text: str, dot: Dot, taken: list[tuple[float, float, float]]) -> Words:
    """Put a name beside its point: inwards, and below what stands there already."""
    long = len(text) * SIZE * LETTER
    leftwards = dot.x > (LEFT + WIDTH - RIGHT) / 2
    start, end = (dot.x - 9 - long, dot.x - 9) if leftwards else (dot.x + 9, dot.x + 9 + long)
    line = dot.y + DROP
    while any(abs(line - there) < SIZE and start < to and end > at for at, to, there in taken):
        line += SIZE
    taken.append((start, end, line))
    if leftwards:
        return Words(end, line, text, "end", dot.colour)
    return Words(start, line, text, "start", dot.colour)


def _colour(one: Measured) -> str:
    return COLOURS.get(one.backend, OTHER_COLOUR)


def _label(one: Measured) -> str:
    return f"{one.model.rstrip('/').rpartition('/')[2]}, {one.backend}"


def _speed(one: Measured) -> float:
    return one.texts_per_s["passages"]


def _distance(one: Measured) -> float:
    return max(LEAST_DISTANCE, 1 - (1.0 if one.cosine_min is None else one.cosine_min))


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Give whole powers of ten around values, at least one apart."""
    low = math.floor(math.log10(min(values, default=1)))
    return low, max(low + 1, math.ceil(math.log10(max(values, default=1))))
