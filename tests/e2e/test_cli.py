"""The command line, run as users run it: real files, the bundled model, real processes.

Where a test is of what a command does with its words, and not of its process, it is run
in this one, which has loaded already what each process would load anew.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.errors import NearfieldError

NEARFIELD = Path(sys.executable).with_name("nearfield")
here = runpy.run_path(str(Path(__file__).with_name("here.py")))["here"]
TEXTS = {
    "planets.md": "# Planets\n\nMars is called the Red Planet. Saturn has rings.\n",
    "animals/dogs.txt": "Dogs bark at strangers. They like to run.\n",
    "animals/whales.txt": "Whales are mammals that live in the sea.\n",
    "prices.csv": "fruit,price\napple,3\npear,4\n",
    "page.html": "<html><body><nav>Menu</nav><p>Bread needs an hour to rise.</body></html>",
}


def environment(**more: str) -> dict[str, str]:
    names = ("PATH", "HOME", "HF_HOME", "NEARFIELD_CACHE_DIR", "TMPDIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "COLUMNS": "100", "PYTHONWARNINGS": "error:::nearfield", **more}


def nearfield(*words: object, cwd: Path, stdin: str | bytes = b"", **more: str):
    """Run a command to its end; give its exit code, its output and its errors as text."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [NEARFIELD, *map(str, words)],
        cwd=cwd,
        input=data,
        env=environment(**more),
        capture_output=True,
        timeout=120,
        check=False,
    )


def succeeded(*words: object, cwd: Path, by=here, **more) -> str:
    done = by(*words, cwd=cwd, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def as_json(*words: object, cwd: Path, by=here, **more):
    return json.loads(succeeded(*words, "--json", cwd=cwd, by=by, **more))


def write_texts(folder: Path) -> Path:
    for name, text in TEXTS.items():
        path = folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def place(tmp_path):
    """A folder with ``docs`` in it, not yet indexed."""
    return write_texts(tmp_path)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """A folder with ``docs`` and their index; tests only read it."""
    folder = write_texts(tmp_path_factory.mktemp("indexed"))
    succeeded("index", "docs", cwd=folder)
    return folder


# Indexing.


def test_two_commands_index_a_folder_and_search_it(place):
    told = succeeded("index", "docs", cwd=place, by=nearfield)
    assert "nearfield.index: 6 added, 0 changed, 0 removed, 0 unchanged documents" in told
    shown = succeeded("search", "Which planet is red?", "-k", "1", cwd=place, by=nearfield)
    assert "docs/planets.md:" in shown
    assert ">Mars is called the Red Planet.<" in shown
    assert shown.startswith("1. 0.")


def test_a_second_run_embeds_only_what_changed(place):
    as_json("index", "docs", cwd=place)
    (place / "docs" / "planets.md").write_text("Venus is hot.\n")
    os.utime(place / "docs" / "page.html", (1, 1))
    (place / "docs" / "new.txt").write_text("A new text.\n")
    facts = as_json("index", "./docs/", cwd=place)
    assert [facts[name] for name in ("added", "changed", "unchanged", "removed")] == [1, 1, 5, 0]
    assert facts["texts_embedded"] == 2


def test_ids_do_not_depend_on_where_the_command_is_run(place):
    as_json("index", "docs", cwd=place)
    facts = as_json("index", ".", "--index", "../nearfield.index", cwd=place / "docs")
    assert (facts["added"], facts["unchanged"]) == (0, 6)


def test_files_that_are_gone_are_forgotten_only_when_asked_and_only_below_the_paths(place):
    (place / "other.txt").write_text("Elsewhere.")
    as_json("index", "docs", "other.txt", cwd=place)
    (place / "docs" / "planets.md").unlink()
    (place / "docs" / "prices.csv").write_text("fruit,price\napple,3\n")
    assert as_json("index", "docs", cwd=place)["removed"] == 0
    assert as_json("index", "docs", "--prune", cwd=place)["removed"] == 2
    assert as_json("info", cwd=place)["documents"] == 5


def test_pruning_an_emptied_folder_forgets_all_that_was_in_it(place):
    as_json("index", "docs/animals", cwd=place)
    for file in (place / "docs" / "animals").iterdir():
        file.unlink()
    assert as_json("index", "docs/animals", "--prune", cwd=place)["removed"] == 2


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_indexed(place):
    (place / "docs" / "broken.json").write_text("{nope")
    (place / "docs" / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    done = here("index", "docs", cwd=place)
    assert done.returncode == 0
    broken, image = done.stderr.decode().splitlines()
    assert broken.startswith("Skipped docs/broken.json is no .json file: It is not JSON")
    assert image.startswith("Skipped docs/image.png is an image, not text.")
    assert b"2 files skipped" in done.stdout


def test_strict_stops_at_a_file_that_cannot_be_read(place):
    (place / "docs" / "broken.json").write_text("{nope")
    done = here("index", "docs", "--strict", cwd=place)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("Error: docs/broken.json is no .json file")


def test_patterns_choose_what_is_read(place):
    facts = as_json("index", "docs", "--ext", "txt", "--exclude", "dogs*", cwd=place)
    assert facts["added"] == 1


def test_the_index_never_reads_itself(place):
    as_json("index", ".", cwd=place)
    again = as_json("index", ".", cwd=place)
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 6)
    assert again["skipped"] == []


def test_sizes_of_nodes_are_kept_by_the_index(place):
    (place / "docs" / "long.txt").write_text("A sentence of seven plain words here. " * 40)
    as_json("index", "docs", "--chunk-size", "24", "--chunk-overlap", "4", cwd=place)
    facts = as_json("info", cwd=place)
    assert (facts["chunk_size"], facts["chunk_overlap"]) == (24, 4)
    assert facts["nodes"] > 15


@pytest.mark.slow
def test_an_interrupted_run_keeps_what_it_did_and_the_next_goes_on(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(3000):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"Text number {number} of many.")
    words = [NEARFIELD, "index", "docs", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), **pipes) as process:
        while process.poll() is None and not nodes_in(tmp_path / "nearfield.index"):
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"Finishing what is begun" in errors
    first = json.loads(out)
    assert first["interrupted"] is True
    second = as_json("index", "docs", cwd=tmp_path)
    assert second["unchanged"] == first["added"] >= 1
    assert first["texts_embedded"] + second["texts_embedded"] == 3000
    assert as_json("info", cwd=tmp_path)["documents"] == 3000


