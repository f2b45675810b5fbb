"""Every block of code in README and docs is run, and what it is said to print is what it prints.

A page is run from top to bottom in a folder of its own, in which ``data`` holds
a few texts. What the words after the three backticks mean:

``python``
    Run, in one namespace per page.
``python no-run``
    Not run; a comment ``<!-- not run: why -->`` stands above it.
``python file=NAME``
    Written to a file of that name, which later blocks import or run.
``console run``
    Each line after ``$`` is run by the shell; lines without it are the expected output.
``console``, ``sh``, ``text``, ``toml``
    Shown, not run; no other word may stand there.
``text output``
    What the block of Python before it prints; ``...`` stands for anything.

A page that needs extras says so in a comment: ``<!-- needs: openai, langchain -->``.
OpenAI and Azure are played by a loopback server, the hub by a cache on disk
that holds a tiny model under each of the names in ``HUB_MODELS``.
"""

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    if "reference" not in page.parts
]
SHOWN = ("", "console", "sh", "text", "toml")
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: ([\w, -]+) -->$", re.MULTILINE)
REASON = re.compile(r"<!-- not run: \w.{10,} -->\n+$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(page):
    return str(page.relative_to(ROOT))


def with_needs(page):
    found = NEEDS.search(page.read_text())
    names = re.split(r", *", found[1]) if found else []
    marks = [getattr(pytest.mark, name.replace("-", "_")) for name in names]
    return pytest.param(page, id=name_of(page), marks=marks)


class Page:
    """A page of the documentation, being run."""

    def __init__(self, path):
        self.path = path
        self.text = path.read_text()
        self.names = {"__name__": "__main__"}
        self.printed = ""

    def run(self):
        for fence in FENCE.finditer(self.text):
            kind, _, detail = fence["info"].partition(" ")
            line = self.text.count("\n", 0, fence.start("body"))
            if kind == "python" and detail == "no-run":
                above = self.text[: fence.start()]
                assert REASON.search(above), f"{self.path.name}:{line} gives no reason"
            elif kind == "python" and detail.startswith("file="):
                Path(detail.removeprefix("file=")).write_text(fence["body"])
            elif kind == "python":
                assert not detail, f"{self.path.name}:{line} has an unknown word {detail!r}"
                self.printed = self.run_python(fence["body"], line)
            elif fence["info"] == "console run":
                self.run_console(fence["body"], line)
            elif fence["info"] == "text output":
                check_output(fence["body"], self.printed, f"{self.path.name}:{line}")
            else:  # a misspelt word would leave a block out in silence
                assert fence["info"] in SHOWN, f"{self.path.name}:{line}: {fence['info']!r}"

    def run_python(self, source, line):
        # Blank lines in front, so that a traceback points into the page.
        code = compile("\n" * line + source, str(self.path), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, self.names)
        return out.getvalue()

    def run_console(self, body, line):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, wanted = step.partition("\n")
            done = subprocess.run(
                command,
                shell=True,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            where = f"{self.path.name}:{line}: {command}"
            assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"
            if wanted.strip():
                check_output(wanted, done.stdout, where)


def check_output(wanted, got, where):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(wanted, got, flags):
        pytest.fail(f"{where}: expected\n{wanted}\nbut got\n{got}")


@pytest.mark.parametrize("page", [with_needs(page) for page in PAGES])
@pytest.mark.filterwarnings("default")
def test_the_blocks_of_a_page_do_what_it_says(page, surroundings):
    Page(page).run()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page):
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in {slug(one) for one in HEADING.findall(there.read_text())}, anchor


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_found_from_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text())}

    assert {page for page in PAGES if "docs" in page.parts} - {index} <= linked


def test_the_reference_is_what_the_docstrings_say():
    tool = ROOT / "tools" / "reference_docs.py"
    done = subprocess.run(
        [sys.executable, tool, "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_block_that_fails_fails_its_page(tmp_path):
    """The harness notices wrong code, wrong output and a missing reason."""
    for wrong in (
        "```python\n1 / 0\n```\n",
        "```python\nprint(1)\n```\n```text output\n2\n```\n",
        "```console run\n$ exit 3\n```\n",
        "```console run\n$ echo a\nb\n```\n",
        "```python no-run\nanything\n```\n",
        "```pyhton\nprint(1)\n```\n",
    ):
        page = tmp_path / "page.md"
        page.write_text(wrong)
        with pytest.raises((ZeroDivisionError, AssertionError, pytest.fail.Exception)):
            Page(page).run()


def test_every_file_that_the_architecture_names_is_there():
    text = FENCE.sub("", (ROOT / "ARCHITECTURE.md").read_text())
    named = re.findall(r"`([\w*./-]+(?:\.py|\.md|/|/\*))`", text)
    places = [ROOT, ROOT / "src" / "nearfield"]

    gone = [one for one in named if not any(list(place.glob(one.strip("/"))) for place in places)]

    assert len(named) > 20
    assert gone == []
