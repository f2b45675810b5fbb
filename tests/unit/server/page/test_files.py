"""What the page's files keep to, whoever serves them."""

import re
from pathlib import Path

import pytest

import nearfield

FOLDER = Path(nearfield.__file__).parent / "server" / "static"
FILES = [path for path in FOLDER.rglob("*") if path.is_file()]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
MAX_BYTES = 300_000


def test_the_page_is_small():
    assert sum(path.stat().st_size for path in FILES) < MAX_BYTES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_host(path):
    named = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8")))

    assert named <= {"http://www.w3.org/2000/svg"}  # a name, never fetched


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_or_code_of_text(path):
    text = path.read_text(encoding="utf-8")

    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert not re.search(banned, text)
    assert not re.search(r"setAttribute\(\s*[\"'](on|style)", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_module_imported_is_there(path):
    imported = re.findall(r"(?:from|import\()\s*[\"'](\.[^\"']+)[\"']", path.read_text("utf-8"))

    assert all((path.parent / name).is_file() for name in imported)


def test_the_page_holds_no_script_or_style_of_its_own():
    text = (FOLDER / "index.html").read_text(encoding="utf-8")

    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text)
    for name in re.findall(r"(?:href|src)=\"(static/[^\"]+)\"", text):
        assert (FOLDER.parent / name).is_file()
