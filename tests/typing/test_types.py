"""The types promised are the types a checker sees."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_public_names_have_the_types_they_promise():
    """Right uses pass and wrong ones are errors: an ignore that is not needed is an error too."""
    done = mypy(Path(__file__).with_name("public_names.py"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_use_is_an_error(tmp_path):
    """The check itself can fail."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from nearfield import Document\n\nDocument(text=1)\n")

    done = mypy(wrong)

    assert done.returncode == 1
    assert 'Argument "text" to "Document" has incompatible type "int"' in done.stdout
