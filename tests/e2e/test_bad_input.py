"""What a user can get wrong, or be given: each case has one clear answer, and nothing is lost."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.testing.fake import FakeEmbedding

NEARFIELD = Path(sys.executable).with_name("nearfield")
RUN_HERE = runpy.run_path(str(Path(__file__).with_name("here.py")))["here"]
LINE_BYTES = 50_000_000


def nearfield(*words: object, cwd: Path, stdin: bytes = b"", **more: str):
    """Run a command to its end, and give its exit code, its output and its errors."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [NEARFIELD, *map(str, words)],
        cwd=cwd,
        input=stdin,
        env={**kept, "PYTHONWARNINGS": "error:::nearfield", **more},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def here(*words: object, cwd: Path, stdin: bytes = b""):
    """Run a command to its end in this process; give what :func:`nearfield` gives."""
    done = RUN_HERE(*words, cwd=cwd, stdin=stdin)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def refused(*words: object, cwd: Path, by=here, **options) -> str:
    """Run a command that must fail in one line, and give the line."""
    code, output, errors = by(*words, cwd=cwd, **options)
    assert (code, output, errors.count("\n")) == (1, "", 1), errors
    assert errors.startswith("Error: ")
    return errors


def indexed_files(folder: Path) -> dict:
    code, output, errors = here("info", "--json", cwd=folder)
    assert code == 0, errors
    return json.loads(output)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """A folder with a small text and its index, to be copied."""
    folder = tmp_path_factory.mktemp("indexed")
    (folder / "docs").mkdir()
    (folder / "docs" / "mars.txt").write_text("Mars is called the Red Planet.")
    assert nearfield("index", "docs", cwd=folder)[0] == 0
    return folder


@pytest.fixture
def place(indexed, tmp_path):
    """A folder with a small text and its index."""
    return shutil.copytree(indexed, tmp_path, dirs_exist_ok=True)


def test_an_empty_folder_a_missing_path_and_a_binary_file_change_no_index(place):
    before = (place / "nearfield.index").read_bytes()
    (place / "empty").mkdir()
    (place / "photo.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0")

    assert "empty: no file to read" in refused("index", "empty", cwd=place)
    assert "no file or folder 'gone'" in refused("index", "docs", "gone", cwd=place)
    assert "photo.txt" in refused("index", "photo.txt", cwd=place)

    assert (place / "nearfield.index").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0"])
