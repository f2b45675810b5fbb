"""``nearfield index``: what it says it would do, and what it refuses."""

import json

import pytest

from nearfield.cli.main import run

TEXT = "Dogs bark at strangers. Cats sleep for most of the day.\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with two texts, from which the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text(TEXT)
    (tmp_path / "docs" / "b.txt").write_text("Bread dough needs an hour to rise.\n")
    return tmp_path


def estimated(capsys, *words):
    capsys.readouterr()
    assert run(["index", "docs", "--dry-run", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_sizes_that_were_said_are_used_and_may_be_said_again(place, capsys):
    words = ["index", "docs", "--chunk-size", "64", "--chunk-overlap", "32"]
    assert run(words) == 0
    assert run(words) == 0
    capsys.readouterr()
    assert run(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chunk_overlap"] == 32


def test_a_dry_run_counts_and_leaves_nothing_behind(place, capsys):
    assert run(["index", "docs", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "2 added, 0 changed, 0 removed, 0 unchanged documents" in told
    assert "2 nodes, at most 25 tokens for nearfield/all-MiniLM-L6-v2-int8." in told
    assert "$" not in told
    assert [file.name for file in place.iterdir()] == ["docs"]


def test_a_dry_run_of_an_index_that_is_there_tells_the_changes(place, capsys):
    assert run(["index", "docs"]) == 0
    before = (place / "nearfield.index").read_bytes()
    assert estimated(capsys)["nodes"] == 0
    (place / "docs" / "a.txt").write_text("Dogs bark.")
    (place / "docs" / "b.txt").unlink()
    (place / "docs" / "c.txt").write_text("Onions turn sweet.")
    (place / "docs" / "d.txt").write_bytes(b"\x7fELF\0\0")
    found = estimated(capsys, "--prune")
    counts = {name: found[name] for name in ("added", "changed", "removed", "unchanged")}
    assert counts == {"added": 1, "changed": 1, "removed": 1, "unchanged": 0}
    assert found["skipped"][0]["file"].endswith("d.txt")
    assert found["exact_tokens"] is True
    assert (place / "nearfield.index").read_bytes() == before


@pytest.mark.openai
def test_a_dry_run_of_a_remote_model_tells_the_price_and_sends_nothing(place, capsys, monkeypatch):
    from nearfield.testing.openai_server import OpenAIServer

    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = estimated(capsys, "--model", "openai:text-embedding-3-large")
        assert found["exact_tokens"] is False
        assert found["dollars"] == pytest.approx(found["tokens"] * 0.13 / 1e6)
        assert found["prices_of"]
        assert run(["index", "docs", "--dry-run", "--model", "openai:text-embedding-3-large"]) == 0
        assert "At most $0.0000, by the prices of 20" in capsys.readouterr().out
        assert run(["index", "docs", "--dry-run", "--model", "openai:of-tomorrow"]) == 0
        assert "does not know of-tomorrow" in capsys.readouterr().out
        assert not server.calls


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_sizes_other_than_those_of_the_index_are_wrong_usage(place, more, capsys):
    assert run(["index", "docs", "--chunk-size", "64", "--chunk-overlap", "8"]) == 0
    assert run(["index", "docs", "--chunk-size", "64", "--chunk-overlap", "8", *more]) == 0
    capsys.readouterr()
    assert run(["index", "docs", "--chunk-size", "32", *more]) == 2
    assert "--chunk-size 64, not 32" in capsys.readouterr().err
    assert run(["index", "docs", "--chunk-overlap", "4", *more]) == 2
    assert "--chunk-overlap 8, not 4" in capsys.readouterr().err


def test_a_size_beyond_what_the_model_reads_may_be_asked_for_again(place, capsys):
    words = ["index", "docs", "--chunk-size", "1000"]
    assert run(words) == 0
    assert run(words) == 0
    capsys.readouterr()
    assert run(["index", "docs", "--chunk-size", "100"]) == 2
    assert "--chunk-size 254, not 100" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--chunk-size", "0"], ["--chunk-overlap", "-1"]])
def test_sizes_that_make_no_sense_are_wrong_usage_of_their_flag(place, words, capsys):
    assert run(["index", "docs", *words]) == 2
    assert words[0] in capsys.readouterr().err
    assert [file.name for file in place.iterdir()] == ["docs"]