def nodes_in(path: Path) -> int:
    try:
        with VectorStoreIndex.open(path, read_only=True) as index:
            return index.count
    except NearfieldError:
        return 0


# Searching and asking.


def test_search_as_json_tells_score_place_text_and_best_sentence(indexed):
    answer = as_json("search", "Which animals live in water?", "-k", "2", cwd=indexed)
    best = answer["results"][0]
    assert answer["engine"] == "exact"
    assert len(answer["results"]) == 2
    assert best["document_id"] == "docs/animals/whales.txt"
    assert (best["start"], best["end"]) == (0, len(best["text"]))
    assert best["best_sentence"] == "Whales are mammals that live in the sea."
    assert best["score"] > answer["results"][1]["score"]


def test_places_are_shown_from_where_one_stands(indexed):
    shown = succeeded(
        "search", "barking", "-k", "1", "--index", "../nearfield.index", cwd=indexed / "docs"
    )
    assert " animals/dogs.txt:0-" in shown


def test_ids_that_no_file_can_have_are_shown_as_they_are(tmp_path):
    """As an index made in Python may have them: an address, a title, a key of another system."""
    name = "https://example.org/" + "a-long-title-" * 30
    document = Document("Dogs bark at strangers.", doc_id=name)
    VectorStoreIndex.from_documents([document], path=tmp_path / "nearfield.index").close()

    for command in ("search", "ask"):
        assert f"{name}:0-23" in succeeded(command, "barking dogs", cwd=tmp_path)


