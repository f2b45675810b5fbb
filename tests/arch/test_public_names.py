"""Every public name says what it gives, and every sync one that waits has an async twin."""

import ast
import importlib.util
import inspect
import io
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "nearfield"
MODULES = sorted(PACKAGE.rglob("*.py"))

MOST_CODE_LINES = 300


def name_of(path):
    return str(path.relative_to(PACKAGE))


def code_lines(path):
    """Count the lines that hold code: no blank ones, no comments, no docstrings."""
    source = path.read_text()
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_one_thing(path):
    assert code_lines(path) <= MOST_CODE_LINES


def reference_modules():
    """Give the name and source of the modules that the reference shows."""
    place = ROOT / "tools" / "reference_docs.py"
    spec = importlib.util.spec_from_file_location("reference_docs", place)
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool  # dataclasses look their module up
    spec.loader.exec_module(tool)
    return [pytest.param(source, id=name) for name, source in tool.public_modules()]


PUBLIC = reference_modules()


def public_definitions(source):
    """Give the public functions, classes and methods of a module, with their dotted names."""
    tree = ast.parse(source)
    if ast.get_docstring(tree) is None:
        yield "the module itself", tree
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                is_function = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                if is_function and not inner.name.startswith(("_", "test_")):
                    yield f"{node.name}.{inner.name}", inner


def parameters(node):
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [one.arg for one in named if one.arg not in {"self", "cls"}]


def is_setter(node):
    return any(isinstance(one, ast.Attribute) for one in getattr(node, "decorator_list", []))


def constructor(node):
    """Give the ``__init__`` of a class that takes something, if it has one."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return inner if parameters(inner) else None
    return None


def complaint(name, node):
    """Say what the docstring of a public definition lacks, if anything."""
    if is_setter(node):
        return None
    docstring = ast.get_docstring(node)
    if not docstring:
        return f"{name} has no docstring"
    if isinstance(node, ast.ClassDef):
        lacks = constructor(node) is not None and "Args:" not in docstring
        return f"{name} does not describe its arguments" if lacks else None
    if isinstance(node, ast.Module) or ":meth:" in docstring or ":func:" in docstring:
        return None
    if len(parameters(node)) > 1 and "Args:" not in docstring:
        return f"{name} does not describe its arguments"
    return None


@pytest.mark.parametrize("source", PUBLIC)
def test_every_public_name_says_what_it_takes_and_gives(source):
    complaints = [complaint(name, node) for name, node in public_definitions(source)]

    assert [one for one in complaints if one] == []


@pytest.mark.parametrize("source", PUBLIC)
def test_no_docstring_documents_an_argument_that_is_not_there(source):
    for name, node in public_definitions(source):
        if isinstance(node, ast.Module):
            continue
        function = constructor(node) if isinstance(node, ast.ClassDef) else node
        if function is None:
            continue
        described = _described(ast.get_docstring(node) or "")
        known = {*parameters(function)}
        known.update(one.arg for one in (function.args.vararg, function.args.kwarg) if one)

        assert described <= known, name


def _described(docstring):
    """Read the names under ``Args:``."""
    _, found, section = docstring.partition("Args:\n")
    names = set()
    for line in section.splitlines() if found else []:
        if line and not line.startswith(" "):
            break
        if line.startswith("    ") and not line.startswith("     ") and ":" in line:
            names.add(line.strip().partition(":")[0].lstrip("*").partition(" ")[0])
    return names


def waiting_classes():
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.query_engine import QueryEngine
    from nearfield.core.retriever import Retriever

    return {
        BaseEmbedding: ("encode", "get_", "embed_"),
        Retriever: ("retrieve", "search"),
        QueryEngine: ("query",),
    }


def public_methods(cls):
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def signature(method):
    return [
        (one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()
    ]


def test_every_sync_name_that_waits_has_an_async_twin_with_the_same_parameters():
    for cls, prefixes in waiting_classes().items():
        methods = public_methods(cls)
        waiting = [name for name in methods if name.startswith(prefixes)]

        assert waiting, cls
        for name in waiting:
            twin = methods.get(f"a{name}")
            assert twin is not None, f"{cls.__name__}.a{name}"
            assert inspect.iscoroutinefunction(twin), f"{cls.__name__}.a{name}"
            assert signature(twin) == signature(methods[name]), f"{cls.__name__}.{name}"


def test_every_async_name_has_a_sync_one():
    for cls in waiting_classes():
        methods = public_methods(cls)
        coroutines = [name for name in methods if inspect.iscoroutinefunction(methods[name])]

        assert [name for name in coroutines if name[1:] not in methods] == []
