"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_is_searched(surroundings):
    for _ in range(2):
        said = run("search_a_folder.py", "data", "Which planet is red?", cwd=surroundings)

        assert "Red Planet" in said
        assert "planets.md" in said


def test_near_duplicates_are_found(tmp_path):
    lines = ["How do I bake bread?", "How can I bake a loaf of bread?", "Why is the sky blue?"]
    (tmp_path / "questions.txt").write_text("\n".join(lines))

    said = run("near_duplicates.py", "questions.txt", "0.7", cwd=tmp_path)

    assert lines[0] in said
    assert lines[1] in said
    assert lines[2] not in said
