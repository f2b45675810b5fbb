"""Every extra that a hint names exists, and every extra that exists is named somewhere."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = {"all", "dev", "test"}


def named_in_code():
    """Give every constant passed as ``extra=``, or to ``install_hint``, in the package."""
    for path in (ROOT / "src" / "nearfield").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            values = [word.value for word in node.keywords if word.arg == "extra"]
            if getattr(node.func, "id", "") == "install_hint":
                values += node.args
            for value in values:
                if isinstance(value, ast.Constant):
                    yield value.value


def test_every_extra_that_code_names_exists():
    assert set(named_in_code()) <= set(PROJECT["optional-dependencies"])


def test_the_readme_lists_every_extra_and_no_other():
    text = (ROOT / "README.md").read_text()
    table = text.partition("| extra | brings |")[2].partition("\n\n")[0]
    listed = {
        name
        for row in table.splitlines()
        if row.startswith("|")
        for name in re.findall(r"`([\w-]+)`", row.split("|")[1])
    }

    assert listed == set(PROJECT["optional-dependencies"]) - {"dev", "test"}


def test_all_is_every_extra_that_goes_together():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    names = set(everything.partition("[")[2][:-1].split(","))

    assert names == set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS - {"onnx-gpu"}


def test_every_marker_of_an_extra_is_registered():
    """A test that needs an extra can say so."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    markers = {one.partition(":")[0].replace("_", "-") for one in options["markers"]}

    assert set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS - {"onnx-gpu"} <= markers
