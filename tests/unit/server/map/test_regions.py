"""Names for the parts of a map."""

from __future__ import annotations

import numpy as np

from nearfield.server.map import regions
from nearfield.server.map.regions import name_regions

TOPICS = ["wine grape barrel", "rocket orbit engine", "violin cello bow"]


def three_topics(each=80):
    random = np.random.default_rng(0)
    centres = np.repeat([[0, 0], [10, 0], [0, 10]], each, axis=0)
    places = (centres + random.normal(size=centres.shape)).astype(np.float32)
    return places, [f"the {topic} and the rest" for topic in TOPICS for _ in range(each)]


def test_a_region_is_named_by_the_words_said_there_alone(monkeypatch):
    monkeypatch.setattr(regions, "POINTS_PER_REGION", 80)
    places, texts = three_topics()

    found = name_regions(places, texts)

    assert len(found) == 3
    assert sum(region.size for region in found) == 240
    for region in found:
        topic = 0 if region.x + region.y < 5 else 1 if region.x > region.y else 2
        words = region.name.split(" · ")
        assert len(words) == 2
        assert set(words) <= set(TOPICS[topic].split())


def test_the_same_map_has_the_same_names():
    places, texts = three_topics()

    assert name_regions(places, texts) == name_regions(places, texts)


def test_regions_without_words_have_no_name():
    places, _ = three_topics()

    assert name_regions(places, ["12 34 !"] * 240) == []
    assert name_regions(places, ["the same words"] * 240) == []


def test_a_small_map_has_no_regions():
    assert name_regions(np.zeros((5, 2), np.float32), ["a"] * 5) == []


def test_points_on_one_spot_are_one_region_without_a_name():
    assert name_regions(np.zeros((500, 2), np.float32), ["word"] * 500) == []


def test_many_texts_are_sampled(monkeypatch):
    monkeypatch.setattr(regions, "MOST_TEXTS", 60)
    places, texts = three_topics()

    assert all(region.name for region in name_regions(places, texts))
