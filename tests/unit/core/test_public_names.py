"""The doors of the package: what is promised is there, at the price that is promised."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

DOORS = ("nearfield", "nearfield.core")
LLAMA_INDEX_NAMES = (
    "VectorStoreIndex",
    "Settings",
    "SimpleDirectoryReader",
    "Document",
    "StorageContext",
    "load_index_from_storage",
    "QueryBundle",
)


@pytest.mark.parametrize("door", DOORS)
def test_every_promised_name_is_there_and_of_one_piece(door):
    module = importlib.import_module(door)

    for name in module.__all__:
        assert getattr(module, name) is getattr(module, name), name
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_is_not_promised_is_an_attribute_error(door):
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module(door).no_such_name


@pytest.mark.parametrize("door", DOORS)
def test_type_checkers_see_the_same_names(door):
    source = Path(importlib.import_module(door).__file__).read_text()
    seen = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    seen.update(alias.name for alias in line.names)
                elif isinstance(line, ast.AnnAssign):
                    seen.add(line.target.id)

    assert seen == set(importlib.import_module(door).__all__)


@pytest.mark.parametrize("name", LLAMA_INDEX_NAMES)
def test_the_names_of_llama_index_are_where_its_users_look(name):
    assert getattr(importlib.import_module("nearfield.core"), name)


def test_the_embeddings_module_has_the_base_class():
    from nearfield.core.embeddings import BaseEmbedding

    assert BaseEmbedding is importlib.import_module("nearfield").BaseEmbedding


def test_the_version_is_the_one_installed():
    from importlib.metadata import version

    import nearfield

    assert nearfield.__version__ == version("nearfield")


def test_fetching_the_index_class_loads_neither_a_provider_nor_a_file_store():
    code = (
        "import sys; from nearfield import VectorStoreIndex; "
        "print([m for m in sys.modules if m.startswith(('nearfield.embeddings', "
        "'nearfield.runtime', 'nearfield.stores'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