def test_rows_of_a_table_are_found_one_by_one(indexed):
    best = as_json("search", "price of a pear", "-k", "1", cwd=indexed)["results"][0]
    assert (best["document_id"], best["text"]) == ("docs/prices.csv#2", "fruit: pear\nprice: 4")


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_words_can_be_searched_too(indexed, mode):
    answer = as_json("search", "strangers", "--mode", mode, "-k", "1", cwd=indexed)
    assert answer["results"][0]["document_id"] == "docs/animals/dogs.txt"


def test_ask_answers_with_sources(indexed):
    told = succeeded("ask", "What do dogs do?", "-k", "2", cwd=indexed)
    assert "Dogs bark at strangers." in told
    assert "Sources (extractive answer):" in told
    assert "docs/animals/dogs.txt:" in told
    facts = as_json("ask", "What do dogs do?", "-k", "2", cwd=indexed)
    assert "Dogs bark at strangers." in facts["answer"]
    assert len(facts["sources"]) == 2


def test_text_that_would_steer_a_terminal_is_made_harmless(place):
    (place / "docs" / "evil.txt").write_text("Beware \x1b[31mred\x1b[0m \u202eletters.")
    succeeded("index", "docs", cwd=place)
    for command in ("search", "ask"):
        shown = succeeded(command, "Beware of red letters", "-k", "1", cwd=place)
        assert "Beware" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--strict"]])
def test_names_that_would_steer_a_terminal_are_made_harmless(tmp_path, words):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "ok.txt").write_text("Dogs bark.")
    (tmp_path / "docs" / "a\x07\u202ebin").write_bytes(bytes(range(32)))

    told = here("index", "docs", *words, cwd=tmp_path).stderr.decode()
    assert "docs/a\ufffd\ufffdbin is binary" in told


# Embedding.


def test_embed_gives_the_same_vectors_in_every_form(tmp_path):
    lines = succeeded("embed", "one text", "another", cwd=tmp_path).splitlines()
    numbers = np.array([json.loads(line) for line in lines], np.float32)
    assert numbers.shape == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(numbers, axis=1), 1, atol=1e-5)
    texts = "one text\nanother\n"
    coded = succeeded("embed", "-f", "base64", cwd=tmp_path, stdin=texts, by=nearfield)
    decoded = [np.frombuffer(base64.b64decode(line), "<f4") for line in coded.splitlines()]
    np.testing.assert_array_equal(decoded, numbers)
    (tmp_path / "in.jsonl").write_text('{"text": "one text"}\n"another"\n')
    succeeded("embed", "-i", "in.jsonl", "-f", "npy", "-o", "out.npy", cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), numbers)


def test_embed_of_nothing_is_an_empty_matrix(tmp_path):
    succeeded("embed", "-f", "npy", "-o", "out.npy", cwd=tmp_path)
    assert np.load(tmp_path / "out.npy").shape == (0, 384)


# What is told of oneself.


def test_doctor_tells_engine_model_sizes_and_extras(tmp_path):
    facts = as_json("doctor", cwd=tmp_path)
    assert facts["engine"]["compiled"] is True
    assert facts["model"]["dim"] == 384
    assert (facts["model"]["max_tokens"], facts["model"]["chunk_size"]) == (256, 254)
    assert set(facts["libraries"]) >= {"numpy", "tokenizers", "click", "rich"}
    assert set(facts["extras"]) == declared_extras() - {"all", "dev", "onnx-gpu", "test"}


def declared_extras():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def test_info_tells_what_the_index_holds(indexed):
    facts = as_json("info", cwd=indexed)
    assert (facts["documents"], facts["nodes"], facts["dim"]) == (6, 6, 384)
    assert facts["fingerprint"].startswith("nearfield/all-MiniLM-L6-v2")


def test_models_lists_every_provider_whole(tmp_path):
    listed = succeeded("models", cwd=tmp_path, COLUMNS="40")
    assert "local:BAAI/bge-small-en-v1.5 " in listed
    assert {row["name"] for row in as_json("models", cwd=tmp_path)} >= {"bundled", "openai"}


