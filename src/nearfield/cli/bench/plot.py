"""Speed against fidelity, drawn: SVG by hand, PNG through matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nearfield.cli.bench.measure import ModelResult

    Points = Sequence[tuple[str, str, float, float]]

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 80, 170, 40, 60
# Nearer than float32 can tell is drawn as this.
LEAST_DISTANCE = 1e-7
COLOURS = {"native": "#c0392b", "torch": "#2c5f8a", "onnx": "#3a7d44", "openvino": "#8e5ea2"}
OTHER_COLOUR = "#666666"
FONT = 'font-family="sans-serif" font-size="12"'
TITLE = "Speed against fidelity"
SPEED = "passages per second"
DISTANCE = "1 - cosine to the reference, worst text (upwards is nearer)"


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


def points_of(results: Sequence[ModelResult]) -> list[tuple[str, str, float, float]]:
    """Give what is drawn.

    Args:
        results: What was measured.

    Returns:
        For each backend that ran its label, its name, passages a second, and its distance
        from the reference.
    """
    found = []
    for result in results:
        for one in result.backends:
            if one.error is None:
                cosine = 1.0 if one.cosine_min is None else one.cosine_min
                label = f"{one.model.rstrip('/').rpartition('/')[2]}, {one.backend}"
                distance = max(LEAST_DISTANCE, 1 - cosine)
                found.append((label, one.backend, one.texts_per_s["passages"], distance))
    return found


def draw_svg(results: Sequence[ModelResult], path: Path) -> None:
    """Draw an SVG file.

    Args:
        results: What was measured.
        path: The file.
    """
    points = points_of(results)
    low, high = _decades([speed for *_, speed, _ in points])
    near, far = _decades([LEAST_DISTANCE, *(distance for *_, distance in points)])

    def across(speed: float) -> float:
        return LEFT + (math.log10(speed) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def down(distance: float) -> float:
        return TOP + (math.log10(distance) - near) / (far - near) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{TITLE}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 14}">{SPEED}</text>',
        f'<text transform="translate(18 {HEIGHT - BOTTOM}) rotate(-90)">{DISTANCE}</text>',
    ]
    for power in range(low, high + 1):
        x = across(10**power)
        parts += [
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>',
            f'<text x="{x:.1f}" y="{HEIGHT - 42}" text-anchor="middle">{10**power:,g}</text>',
        ]
    for power in range(near, far + 1):
        y = down(10**power)
        parts += [
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">1e{power}</text>',
        ]
    for label, backend, speed, distance in points:
        x, y, colour = across(speed), down(distance), COLOURS.get(backend, OTHER_COLOUR)
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>',
            f'<text x="{x + 9:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(label)}</text>',
        ]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", "utf-8")


def draw_png(results: Sequence[ModelResult], path: Path) -> None:
    """Draw a PNG file.

    Args:
        results: What was measured.
        path: The file.
    """
    from nearfield._extras import require  # noqa: PLC0415

    # The Figure itself: pyplot would look for a screen.
    figure = require("matplotlib.figure", extra="plot").Figure((WIDTH / 100, HEIGHT / 100))
    axes = figure.subplots()
    for label, backend, speed, distance in points_of(results):
        colour = COLOURS.get(backend, OTHER_COLOUR)
        axes.plot([speed], [distance], "o", color=colour)
        axes.annotate(label, (speed, distance), (7, -4), textcoords="offset points", color=colour)
    axes.set(title=TITLE, xlabel=SPEED, ylabel=DISTANCE, xscale="log", yscale="log")
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.grid(visible=True, color="#dddddd")
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Give whole powers of ten around values, at least one apart."""
    low = math.floor(math.log10(min(values, default=1)))
    return low, max(low + 1, math.ceil(math.log10(max(values, default=1))))
