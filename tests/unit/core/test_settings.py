"""Settings hold for the process; overrides hold for a context."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from nearfield.core.embeddings import BaseEmbedding
from nearfield.core.settings import Settings
from nearfield.errors import ConfigError, UnknownProviderError


class Counting(BaseEmbedding):
    """A model whose only vector is its name's length."""

    def _encode(self, texts, input_type):
        return [[float(len(self.model_name))] for _ in texts]


@pytest.fixture(autouse=True)
def _defaults_afterwards():
    yield
    Settings.reset()


def test_a_setting_holds_in_every_thread():
    """A value set in one thread is seen by one started before."""
    seen = []
    begin = threading.Event()

    def look():
        begin.wait(5)
        seen.append(Settings.chunk_size)

    thread = threading.Thread(target=look)
    thread.start()
    Settings.chunk_size = 99
    begin.set()
    thread.join()

    assert seen == [99]


def test_a_chat_model_that_cannot_answer_is_refused_when_it_is_set():
    with pytest.raises(ConfigError, match=r"'str' object cannot answer.*OpenAILikeLLM"):
        Settings.llm = "gpt-4o"
    assert Settings.llm is None


def test_an_override_ends_with_its_block():
    with Settings.override(chunk_size=11):
        assert Settings.chunk_size == 11
    assert Settings.chunk_size is None


def test_an_override_may_name_the_splitter_either_way():
    for name in ("node_parser", "text_splitter"):
        splitter = object()
        with Settings.override(**{name: splitter}):
            assert Settings.node_parser is Settings.text_splitter is splitter
        assert Settings.node_parser is None


def test_overrides_nest_and_the_inner_one_wins():
    with Settings.override(chunk_size=11, chunk_overlap=1):
        with Settings.override(chunk_size=22):
            assert (Settings.chunk_size, Settings.chunk_overlap) == (22, 1)
        assert Settings.chunk_size == 11


def test_an_override_with_none_brings_the_default_back_within_its_block():
    Settings.chunk_size = 99

    with Settings.override(chunk_size=None):
        assert Settings.chunk_size is None

    assert Settings.chunk_size == 99


def test_an_override_is_not_seen_by_a_plain_thread_but_by_a_copied_context():
    with Settings.override(chunk_size=11), ThreadPoolExecutor(1) as pool:
        plain = pool.submit(lambda: Settings.chunk_size).result()
        copied = pool.submit(copy_context().run, lambda: Settings.chunk_size).result()

    assert (plain, copied) == (None, 11)


def test_overrides_of_two_tasks_do_not_meet():
    async def use(size: int) -> int | None:
        with Settings.override(chunk_size=size):
            await asyncio.sleep(0)
            return Settings.chunk_size

    async def both() -> list[int | None]:
        return await asyncio.gather(use(1), use(2))

    assert asyncio.run(both()) == [1, 2]


def test_a_value_set_within_an_override_is_for_the_process():
    with Settings.override(chunk_size=11):
        Settings.chunk_size = 99
        assert Settings.chunk_size == 11
    assert Settings.chunk_size == 99


def test_worker_threads_of_a_call_see_the_override_it_was_made_in():
    """A model with several workers computes in copies of the caller's context."""
    seen = []

    class Looking(Counting):
        def _encode(self, texts, input_type):
            seen.append(Settings.chunk_size)
            return super()._encode(texts, input_type)

    model = Looking(embed_batch_size=1, num_workers=3)
    with Settings.override(chunk_size=7):
        model.encode(["a", "b", "c", "d"])

    assert seen == [7, 7, 7, 7]


def test_the_model_may_be_set_by_name_object_or_foreign_object():
    model = Counting("mine")
    Settings.embed_model = model

    assert Settings.embed_model is model


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chunk_size", 0),
        ("chunk_size", "big"),
        ("chunk_overlap", -1),
        ("threads", True),
        ("nonsense", 1),
    ],
)
def test_nonsense_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        setattr(Settings, name, value)


def test_an_unknown_model_name_lists_what_exists():
    with pytest.raises(UnknownProviderError, match="openai"):
        Settings.embed_model = "nosuch"


def test_the_environment_gives_threads_and_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NEARFIELD_THREADS", "3")
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path))

    assert (Settings.threads, Settings.cache_dir) == (3, Path(tmp_path))


def test_a_bad_number_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("NEARFIELD_THREADS", "many")

    with pytest.raises(ConfigError, match="NEARFIELD_THREADS"):
        _ = Settings.threads


@pytest.mark.parametrize("ours", [None, "~no-such-user/cache"])
def test_where_there_is_no_home_the_way_to_name_a_cache_folder_is_told(monkeypatch, ours):
    def no_home(path):
        message = "Could not determine home directory."
        raise RuntimeError(message)

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NEARFIELD_CACHE_DIR", raising=False)
    if ours:
        monkeypatch.setenv("NEARFIELD_CACHE_DIR", ours)
    monkeypatch.setattr("pathlib.Path.expanduser", no_home)

    with pytest.raises(ConfigError, match=r"home directory\. Set NEARFIELD_CACHE_DIR"):
        _ = Settings.cache_dir


def test_the_other_name_of_the_splitter_sets_the_same_thing():
    splitter = object()
    Settings.text_splitter = splitter

    assert Settings.node_parser is splitter