# Failures.


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["search", "x", "--index", "none"], 1, "Error: There is no index at none. Make one:"),
        (["index", "nowhere"], 1, "Error: There is no file or folder 'nowhere'. Check"),
        (["search", ""], 1, "Error: The question is empty."),
        (["search", "x", "-k", "0"], 1, "Error: top_k must be a whole number of at least 1"),
        (["search", "x", "--model", "openai:nope"], 1, "Error: "),
        (["embed", "-i", "nowhere.txt"], 1, "Error: "),
        (["index"], 2, "Usage: nearfield index"),
        (["search"], 2, "Usage: nearfield search"),
        (["bogus"], 2, "Usage: nearfield"),
        (["search", "x", "--mode", "odd"], 2, "Usage: nearfield search"),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(indexed, words, code, message):
    done = here(*words, cwd=indexed)
    errors = done.stderr.decode()
    assert done.returncode == code
    assert errors.startswith(message)
    assert "Traceback" not in errors
    assert done.stdout == b""
    if code == 1:
        assert errors.count("\n") == 1


def test_a_misspelt_command_is_told_the_nearest(tmp_path):
    done = nearfield("serch", "x", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'serch'. Did you mean 'search'?" in done.stderr.decode()


@pytest.mark.parametrize("words", [["--debug", "search", "x"], ["search", "x", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(tmp_path, words):
    (tmp_path / "nearfield.index").write_text("not an index")
    done = nearfield(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert b"Traceback" in done.stderr


def test_a_damaged_index_is_said_to_be_one(tmp_path):
    (tmp_path / "nearfield.index").write_text("not an index")
    done = here("search", "x", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("Error: ")
    assert (tmp_path / "nearfield.index").read_text() == "not an index"


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "docs").mkdir()
    done = here("index", "docs", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode() == "Error: docs: no file to read.\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_the_command_in_silence(indexed, form):
    words = [NEARFIELD, "search", "planets", *form]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=indexed, env=environment(), **pipes) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE
    assert errors == b""


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_was_closed_is_missed_by_nobody(indexed, stream):
    """Services and cron jobs start programs so."""
    words = f'"{NEARFIELD}" search planets {stream}'
    done = subprocess.run(words, shell=True, cwd=indexed, env=environment(), check=False)
    assert done.returncode == 0


def test_the_shell_can_complete_commands_and_options(tmp_path):
    asked = {"COMP_WORDS": "nearfield se", "COMP_CWORD": "1"}
    done = nearfield(cwd=tmp_path, _NEARFIELD_COMPLETE="bash_complete", **asked)
    assert done.stdout.decode().split() == ["plain,search", "plain,serve"]


# On a terminal.


def on_a_terminal(*words: object, cwd: Path, stream: str, **more: str) -> str:
    """Run a command with one of its streams on a terminal, and give what it shows there."""
    master, slave = os.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: slave}
    variables = environment(TERM="xterm-256color", **more)
    shown = b""
    with subprocess.Popen([NEARFIELD, *words], cwd=cwd, env=variables, **streams) as process:
        os.close(slave)
        while True:
            try:
                piece = os.read(master, 65_536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    assert process.returncode == 0, shown
    return shown.decode()


def test_progress_is_drawn_on_a_terminal_only(place):
    assert "\x1b[" in on_a_terminal("index", "docs", cwd=place, stream="stderr")
    assert nearfield("index", "docs", cwd=place).stderr == b""


def test_colours_are_for_terminals_whose_owner_wants_them(indexed):
    words = ("search", "red planet", "-k", "1")
    green = "\x1b[1;32m"
    assert green in on_a_terminal(*words, cwd=indexed, stream="stdout")
    assert green not in on_a_terminal(*words, cwd=indexed, stream="stdout", NO_COLOR="1")
    assert "\x1b" not in succeeded(*words, cwd=indexed)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from nearfield.cli.main import run; run(['--help']);"
        "print(sorted({'numpy', 'rich', 'tokenizers', 'asyncio'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.splitlines()[-1] == "[]"
