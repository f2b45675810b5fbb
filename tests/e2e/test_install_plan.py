"""`make test` asks pip first, and never brings gigabytes of CUDA by surprise."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "install_plan.py"


@pytest.fixture
def plan():
    spec = importlib.util.spec_from_file_location("install_plan", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(plan, monkeypatch):
    """Stand in for pip: plans what it is told, and remembers what it installs."""
    calls = {"planned": [], "installed": []}

    def run(command, *, check):
        if "--report" in command:
            report = {"install": [{"metadata": {"name": name}} for name in calls["planned"]]}
            Path(command[command.index("--report") + 1]).write_text(json.dumps(report))
        else:
            calls["installed"].append(command[command.index("-e") + 1].partition("[")[2][:-1])
        return subprocess.CompletedProcess(command, calls.get("exit", 0))

    monkeypatch.setattr(plan.subprocess, "run", run)
    return calls


def run_main(plan, monkeypatch, absent):
    monkeypatch.setattr(sys, "argv", ["install_plan.py", "--absent", str(absent)])
    return plan.main()


def test_without_cuda_in_the_plan_everything_is_installed(plan, pip, monkeypatch, tmp_path, capsys):
    pip["planned"] = ["torch", "numpy", "nearfield"]

    assert run_main(plan, monkeypatch, tmp_path / "absent") == 0

    assert pip["installed"] == [plan.FULL]
    assert (tmp_path / "absent").read_text() == ""
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["nvidia-cublas-cu12", "nvidia_cudnn", "Triton", "cuda-bindings"])
def test_with_cuda_in_the_plan_torch_is_left_out_in_one_line(
    plan, pip, monkeypatch, tmp_path, capsys, name
):
    pip["planned"] = ["torch", name]

    assert run_main(plan, monkeypatch, tmp_path / "absent") == 0

    assert pip["installed"] == [plan.without_torch()]
    assert (tmp_path / "absent").read_text() == "torch,export"
    (line,) = capsys.readouterr().out.splitlines()
    assert "pip install torch==" in line
    assert name.lower().replace("_", "-") in line


def test_when_pip_fails_nothing_counts_as_installed(plan, pip, monkeypatch, tmp_path):
    pip["exit"] = 1

    with pytest.raises(SystemExit):
        run_main(plan, monkeypatch, tmp_path / "absent")

    assert not (tmp_path / "absent").exists()


def test_what_is_installed_without_torch_is_all_but_what_needs_it(plan):
    project = tomllib.loads((TOOL.parents[1] / "pyproject.toml").read_text())["project"]
    (everything,) = project["optional-dependencies"]["all"]

    names = plan.without_torch().split(",")

    assert "torch" not in names
    assert set(names) | {"torch", "export"} == {
        "dev",
        *everything[len("nearfield[") : -1].split(","),
    }
