"""``nearfield view``, up to the server it starts."""

import queue
import threading
import types

import pytest
from click.testing import CliRunner

from nearfield import Document
from nearfield.cli import view
from nearfield.core import VectorStoreIndex


@pytest.fixture
def started(monkeypatch):
    """Remember what would be served, and say it is ready."""
    seen = []

    def run(config, *, on_ready):
        seen.append(config)
        on_ready("http://127.0.0.1:1234")

    monkeypatch.setattr(view, "require", lambda *_, **__: types.SimpleNamespace(run=run))
    return seen


@pytest.fixture
def index_path(tmp_path):
    path = tmp_path / "my.index"
    VectorStoreIndex.from_documents([Document("Mars is red.")], path=path).close()
    return path


def test_the_page_is_served_to_this_machine_on_a_free_port(started, index_path):
    result = CliRunner().invoke(view.command, [str(index_path), "--no-browser"])

    (config,) = started
    assert (config.host, config.port, str(config.index)) == ("127.0.0.1", 0, str(index_path))
    assert "http://127.0.0.1:1234/" in result.output


def test_the_browser_is_opened_at_it_and_not_waited_for(started, index_path, monkeypatch):
    """One that runs in the terminal ends when its reader does, and asks the server until then."""
    opened, served = queue.SimpleQueue(), threading.Event()

    def browse(url):
        served.wait()
        opened.put(url)
        return True

    monkeypatch.setattr(view.webbrowser, "open", browse)
    CliRunner().invoke(view.command, [str(index_path)])
    served.set()

    assert opened.get(timeout=60) == "http://127.0.0.1:1234/"


def test_a_machine_without_a_browser_is_told(started, index_path, monkeypatch):
    told = queue.SimpleQueue()
    monkeypatch.setattr(view.webbrowser, "open", lambda _: False)
    monkeypatch.setattr(view.click, "echo", lambda text, **_: told.put(text))
    CliRunner().invoke(view.command, [str(index_path)])

    assert "http://127.0.0.1:1234/" in told.get(timeout=60)
    assert "No browser was found" in told.get(timeout=60)


def test_models_are_named_without_their_folders(started, index_path):
    also = ["bundled", "static:/a/table", "local:/b/table/", "static:/c/table"]
    words = [word for name in also for word in ("--also", name)]
    CliRunner().invoke(view.command, [str(index_path), "--no-browser", *words])

    assert dict(started[0].models) == {
        "bundled": "bundled",
        "static:table": "static:/a/table",
        "local:table": "local:/b/table/",
        "static:/c/table": "static:/c/table",
    }


def test_a_model_on_a_backend_is_loaded_for_it(started, index_path):
    words = [str(index_path), "--no-browser", "--also", "native=bundled"]
    result = CliRunner().invoke(view.command, words)

    assert result.exit_code == 0, result.output
    assert started[0].models["native=bundled"].backend == "native"


@pytest.mark.slow
@pytest.mark.torch
def test_the_bundled_model_runs_on_other_backends_too(started, index_path):
    words = [str(index_path), "--no-browser", "--also", "torch=bundled"]
    result = CliRunner().invoke(view.command, words)

    assert result.exit_code == 0, result.output
    assert started[0].models["torch=bundled"].backend == "torch"


def test_an_index_that_is_not_there_is_refused_before_anything_is_loaded(started, tmp_path):
    result = CliRunner().invoke(view.command, [str(tmp_path / "none.index")])

    assert result.exit_code == 1
    assert "nearfield index FOLDER" in result.output
    assert not started
