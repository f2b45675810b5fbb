"""Names lead to providers and stores; foreign ones come by entry points."""

from __future__ import annotations

import importlib.metadata

import pytest

from nearfield.core import registry
from nearfield.errors import ConfigError, UnknownProviderError


@pytest.mark.parametrize(
    "row", [*registry.EMBEDDINGS.values(), *registry.STORES.values(), *registry.RERANKERS.values()]
)
def test_every_row_names_a_class_that_exists(row):
    """No optional library is needed to import a provider's module."""
    assert isinstance(row.load(), type)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownProviderError, match=r"Unknown store 'nosuch'.*memory,.* sqlite"):
        registry.find("stores", "nosuch")


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [("embeddings", "opnai", "openai"), ("stores", "postgres", "postgresql")],
)
def test_a_misspelt_name_is_told_the_nearest(kind, name, meant):
    with pytest.raises(UnknownProviderError, match=f"Did you mean '{meant}'"):
        registry.find(kind, name)


def test_another_distribution_adds_a_provider_by_entry_point(monkeypatch):
    point = importlib.metadata.EntryPoint(
        "foreign", "nearfield.testing.fake:FakeEmbedding", "nearfield.embeddings"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])

    assert registry.find("embeddings", "foreign").load().__name__ == "FakeEmbedding"


def test_a_built_in_name_wins_over_an_entry_point(monkeypatch):
    point = importlib.metadata.EntryPoint("openai", "evil:Class", "nearfield.embeddings")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])

    assert registry.find("embeddings", "openai") is registry.EMBEDDINGS["openai"]


@pytest.mark.parametrize("target", ["nearfield_nosuch:Class", "nearfield.errors:Nosuch"])
def test_an_entry_point_that_leads_nowhere_is_named(target):
    with pytest.raises(ConfigError, match=target):
        registry.Registered(target, "broken").load()


@pytest.mark.parametrize(("kind", "argument"), [("embeddings", "model_name"), ("stores", "path")])
def test_what_follows_a_foreign_name_goes_to_the_keyword_of_its_kind(monkeypatch, kind, argument):
    """``"mine:NAME"`` names a model, ``"mine://PATH"`` a place."""
    point = importlib.metadata.EntryPoint("mine", "package:Class", f"nearfield.{kind}")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])

    assert registry.find(kind, "mine").argument == argument
