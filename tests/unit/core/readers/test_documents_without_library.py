"""PDF, office files and books where the extra ``readers`` is not installed."""

import sys

import pytest

from nearfield.core import SimpleDirectoryReader


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("a.pdf", "pypdfium2"),
        ("a.docx", "docx"),
        ("a.pptx", "pptx"),
        ("a.xlsx", "openpyxl"),
        ("a.xlsx", "defusedxml"),
        ("a.epub", "defusedxml.ElementTree"),
    ],
)
def test_the_file_is_skipped_and_the_extra_named(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"anything")
    (tmp_path / "b.txt").write_text("Text.")
    reader = SimpleDirectoryReader(tmp_path)
    assert [one.text for one in reader.load_data()] == ["Text."]
    (skipped,) = reader.skipped
    assert "[readers]" in skipped.reason
    assert "\n" not in skipped.reason


def test_a_page_is_read_by_our_own_reader(tmp_path, monkeypatch):
    from nearfield.readers import html

    monkeypatch.setattr(html, "_extract", lambda: None)
    (tmp_path / "a.html").write_text("<title>T</title><nav>Menu</nav><p>Bread.</p>")
    (document,) = SimpleDirectoryReader(tmp_path).load_data()
    assert document.text == "# T\n\nBread."
