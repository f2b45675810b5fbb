"""The layers of ARCHITECTURE.md hold, and the check would notice if they did not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint_imports(folder):
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", "--no-logo"],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lower_layers_never_import_upper_ones():
    done = lint_imports(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/vectors.py", "import nearfield.stores.sqlite"),
        ("core/vectors.py", "def late():\n    import torch"),
        ("wire/openai.py", "import pydantic"),
        ("errors.py", "import nearfield.core.vectors"),
        ("embeddings/openai.py", "import nearfield.embeddings.huggingface"),
        ("newcomer/__init__.py", ""),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path, module, line):
    """Each way to break the layers, tried on a copy."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=lambda _, names: [n for n in names if n == "bundled"]
    )
    target = tmp_path / "src" / "nearfield" / module
    target.parent.mkdir(exist_ok=True)
    before = target.read_text() if target.exists() else '"""New."""\n'
    target.write_text(f"{before}\n{line}\n")

    done = lint_imports(tmp_path)

    assert done.returncode != 0, done.stdout


def test_every_requirement_is_a_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(one for extra in extras for one in extra)]

    assert [one for one in requirements if "==" in one] == []


def test_the_constraints_name_every_direct_requirement():
    """The full environment is exact: no direct requirement floats."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for name, extra in extras.items() if name != "onnx-gpu" for one in extra),
    ]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}

    assert {_name(one) for one in wanted} - {"nearfield"} <= pinned


def _name(requirement):
    for end in "[<>=~!; ":
        requirement = requirement.partition(end)[0]
    return requirement.lower().replace("_", "-")
