"""``PathReader``: several places at once, and which documents are from them."""

from __future__ import annotations

import pytest

from nearfield.core.readers import PathReader
from nearfield.errors import ConfigError, ReadError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with two folders and a file."""
    for name in ("docs/a.md", "docs/sub/b.txt", "src/c.py", "d.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(reader: PathReader) -> list[str]:
    return [document.id for document in reader.iter_data()]


def test_folders_are_read_with_all_below_and_files_as_named(place):
    reader = PathReader(["docs", "d.txt"])
    assert ids(reader) == ["docs/a.md", "docs/sub/b.txt", "d.txt"]
    assert reader.count() == 3


def test_ids_do_not_depend_on_how_a_path_is_spelt(place):
    spelt = ["docs", "./docs/", place / "docs", "docs/../docs"]
    assert len({tuple(ids(PathReader([path]))) for path in spelt}) == 1


def test_ids_are_relative_to_the_place_asked_for(place, monkeypatch):
    (place / "index").mkdir()
    before = ids(PathReader(["docs"], relative_to=place / "index"))
    assert before == ["../docs/a.md", "../docs/sub/b.txt"]
    monkeypatch.chdir(place / "src")
    assert ids(PathReader(["../docs"], relative_to="../index")) == before


def test_a_file_in_two_of_the_paths_is_read_once(place):
    assert ids(PathReader(["docs", "docs/a.md", "."])) == [
        "docs/a.md",
        "docs/sub/b.txt",
        "d.txt",
        "src/c.py",
    ]


def test_a_file_that_is_named_is_read_whatever_the_patterns_say(place):
    (place / ".env.txt").write_text("x")
    assert ids(PathReader([".env.txt", "docs"], required_exts=[".md"])) == [
        ".env.txt",
        "docs/a.md",
    ]


def test_the_index_and_the_files_beside_it_are_left_out(place):
    beside = ("-wal", "-shm", "-snapshot", "-snapshot.12-ab.tmp", "-hnsw", "-migration",
              "-migration-wal", "-migration-lock")  # fmt: skip
    for ending in ("", *beside):
        (place / f"my.index{ending}").write_text("not a document")
    assert not any("my.index" in one for one in ids(PathReader(["."], leave_out="my.index")))


def test_files_whose_names_only_begin_like_the_index_are_read(place):
    names = ["notes.md", "notes-2024.md", "notes-wal.md", "notes2", "notes-snapshot.md"]
    for name in ("notes", *names):
        (place / "docs" / "sub" / name).write_text("A text.")
    reader = PathReader(["docs/sub"], leave_out="docs/sub/notes", relative_to="docs/sub")
    assert sorted(ids(reader)) == sorted([*names, "b.txt"])


def test_a_path_that_is_not_there_is_named_before_anything_is_read(place):
    with pytest.raises(ReadError, match="no file or folder 'nowhere'"):
        PathReader(["docs", "nowhere"])


def test_no_path_at_all_is_an_error():
    with pytest.raises(ConfigError):
        PathReader([])


def test_an_empty_folder_is_an_error_unless_allowed(place):
    (place / "empty").mkdir()
    with pytest.raises(ReadError, match="empty: no file to read"):
        ids(PathReader(["empty"]))
    assert ids(PathReader(["empty"], allow_empty=True)) == []


def test_it_covers_what_it_would_read_and_nothing_else(place):
    reader = PathReader(["docs", "d.txt"], exclude=["sub"], required_exts=[".md", ".csv"])
    ids(reader)
    assert reader.covers("docs/gone.md", {})
    assert reader.covers("docs/deep/gone.md", {})
    assert reader.covers("d.txt", {})
    assert reader.covers("docs/t.csv#12", {"part": 12})
    assert not reader.covers("src/c.py", {})
    assert not reader.covers("docs/gone.txt", {}), "its ending is not asked for"
    assert not reader.covers("docs/sub/gone.md", {}), "its folder is excluded"
    assert not reader.covers("docs2/gone.md", {})
    assert not reader.covers("doc-1234", {})


def test_it_covers_everything_below_the_working_folder(place):
    reader = PathReader(["."])
    ids(reader)
    assert reader.covers("gone.md", {})
    assert not reader.covers("../gone.md", {})


def test_it_does_not_cover_a_file_that_it_could_not_read(place):
    """Or else pruning would forget what is only out of reach for now."""
    (place / "docs" / "t.csv").write_bytes(b"a,b\n\x00\x01")
    reader = PathReader(["docs"])
    ids(reader)
    assert not reader.covers("docs/t.csv#1", {"part": 1})
    assert reader.covers("docs/a.md", {})
