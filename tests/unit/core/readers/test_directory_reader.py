"""``SimpleDirectoryReader``: what is read, what is not, and under which ids."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from nearfield.core.readers import SimpleDirectoryReader
from nearfield.core.schema import Document
from nearfield.errors import ConfigError, ReadError


@pytest.fixture
def folder(tmp_path):
    """A folder with files of several kinds, some below it."""
    root = tmp_path / "docs"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "b.md").write_text("# B\n\nSecond.")
    (root / "a.txt").write_text("First.")
    (root / ".hidden.txt").write_text("Hidden.")
    (root / "sub" / "c.TXT").write_text("Third.")
    (root / "sub" / "deep" / "d.py").write_text("print('Fourth')")
    return root


def ids(reader) -> list[str]:
    return [document.id for document in reader.load_data()]


def test_a_folder_is_read_in_order_of_name_without_what_lies_below(folder):
    documents = SimpleDirectoryReader(folder).load_data()
    assert [(one.id, one.text) for one in documents] == [
        ("a.txt", "First."),
        ("b.md", "# B\n\nSecond."),
    ]


def test_recursive_reads_what_lies_below(folder):
    assert ids(SimpleDirectoryReader(folder, recursive=True)) == [
        "a.txt",
        "b.md",
        "sub/c.TXT",
        "sub/deep/d.py",
    ]


def test_endings_count_in_any_case_with_or_without_a_dot(folder):
    for ending in (".txt", "TXT"):
        reader = SimpleDirectoryReader(folder, recursive=True, required_exts=[ending])
        assert ids(reader) == ["a.txt", "sub/c.TXT"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("sub", ["a.txt", "b.md", "subway/e.txt"]),
        ("sub/deep", ["a.txt", "b.md", "sub/c.TXT", "subway/e.txt"]),
        ("*.md", ["a.txt", "sub/c.TXT", "sub/deep/d.py", "subway/e.txt"]),
        ("sub*", ["a.txt", "b.md"]),
        ("**/*.md", ["a.txt", "sub/c.TXT", "sub/deep/d.py", "subway/e.txt"]),
        ("**/sub/**", ["a.txt", "b.md", "subway/e.txt"]),
        ("**/deep", ["a.txt", "b.md", "sub/c.TXT", "subway/e.txt"]),
        ("sub/**/c.TXT", ["a.txt", "b.md", "sub/deep/d.py", "subway/e.txt"]),
        ("sub/**/**/d.py", ["a.txt", "b.md", "sub/c.TXT", "subway/e.txt"]),
        ("./a.txt", ["b.md", "sub/c.TXT", "sub/deep/d.py", "subway/e.txt"]),
        ("s**/c.TXT", ["a.txt", "b.md", "sub/deep/d.py", "subway/e.txt"]),
    ],
)
def test_exclude_names_whole_names_not_beginnings(folder, pattern, left):
    (folder / "subway").mkdir()
    (folder / "subway" / "e.txt").write_text("Fifth.")
    assert ids(SimpleDirectoryReader(folder, recursive=True, exclude=[pattern])) == left


def test_hidden_files_are_read_when_asked_for(folder):
    assert ".hidden.txt" in ids(SimpleDirectoryReader(folder, exclude_hidden=False))


def test_a_dot_folder_above_the_input_hides_nothing(tmp_path):
    root = tmp_path / ".config" / "docs"
    root.mkdir(parents=True)
    (root / "a.txt").write_text("Seen.")
    assert ids(SimpleDirectoryReader(root)) == ["a.txt"]


def test_files_can_be_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    reader = SimpleDirectoryReader(input_files=["./b.md", "sub/c.TXT"])
    assert ids(reader) == ["b.md", "sub/c.TXT"]


def test_the_limit_counts_files_that_are_read_not_those_passed_over(folder):
    reader = SimpleDirectoryReader(
        folder, recursive=True, required_exts=[".txt"], num_files_limit=2
    )
    assert ids(reader) == ["a.txt", "sub/c.TXT"]


def test_empty_files_are_documents_unless_excluded(folder):
    (folder / "empty.txt").touch()
    assert "empty.txt" in ids(SimpleDirectoryReader(folder))
    assert "empty.txt" not in ids(SimpleDirectoryReader(folder, exclude_empty=True))


def test_metadata_tells_of_the_file_and_the_text_does_not(folder):
    document = SimpleDirectoryReader(folder).load_data()[0]
    assert document.metadata["file_name"] == "a.txt"
    assert document.metadata["file_path"] == str(folder / "a.txt")
    assert document.metadata["file_type"] == "text/plain"
    assert document.metadata["file_size"] == 6
    assert document.metadata["last_modified_date"].endswith("Z")
    assert document.text == "First."


def test_file_metadata_adds_facts(folder):
    reader = SimpleDirectoryReader(folder, file_metadata=lambda path: {"length": len(path)})
    assert all(document.metadata["length"] > 0 for document in reader.load_data())


def test_touching_or_moving_a_file_leaves_its_hash(folder, tmp_path):
    before = SimpleDirectoryReader(folder).load_data()
    os.utime(folder / "a.txt", (1, 1))
    folder.rename(tmp_path / "elsewhere")
    after = SimpleDirectoryReader(tmp_path / "elsewhere").load_data()
    assert [one.hash for one in before] == [one.hash for one in after]
    assert before[0].metadata != after[0].metadata


def test_changing_a_file_changes_its_hash_and_keeps_its_id(folder):
    before = SimpleDirectoryReader(folder).load_data()[0]
    (folder / "a.txt").write_text("Other.")
    after = SimpleDirectoryReader(folder).load_data()[0]
    assert before.id == after.id
    assert before.hash != after.hash


def test_a_bad_file_is_skipped_with_its_reason_and_the_rest_is_read(folder, caplog):
    (folder / "aa.bin").write_bytes(b"\x00\x01\x02\x03")
    reader = SimpleDirectoryReader(folder)
    with caplog.at_level(logging.WARNING, "nearfield.readers"):
        assert ids(reader) == ["a.txt", "b.md"]
    (skipped,) = reader.skipped
    assert skipped.path.endswith("aa.bin")
    assert "is binary" in skipped.reason
    assert "1 of 3 files were not read" in caplog.text


def test_raise_on_error_stops_at_a_bad_file(folder):
    (folder / "aa.bin").write_bytes(b"\x00\x01\x02\x03")
    with pytest.raises(ReadError, match=r"aa\.bin is binary") as raised:
        SimpleDirectoryReader(folder, raise_on_error=True).load_data()
    assert raised.value.path.endswith("aa.bin")


def test_skipped_files_are_those_of_the_last_reading(folder):
    (folder / "aa.bin").write_bytes(b"\x00")
    reader = SimpleDirectoryReader(folder)
    reader.load_data()
    (folder / "aa.bin").unlink()
    reader.load_data()
    assert reader.skipped == []


def test_when_nothing_can_be_read_that_is_an_error(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00")
    with pytest.raises(ReadError, match=r"None of 1 files could be read.*is binary"):
        SimpleDirectoryReader(tmp_path).load_data()


def test_an_empty_folder_is_an_error_that_thinks_of_folders_below(folder):
    for name in ("a.txt", "b.md"):
        (folder / name).unlink()
    with pytest.raises(ReadError, match=r"holds no file to read\. recursive=True"):
        SimpleDirectoryReader(folder).load_data()


def test_a_folder_or_file_that_is_not_there_is_named_at_once(tmp_path):
    with pytest.raises(ReadError, match=r"There is no folder .*nowhere'\. Check the path"):
        SimpleDirectoryReader(tmp_path / "nowhere")
    with pytest.raises(ReadError, match=r"There is no file .*nowhere'\. Check the path"):
        SimpleDirectoryReader(input_files=[tmp_path / "nowhere"])


def test_naming_nothing_is_an_error():
    with pytest.raises(ConfigError, match="input_dir or input_files"):
        SimpleDirectoryReader()


def test_iter_data_reads_as_it_is_asked(folder):
    reader = SimpleDirectoryReader(folder)
    stream = reader.iter_data()
    assert next(stream).id == "a.txt"
    (folder / "b.md").write_text("Changed meanwhile.")
    assert next(stream).text == "Changed meanwhile."


async def test_aload_data_gives_the_same(folder):
    reader = SimpleDirectoryReader(folder, recursive=True)
    assert await reader.aload_data() == reader.load_data()


def test_several_workers_give_the_same_in_the_same_order(folder):
    for number in range(60):
        (folder / f"n{number:02}.txt").write_text(f"Number {number}.")
    (folder / "n30.bin").write_bytes(b"\x00")
    alone, together = (SimpleDirectoryReader(folder, recursive=True) for _ in range(2))
    assert together.load_data(num_workers=4) == alone.load_data()
    assert together.skipped == alone.skipped != []


def test_records_before_a_broken_one_are_read_however_many_workers_read(folder):
    (folder / "aa.jsonl").write_text('{"n": 1}\n{"n": 2}\nbroken\n{"n": 4}\n')
    reader = SimpleDirectoryReader(folder)
    for workers in (1, 3):
        read = [document.id for document in reader.load_data(num_workers=workers)]
        assert read == ["a.txt", "aa.jsonl#1", "aa.jsonl#2", "b.md"]
        (skipped,) = reader.skipped
        assert "Line 3 is not JSON" in skipped.reason


def test_resources_are_listed_and_read_one_by_one(folder):
    reader = SimpleDirectoryReader(folder)
    assert reader.list_resources() == [str(folder / "a.txt"), str(folder / "b.md")]
    (document,) = reader.load_resource(str(folder / "a.txt"))
    assert document.id == "a.txt"


def test_an_extractor_reads_what_is_no_text(folder):
    (folder / "c.pdf").write_bytes(b"%PDF-1.7 \x00")
    reader = SimpleDirectoryReader(
        folder, required_exts=[".pdf"], file_extractor={".pdf": lambda path: "Its text."}
    )
    (document,) = reader.load_data()
    assert (document.id, document.text) == ("c.pdf", "Its text.")
    assert document.metadata["file_type"] == "application/pdf"


def test_an_extractor_may_give_pages_or_be_a_reader_of_llama_index(folder):
    class PageReader:
        def load_data(self, file, extra_info=None):
            return [Document(f"Page {n} of {file.stem}", {"page": n}) for n in (1, 2)]

    (folder / "c.pdf").write_bytes(b"%PDF-1.7")
    reader = SimpleDirectoryReader(
        folder, required_exts=[".pdf"], file_extractor={".pdf": PageReader()}
    )
    first, second = reader.load_data()
    assert (first.id, first.text, first.metadata["page"]) == ("c.pdf#1", "Page 1 of c", 1)
    assert second.id == "c.pdf#2"


def test_an_extractor_that_fails_skips_its_file(folder):
    def fail(path):
        raise KeyError("no such thing")

    reader = SimpleDirectoryReader(folder, file_extractor={".md": fail})
    assert ids(reader) == ["a.txt"]
    assert "its extractor failed: KeyError" in reader.skipped[0].reason


# What lies in wait in folders.


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("Secret.")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.txt").write_text("Key.")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(tmp_path / "private")
    reader = SimpleDirectoryReader(folder, recursive=True)
    texts = [document.text for document in reader.load_data()]
    assert "Secret." not in texts
    assert "Key." not in texts
    assert len(texts) == 4
    assert sorted(Path(one.path).name for one in reader.skipped) == ["link.txt", "linked"]
    assert all("leads out of the folder" in one.reason for one in reader.skipped)


def test_a_link_within_the_folder_is_read_once_where_it_leads(folder):
    (folder / "again.txt").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to(folder)
    reader = SimpleDirectoryReader(folder, recursive=True)
    assert ids(reader) == ["a.txt", "b.md", "sub/c.TXT", "sub/deep/d.py"]
    assert reader.skipped == []


@pytest.mark.parametrize("target", ["..data/a.txt", "sub/c.TXT"])
def test_a_link_to_what_is_left_out_is_told_not_passed_over(folder, target):
    (folder / "..data").mkdir()
    (folder / "..data" / "a.txt").write_text("As mounted volumes have it.")
    (folder / "link.txt").symlink_to(folder / target)
    reader = SimpleDirectoryReader(folder)
    assert ids(reader) == ["a.txt", "b.md"]
    (skipped,) = reader.skipped
    assert skipped.path.endswith("link.txt")
    assert "left out of the folder. Name its target" in skipped.reason


def test_a_link_to_itself_or_to_nothing_is_skipped(folder):
    (folder / "self.txt").symlink_to(folder / "self.txt")
    (folder / "broken.txt").symlink_to(folder / "nothing")
    reader = SimpleDirectoryReader(folder)
    assert ids(reader) == ["a.txt", "b.md"]
    assert [one.reason.partition(": ")[2] for one in reader.skipped] == [
        "It is a link that leads nowhere."
    ] * 2


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "way").symlink_to(folder)
    assert ids(SimpleDirectoryReader(tmp_path / "way")) == ["a.txt", "b.md"]


def test_pipes_sockets_and_devices_are_not_waited_for(folder):
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.txt"))
        reader = SimpleDirectoryReader(folder)
        assert ids(reader) == ["a.txt", "b.md"]
    assert all("a pipe, a socket or a device" in one.reason for one in reader.skipped)
    with pytest.raises(ReadError, match="is a pipe, a socket or a device"):
        SimpleDirectoryReader(input_files=[folder / "pipe.txt"]).load_data()
    with pytest.raises(ReadError, match="is a pipe, a socket or a device"):
        SimpleDirectoryReader(input_files=["/dev/zero"]).load_data()


def test_a_file_swapped_for_a_link_after_it_was_found_is_not_followed(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("Secret.")
    reader = SimpleDirectoryReader(folder)
    stream = reader.iter_data()
    next(stream)
    (folder / "b.md").unlink()
    (folder / "b.md").symlink_to(tmp_path / "secret.txt")
    assert list(stream) == []
    assert "b.md cannot be opened" in reader.skipped[0].reason


def test_a_file_over_the_size_limit_is_skipped(folder):
    reader = SimpleDirectoryReader(folder, max_bytes=6)
    assert ids(reader) == ["a.txt"]
    assert "no more than 6 are read" in reader.skipped[0].reason


def test_a_file_that_vanishes_is_skipped(folder):
    reader = SimpleDirectoryReader(folder)
    stream = reader.iter_data()
    next(stream)
    (folder / "b.md").unlink()
    assert list(stream) == []
    assert "No such file" in reader.skipped[0].reason


def test_names_that_are_not_utf8_become_ids_that_are(folder):
    (folder / os.fsdecode(b"caf\xe9 \xff.txt")).write_text("Odd.")
    document = SimpleDirectoryReader(folder).load_data()[-1]
    assert (document.id, document.text) == ("caf\\xe9 \\xff.txt", "Odd.")
    document.metadata["file_path"].encode()


@pytest.mark.parametrize("name", ["a b.txt", "new\nline.txt", "quote'\".txt", "#1.txt", "%41.txt"])
def test_odd_names_are_read_as_they_are(tmp_path, name):
    (tmp_path / name).write_text("Odd.")
    assert ids(SimpleDirectoryReader(tmp_path)) == [name]


def test_a_file_without_permission_is_skipped(folder, monkeypatch):
    real = os.open

    def refuse(path, *rest, **options):
        if str(path).endswith("a.txt"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    reader = SimpleDirectoryReader(folder)
    assert ids(reader) == ["b.md"]
    assert "a.txt cannot be opened: Permission denied." in reader.skipped[0].reason


def test_a_folder_without_permission_is_skipped(folder, monkeypatch):
    real = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    reader = SimpleDirectoryReader(folder, recursive=True)
    assert ids(reader) == ["a.txt", "b.md"]
    assert "cannot be listed: Permission denied." in reader.skipped[0].reason
