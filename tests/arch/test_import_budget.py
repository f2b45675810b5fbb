"""What an import may load, asserted on ``sys.modules``: exact, where seconds would not be."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "click",
    "huggingface_hub",
    "openai",
    "onnxruntime",
    "pydantic",
    "rich",
    "tokenizers",
    "torch",
    "transformers",
    "tqdm",
    "urllib.request",
}


def loaded_by(code):
    """Give the modules a fresh interpreter holds after running ``code``."""
    code = f"{code}\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted(_sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import nearfield", "import nearfield.core"])
def test_the_package_alone_loads_no_numpy(code):
    loaded = loaded_by(code)

    assert loaded & {"numpy", "asyncio", "sqlite3"} == set()
    assert loaded & HEAVY == set()


def test_the_index_class_loads_nothing_heavy():
    loaded = loaded_by("from nearfield.core import VectorStoreIndex")

    assert loaded & HEAVY == set()


def test_the_help_of_the_command_line_loads_no_numpy():
    loaded = loaded_by(
        "import contextlib, io\n"
        "from nearfield.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert 'index' in out.getvalue()"
    )

    assert loaded & {"numpy", "huggingface_hub", "tokenizers", "torch", "asyncio"} == set()


@pytest.mark.parametrize("name", ["nearfield", "nearfield.core"])
def test_every_public_name_can_be_fetched(name):
    """The lazy doors open: each name of ``__all__`` is there, and only those are promised."""
    loaded_by(
        f"import {name} as door\n"
        "missing = [n for n in door.__all__ if getattr(door, n, None) is None]\n"
        "assert not missing, missing\n"
        "assert set(door.__all__) <= set(dir(door))\n"
        "assert sorted(door.__all__) == sorted(set(door.__all__))\n"
        "try:\n"
        "    door.no_such_name\n"
        "except AttributeError as error:\n"
        "    assert 'no_such_name' in str(error)\n"
        "else:\n"
        "    raise AssertionError('an unknown name must be an AttributeError')"
    )
