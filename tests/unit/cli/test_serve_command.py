"""``nearfield serve``, up to the point where it would serve."""

import pytest

import nearfield.server.run
from nearfield.cli.main import run
from nearfield.errors import MissingDependencyError

pytestmark = pytest.mark.server


@pytest.fixture
def served(monkeypatch):
    """The configurations that would have been served."""
    seen = []

    def remember(config, *, on_ready):
        seen.append(config)
        on_ready("http://127.0.0.1:1")

    monkeypatch.setattr(nearfield.server.run, "run", remember)
    monkeypatch.delenv("NEARFIELD_API_KEY", raising=False)
    return seen


def test_models_are_named_on_the_command_line(served, capsys):
    assert run(["serve", "--model", "a=bundled", "--model", "b=local:x/y", "--port", "0"]) == 0

    assert served[0].models == {"a": "bundled", "b": "local:x/y"}
    assert "http://127.0.0.1:1/v1" in capsys.readouterr().out


def test_options_go_before_the_file(served, tmp_path):
    path = tmp_path / "nearfield.toml"
    path.write_text("port = 9000\ntoken_arrays = 'model'\n[models]\na = 'bundled'\n")

    assert run(["serve", "--config", str(path), "--port", "9001"]) == 0
    assert (served[0].port, served[0].token_arrays) == (9001, "model")
    assert served[0].models == {"a": "bundled"}


def test_models_of_the_command_line_take_the_place_of_all_that_the_file_says_of_its_own(
    served, tmp_path
):
    path = tmp_path / "nearfield.toml"
    entry = "{ spec = 'local:x/y', dimensions = [64] }"
    path.write_text(f"default_model = 'a'\n[models]\na = {entry}\n")

    assert run(["serve", "--config", str(path), "--model", "b=bundled"]) == 0
    assert served[0].models == {"b": "bundled"}


@pytest.mark.parametrize("place", ["notes.index", "lance://notes", "postgresql://me@here/notes"])
def test_an_index_is_a_file_or_the_address_of_another_store(served, place):
    assert run(["serve", "--index", place]) == 0
    assert served[0].index == place


def test_an_open_address_is_refused_without_a_key(served, capsys):
    assert run(["serve", "--host", "0.0.0.0"]) == 1

    assert "--api-key-file" in capsys.readouterr().err
    assert not served


def test_the_key_comes_from_a_file(served, tmp_path):
    path = tmp_path / "key"
    path.write_text("a-key-from-a-file\n")

    assert run(["serve", "--host", "0.0.0.0", "--api-key-file", str(path)]) == 0
    assert served[0].api_key.reveal() == "a-key-from-a-file"


def test_the_key_comes_from_the_environment(served, monkeypatch):
    monkeypatch.setenv("NEARFIELD_API_KEY", "a-key-from-outside")

    assert run(["serve", "--host", "0.0.0.0"]) == 0
    assert served[0].api_key.reveal() == "a-key-from-outside"


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_a_file_without_a_key_is_refused(served, tmp_path, capsys, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)

    assert run(["serve", "--api-key-file", str(path)]) == 1
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("given", ["bundled", "=bundled", "a="])
def test_a_model_needs_a_name_and_what_it_is(served, given):
    assert run(["serve", "--model", given]) == 2


def test_a_name_is_given_once(served):
    assert run(["serve", "--model", "a=bundled", "--model", "a=openai"]) == 2


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys):
    from nearfield.cli import serve

    def absent(module, *, extra, purpose):
        message = f"{purpose} needs 'fastapi', which is not installed. Run: pip install ..."
        raise MissingDependencyError(message, extra=extra, install="")

    monkeypatch.setattr(serve, "require", absent)

    assert run(["serve"]) == 1
    assert capsys.readouterr().err.startswith("Error: nearfield serve needs 'fastapi'")
