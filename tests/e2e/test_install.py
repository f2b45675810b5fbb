"""Installing from a clone: the wheel, the extras, a machine without a C compiler."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from nearfield._extras import INSTALL_COMMAND, install_hint

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv*", ".demo", "build", "*.so", "*.egg-info", "__pycache__", "*cache", "tests"
)

pytestmark = pytest.mark.slow

# Two texts, embedded twice; every warning of nearfield is counted.
FIRST_STEPS = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from nearfield import Settings
    from nearfield.runtime.native import engine_facts
    model = Settings.embed_model
    vectors = [model.encode(["Mars is red.", "Dogs bark."]) for _ in range(2)][1]
print(json.dumps({
    "compiled": engine_facts()["compiled"],
    "warnings": [str(w.message) for w in caught if "nearfield" in str(w.message)],
    "vectors": vectors.tolist(),
}))
"""


@pytest.fixture
def clone(tmp_path):
    """The source as a fresh clone has it: nothing built."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=LEFT_BEHIND)
    return folder


@pytest.fixture
def built_clone(clone):
    """A clone with the extensions that this Python has compiled: they take half a minute."""
    place = clone / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    for module in ("nearfield.runtime._native._engine", "nearfield.core._scan"):
        file = Path(import_module(module).__file__)
        folder = place.joinpath(*module.split(".")[:-1])
        folder.mkdir(parents=True)
        # Newer than its sources.
        shutil.copyfile(file, folder / file.name)
    return clone


def run(*command, cwd, **environment):
    done = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env={**os.environ, "PIP_NO_COMPILE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_carries_all_that_runs_and_nothing_else(built_clone, tmp_path):
    clone, wheel = built_clone, ["pip", "wheel", "-q", "--no-deps"]
    run(sys.executable, "-m", *wheel, "-w", tmp_path, ".", cwd=clone)

    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.split("-", 2)[2].startswith("cp311-abi3-")
    names = zipfile.ZipFile(wheel).namelist()
    sources = {
        str(path.relative_to(clone / "src"))
        for pattern in ("*.py", "bundled/**/*")
        for path in (clone / "src" / "nearfield").rglob(pattern)
        if path.is_file() and not path.name.startswith(".")
    }
    assert sources <= set(names)
    assert "nearfield/py.typed" in names
    assert not [one for one in names if one.endswith((".c", ".h", ".pyc"))]
    assert [one for one in names if one.endswith("_engine.abi3.so")]
    assert [one for one in names if one.endswith("/licenses/LICENSE")]
    assert {one.partition("/")[0] for one in names} == {"nearfield", "nearfield-0.1.0.dist-info"}


def test_without_a_compiler_numpy_computes_and_says_so_once(clone, tmp_path):
    home = tmp_path / "env"
    venv.create(home)
    python = home / "bin" / "python"
    # What nearfield needs is taken from here.
    shared = run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path)
    Path(shared.strip(), "needed.pth").write_text(sysconfig.get_path("purelib"))

    install = ["pip", "--python", python, "install", "-q", "--no-deps", "."]
    run(sys.executable, "-m", *install, cwd=clone, CC="/bin/false")
    told = json.loads(run(python, "-c", FIRST_STEPS, cwd=tmp_path).splitlines()[-1])

    assert told["compiled"] is False
    assert len(told["warnings"]) == 1, told["warnings"]
    assert "compile" in told["warnings"][0]
    here = json.loads(run(sys.executable, "-c", FIRST_STEPS, cwd=tmp_path).splitlines()[-1])
    assert here["compiled"] is True
    assert here["warnings"] == []
    for fast, plain in zip(here["vectors"], told["vectors"], strict=True):
        assert sum(a * b for a, b in zip(fast, plain, strict=True)) > 0.9999


def test_missing_headers_are_named_with_the_way_to_get_them(clone):
    build = (
        "import runpy, sys, sysconfig;"
        "sysconfig.get_path = lambda name: '/nowhere';"
        "sys.argv = ['setup.py', '--name'];"
        "runpy.run_path('setup.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no Python.h in /nowhere" in done.stderr
    assert "apt install python3-dev" in done.stderr


def extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sorted(set(project["optional-dependencies"]) - {"dev", "test"})


def test_every_install_hint_works_from_a_clone(clone):
    """All in one run: pip builds the project anew in each, which takes most of its time."""
    hints = [install_hint(extra).replace('"', "").split() for extra in extras()]
    assert all(words[:2] == ["pip", "install"] and len(words) == 3 for words in hints)
    asked = [words[2] for words in hints]

    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-input", *asked, ".[bogus]"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.findall(r"does not provide the extra '(.+)'", done.stderr) == ["bogus"]


def test_the_install_hint_is_a_form_that_works_before_a_release():
    assert INSTALL_COMMAND == 'pip install ".[{extra}]"'
