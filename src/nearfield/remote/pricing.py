"""What remote embedding costs, by a table with a date on it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from nearfield.errors import ConfigError

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a number of tokens costs.

    Attributes:
        dollars: US dollars.
        as_of: The date of the prices, as the table writes it.
    """

    dollars: float
    as_of: str


def price(model_name: str, tokens: int, *, table: Path | str | None = None) -> Price | None:
    """Give what embedding costs.

    Args:
        model_name: The model's name.
        tokens: How many tokens.
        table: A TOML file with ``as_of`` and ``[dollars_per_million_tokens]``, instead of
            the one that comes with nearfield.

    Returns:
        The price, or ``None`` when the table does not know the model.

    Raises:
        ConfigError: The table cannot be read.
    """
    as_of, prices = _read(str(table) if table is not None else None)
    per_million = prices.get(model_name)
    return None if per_million is None else Price(tokens * per_million / MILLION, as_of)


@cache
def _read(path: str | None) -> tuple[str, dict[str, float]]:
    source = files("nearfield.remote") / "prices.toml" if path is None else Path(path)
    try:
        table = tomllib.loads(source.read_text("utf-8"))
        prices = {str(k): float(v) for k, v in table["dollars_per_million_tokens"].items()}
        return str(table["as_of"]), prices
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        message = (
            f"The price table {source} cannot be read ({type(error).__name__}: {error}). It needs "
            'as_of = "DATE" and a table [dollars_per_million_tokens] of model names and numbers.'
        )
        raise ConfigError(message) from error
