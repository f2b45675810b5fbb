"""The figures as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.cli.bench.workloads import PLANETS
from nearfield.cli.output import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearfield.cli.bench.measure import Measured, ModelResult

SPEED_HEADS = ("texts/s", "page, 1 by 1", "page", "short", "passages", "mixed", "tokens/s")
COST_HEADS = ("", "p50 ms", "p99 ms", "load s", "peak MB", "cosine", "least", *PLANETS)


def lay_out(result: ModelResult) -> str:
    """Lay out a model's figures.

    Args:
        result: What was measured.

    Returns:
        Two tables, and a line for each backend that did not run.
    """
    ran = [one for one in result.backends if one.error is None]
    parts = [result.model]
    if ran:
        parts.append(columns([SPEED_HEADS, *map(_speed, ran)]))
        parts.append(columns([COST_HEADS, *(_cost(one, result.reference) for one in ran)]))
    failed = [f"{one.backend} did not run: {one.error}" for one in result.backends if one.error]
    return "\n\n".join([*parts, *(["\n".join(failed)] if failed else [])])


def _speed(one: Measured) -> Sequence[str]:
    rates = [one.page_one_by_one, *one.texts_per_s.values(), one.tokens_per_s["passages"]]
    return (one.backend, *(f"{rate:,.0f}" for rate in rates))


def _cost(one: Measured, reference: str | None) -> Sequence[str]:
    memory = "?" if one.peak_rss_bytes is None else f"{one.peak_rss_bytes / 1e6:,.0f}"
    alone = "reference" if one.backend == reference else "-"
    return (
        one.backend,
        f"{one.query_p50_ms:.2f}",
        f"{one.query_p99_ms:.2f}",
        f"{one.load_s:.2f}",
        memory,
        alone if one.cosine_mean is None else f"{one.cosine_mean:.7f}",
        "" if one.cosine_min is None else f"{one.cosine_min:.7f}",
        *(f"{one.similarity[planet]:.4f}" for planet in PLANETS),
    )
