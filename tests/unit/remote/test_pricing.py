"""What remote embedding costs."""

from __future__ import annotations

import pytest

from nearfield.errors import ConfigError
from nearfield.remote.pricing import Price, price


def test_known_models_have_a_price_with_a_date():
    small = price("text-embedding-3-small", 1_000_000)
    assert small is not None
    assert small.dollars == pytest.approx(0.02)
    assert small.as_of


def test_an_unknown_model_has_none():
    assert price("my-model", 1000) is None


def test_a_table_of_ones_own_replaces_ours(tmp_path):
    table = tmp_path / "prices.toml"
    table.write_text('as_of = "today"\n[dollars_per_million_tokens]\nmine = 2\n')
    assert price("mine", 500_000, table=table) == Price(1.0, "today")
    assert price("text-embedding-3-small", 1, table=table) is None


@pytest.mark.parametrize("text", ["", "as_of = 1", "nonsense", "dollars_per_million_tokens = 3"])
def test_a_table_that_cannot_be_read_is_told(tmp_path, text):
    table = tmp_path / "prices.toml"
    table.write_text(text)
    with pytest.raises(ConfigError, match="price table"):
        price("mine", 1, table=table)
    with pytest.raises(ConfigError, match="price table"):
        price("mine", 1, table=tmp_path / "nothing.toml")
