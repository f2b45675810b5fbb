"""The last bench, kept by ``page/bench.py``."""

import pytest

from nearfield.core.settings import Settings
from nearfield.server.page.bench import FILE, MAX_BYTES, keep_bench, last_bench


@pytest.fixture(autouse=True)
def cache(tmp_path):
    with Settings.override(cache_dir=tmp_path / "cache"):
        yield tmp_path / "cache"


def test_the_last_results_are_kept(cache):
    keep_bench({"models": [1]})
    keep_bench({"models": [2]})

    assert last_bench() == {"models": [2]}
    assert [path.name for path in cache.iterdir()] == [FILE]


def test_there_are_none_before_the_first():
    assert last_bench() is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "null", '{"models": 1' + " " * MAX_BYTES + "}"]
)
def test_a_file_that_is_something_else_is_none(cache, content):
    cache.mkdir()
    (cache / FILE).write_text(content)

    assert last_bench() is None


def test_a_folder_that_cannot_be_written_is_no_obstacle(cache):
    cache.write_text("a file where the folder should be")
    keep_bench({"models": []})

    assert last_bench() is None