def test_where_there_is_nothing_to_read_no_index_is_made(tmp_path, content):
    (tmp_path / "docs").mkdir()
    if content is not None:
        (tmp_path / "docs" / "photo").write_bytes(content)
    refused("index", "docs", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_bytes_that_are_no_utf_8_are_decoded_and_found(place):
    (place / "docs" / "cafe.txt").write_bytes(
        "Un café à la crème, s'il vous plaît.".encode("cp1252")
    )
    assert here("index", "docs", cwd=place)[0] == 0

    code, output, _ = here("search", "a coffee with cream", "-k", "1", "--json", cwd=place)

    (found,) = json.loads(output)["results"]
    assert code == 0
    assert found["text"] == "Un café à la crème, s'il vous plaît."
    assert "guess" in found["metadata"]["encoding"]


def test_bytes_that_are_no_utf_8_are_no_line_to_embed(tmp_path):
    assert "Line 2 of standard input is not UTF-8" in refused(
        "embed", cwd=tmp_path, stdin=b"fine\n\xff\xfe\n", by=nearfield
    )


def test_an_output_that_knows_no_accents_gets_what_it_can_show(place):
    (place / "docs" / "cafe.txt").write_text("Un café à la crème.", "utf-8")
    assert here("index", "docs", cwd=place)[0] == 0
    search = ["search", "coffee with cream", "-k", "1"]

    code, shown, errors = nearfield(*search, cwd=place, PYTHONIOENCODING="ascii")
    assert (code, errors) == (0, "")
    assert "Un caf? ? la cr?me." in shown
    code, output, _ = nearfield(*search, "--json", cwd=place, PYTHONIOENCODING="ascii")
    assert code == 0
    assert json.loads(output)["results"][0]["text"] == "Un café à la crème."


@pytest.mark.parametrize("question", ["", "   ", "\n"])
@pytest.mark.parametrize("command", ["search", "ask"])
def test_an_empty_question_is_refused(place, command, question):
    assert "question is empty" in refused(command, question, cwd=place)


@pytest.mark.parametrize("top_k", ["0", "-1"])
@pytest.mark.parametrize("command", ["search", "ask"])
def test_fewer_results_than_one_cannot_be_asked_for(place, command, top_k):
    line = refused(command, "Mars?", "-k", top_k, cwd=place)
    assert f"at least 1, not {top_k}." in line


def test_an_index_made_by_another_model_is_neither_searched_nor_written(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("A text.")
    file = tmp_path / "nearfield.index"
    other = [Document("A text of another model.")]
    VectorStoreIndex.from_documents(other, path=file, embed_model=FakeEmbedding()).close()
    before = indexed_files(tmp_path)

    for words in (["search", "x"], ["ask", "x"], ["index", "docs"]):
        line = refused(*words, cwd=tmp_path)
        assert before["fingerprint"] in line
        assert "all-MiniLM-L6-v2" in line
        assert "nearfield migrate" in line

    assert indexed_files(tmp_path) == before


@pytest.mark.parametrize("damage", ["not an index", "cut off", "overwritten"])
def test_a_damaged_index_is_refused_by_every_command_and_left_as_it_is(place, damage):
    file = place / "nearfield.index"
    content = file.read_bytes()
    file.write_bytes(
        {
            "not an index": b"my diary\n" * 1000,
            "cut off": content[: len(content) // 3],
            "overwritten": content[:4096] + b"\xa5" * (len(content) - 4096),
        }[damage]
    )
    damaged = file.read_bytes()

    what = "not an index" if damage == "not an index" else "damaged"
    for words in (["search", "x"], ["ask", "x"], ["index", "docs"], ["repair"]):
        assert f"nearfield.index is {what}" in refused(*words, cwd=place)
    assert f"nearfield.index is {what}" in refused("search", "x", cwd=place, by=nearfield)

    assert file.read_bytes() == damaged


IN_A_READ_ONLY_FOLDER = """
import os, sys
from nearfield.cli.main import run

search = ["search", "a planet", "--index", "./nearfield.index"]
run(["index", "docs"])  # what root's commands load, others may not be able to
run(search)
open("docs/more.txt", "w").write("Venus is hot.")
os.chmod(".", 0o555)
if os.getuid() == 0:  # who may write anywhere
    os.setgid(65534)
    os.setuid(65534)
print("=====", flush=True)
print("=====", file=sys.stderr, flush=True)
print(run(search), run(["index", "docs"]))
"""


def test_in_a_read_only_folder_an_index_is_searched_but_not_written():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders shut other users out
        place = Path(name)
        place.chmod(0o755)
        (place / "docs").mkdir()
        (place / "docs" / "mars.txt").write_text("Mars is called the Red Planet.")
        try:
            done = subprocess.run(
                [sys.executable, "-c", IN_A_READ_ONLY_FOLDER],
                cwd=place,
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
        finally:
            place.chmod(0o755)
    output, errors = (text.partition("=====\n")[2] for text in (done.stdout, done.stderr))
    assert "Mars is called the Red Planet." in output
    assert output.endswith("0 1\n")
    index = place / "nearfield.index"
    assert errors.startswith(f"Error: {index} is read-only: it can be searched, not written")
    assert errors.count("\n") == 1


def test_two_processes_index_the_same_folder_into_the_same_file(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(60):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"Text number {number} of sixty.")
    words = [NEARFIELD, "index", "docs", "--json"]

    both = [subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert [report["nodes"] for report in reports] == [60, 60]
    assert indexed_files(tmp_path)["documents"] == 60
    assert here("verify", cwd=tmp_path)[0] == 0


@pytest.mark.slow
def test_one_line_of_fifty_megabytes_is_split_in_bounded_memory(tmp_path):
    """Split alone, as embedding it takes minutes; what is split is embedded in windows."""
    script = f"""
from itertools import islice
from nearfield.core import Document, SentenceSplitter, Settings
from nearfield.core.readers import PathReader

(document,) = PathReader(["line.txt"]).iter_data()
assert len(document.text) == {LINE_BYTES}
nodes = list(islice(SentenceSplitter.for_model(Settings.embed_model).iter_nodes([document]), 2000))
assert all(document.text[node.start : node.end] == node.text for node in nodes)
assert max(len(node.text) for node in nodes) < 3000
status = open("/proc/self/status").read()  # not ru_maxrss: a process inherits its parent's
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""
    words = b"mars is a planet of rust and dust and of no rain at all "
    with (tmp_path / "line.txt").open("wb") as file:
        file.write((words * (LINE_BYTES // len(words) + 1))[:LINE_BYTES])

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 600  # MB; the text itself is read as bytes, then as characters


def test_embed_never_writes_over_its_own_input(tmp_path):
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    words = ["embed", "-i", "texts.txt", "-o", "./texts.txt"]
    code, _, errors = here(*words, cwd=tmp_path)
    assert code == 2
    assert "is the input too" in errors
    assert (tmp_path / "texts.txt").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("mistake", [["--model", "bogus", "a text"], ["-i", "gone.txt"]])
def test_a_misspelt_embed_leaves_an_older_output_as_it_is(tmp_path, mistake):
    (tmp_path / "old.npy").write_bytes(b"of yesterday")
    refused("embed", *mistake, "-f", "npy", "-o", "old.npy", cwd=tmp_path)
    assert (tmp_path / "old.npy").read_bytes() == b"of yesterday"


@pytest.mark.parametrize("form", ["npy", "jsonl"])
def test_an_input_that_cannot_be_read_to_its_end_leaves_an_older_output_as_it_is(tmp_path, form):
    """Vectors of yesterday may have been paid for."""
    (tmp_path / "texts.txt").write_bytes(b"one\n" * 5000 + b"caf\xe9\n")
    (tmp_path / "target").write_bytes(b"of yesterday")
    (tmp_path / "old").symlink_to("target")

    words = ["embed", "-i", "texts.txt", "-f", form, "-o", "old"]
    assert "Line 5001" in refused(*words, cwd=tmp_path)
    assert (tmp_path / "target").read_bytes() == b"of yesterday"
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    code, _, errors = here(*words, cwd=tmp_path)
    assert code == 0, errors
    assert (tmp_path / "target").read_bytes() != b"of yesterday"
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "target", "old"}


def test_a_line_separator_inside_a_question_ends_no_line_of_judged_questions(place):
    question = {"id": "q", "text": "Which planet\u2028is red?"}
    (place / "queries.jsonl").write_text(json.dumps(question, ensure_ascii=False) + "\n", "utf-8")
    (place / "qrels.tsv").write_text("q\tdocs/mars.txt\t1\n")
    words = ["eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--mode", "vector"]
    code, output, errors = here(*words, "--json", cwd=place)
    assert code == 0, errors
    assert json.loads(output)["scores"]["vector"]["ndcg_at_10"] == 1.0


def test_judgements_that_speak_of_other_ids_are_not_scored_as_zero(place):
    (place / "queries.jsonl").write_text('{"id": "q", "text": "Which planet is red?"}\n', "utf-8")
    (place / "qrels.tsv").write_text("q\t17\t1\n")
    words = ["eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--mode", "vector"]
    said = refused(*words, cwd=place)
    assert "'docs/" in said
    assert "'17'" in said
    assert "--id-key" in said


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels.tsv"])
def test_questions_and_judgements_that_are_no_utf_8_are_told_by_name(place, name):
    (place / "queries.jsonl").write_text('{"id": "q", "text": "Which planet is red?"}\n', "utf-8")
    (place / "qrels.tsv").write_text("q\tdocs/mars.txt\t1\n")
    (place / name).write_bytes("Größe\t1\t1\n".encode("utf-16"))

    said = refused("eval", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", cwd=place)
    assert f"{name} is not UTF-8" in said


def test_debug_behind_two_dashes_is_a_text(tmp_path):
    """Options end at ``--``: what follows is embedded, whatever it looks like."""
    code, output, errors = nearfield("embed", "--", "--debug", cwd=tmp_path)

    assert (code, errors) == (0, "")
    assert len(output.splitlines()) == 1
