"""Write the reference from the docstrings: one page per public module, and an index.

    python tools/reference_docs.py            # write docs/reference
    python tools/reference_docs.py --check    # exit 1 if a page is not what it would write

The source is read, not imported, so the pages are the same whatever is installed.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "nearfield"
PAGES = ROOT / "docs" / "reference"

# What users import, in the order of the flow. Everything else is for those who read the source.
MODULES = (
    "core.schema",
    "core.settings",
    "core.readers.directory",
    "core.readers.file",
    "core.splitter",
    "core.index",
    "core.writable",
    "core.storage",
    "core.retriever",
    "core.query_engine",
    "core.filters",
    "core.vectors",
    "core.cache",
    "core.report",
    "core.evaluation",
    "core.embeddings.base",
    "core.embeddings.resolve",
    "core.store",
    "core.memory_store",
    "embeddings.*",
    "stores.*",
    "llms.*",
    "adapters.*",
    "testing.contracts",
    "testing.fake",
    "testing.faults",
    "testing.openai_server",
    "testing.store_contract",
    "errors",
)

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Examples):$")
ROLE = re.compile(r":(?:meth|func|class|data|attr|mod|exc):`[~!]?\.?([^`]+)`")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Page:
    """A page of the reference.

    Attributes:
        module: The module's dotted name.
        text: The whole page, Markdown.
    """

    module: str
    text: str

    @property
    def path(self) -> Path:
        """Where the page is kept."""
        return PAGES / f"{self.module}.md"


def main() -> int:
    """Write or check the pages.

    Returns:
        The exit code: 1 when ``--check`` finds a difference.
    """
    parser = argparse.ArgumentParser(description="Write docs/reference from the docstrings.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if it would")
    check = parser.parse_args().check
    wanted = {page.path: page.text for page in pages()}
    there = {path: path.read_text() for path in PAGES.glob("*.md")}
    if check:
        stale = sorted(p.name for p in {*wanted, *there} if wanted.get(p) != there.get(p))
        if stale:
            print(f"Stale: {', '.join(stale)}. Run: make docs", file=sys.stderr)
        return int(bool(stale))
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in {*there} - {*wanted}:
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    return 0


def pages() -> list[Page]:
    """Make all pages.

    Returns:
        One page per public module, and the index last.
    """
    made = [Page(name, page_text(name, source)) for name, source in public_modules()]
    lines = ["# Reference", "", "Written from the docstrings by `make docs`.", ""]
    lines += ["| module | |", "| --- | --- |"]
    for page in made:
        summary = page.text.split("\n", 3)[2]
        lines.append(f"| [`{page.module}`]({page.module}.md) | {summary} |")
    return [*made, Page("README", "\n".join(lines) + "\n")]


def public_modules() -> Iterator[tuple[str, str]]:
    """Give the name and source of each module of the reference, in order."""
    for pattern in MODULES:
        place = pattern.replace(".", "/")
        # A store may be a folder: what it shows is what its __init__ names.
        paths = [*PACKAGE.glob(f"{place}.py"), *PACKAGE.glob(f"{place}/store.py")]
        if not paths:
            message = f"MODULES names {pattern!r}, and there is no such module."
            raise SystemExit(message)
        for path in sorted(paths):
            if not path.name.startswith("_"):
                name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
                yield f"nearfield.{name}", path.read_text()


def page_text(module: str, source: str) -> str:
    """Make the page of a module.

    Args:
        module: Its dotted name.
        source: Its source.

    Returns:
        Markdown.
    """
    tree = ast.parse(source)
    blocks = [f"# `{module}`", docstring(tree)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            blocks += class_blocks(node)
        elif isinstance(node, Function) and not node.name.startswith("_"):
            blocks += [f"## `{node.name}`", signature(node), docstring(node)]
    values = list(documented_values(tree.body))
    if values:
        blocks += ["## Values", "\n".join(f"- `{name}`: {text}" for name, text in values)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def class_blocks(node: ast.ClassDef) -> Iterator[str]:
    """Give the blocks of Markdown that describe a class."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"## `{node.name}`"
    initializer = next((one for one in methods(node) if one.name == "__init__"), None)
    shown = arguments(initializer) if initializer else f"({bases})" if bases else ""
    yield code(f"class {node.name}{shown}")
    yield docstring(node)
    if "Enum" in bases:
        members = [one for one in node.body if isinstance(one, ast.Assign)]
        yield "\n".join(f"- `{ast.unparse(one)}`" for one in members)
    for method in methods(node):
        if method.name.startswith(("_", "test_")) or decorated(method, "setter"):
            continue
        yield f"### `{node.name}.{method.name}`"
        if not decorated(method, "property"):
            yield signature(method)
        yield docstring(method)


def methods(node: ast.ClassDef) -> list[Function]:
    """Give the functions of a class body."""
    return [one for one in node.body if isinstance(one, Function)]


def documented_values(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Give the public values of a module that a docstring follows."""
    for node, after in pairwise(body):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not is_text:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        name = ast.unparse(target)
        if not name.startswith("_"):
            yield name, plain(" ".join(str(ast.literal_eval(after.value)).split()))


def decorated(node: Function, name: str) -> bool:
    """Say whether a decorator of that name, or ending in it, is there."""
    return any(ast.unparse(one).rpartition(".")[2] == name for one in node.decorator_list)


def signature(node: Function) -> str:
    """Give a function's head as a block of code."""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return code(f"{word} {node.name}{arguments(node)}{returns}")


def arguments(node: Function) -> str:
    """Give a function's parameters in parentheses, without ``self`` or ``cls``."""
    bare = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(bare, Function)  # noqa: S101 - what went in
    first = bare.args.posonlyargs or bare.args.args
    if first and first[0].arg in {"self", "cls"}:
        del first[0]
    return f"({ast.unparse(bare.args)})"


def code(text: str) -> str:
    """Give text as a block of Python that is shown, not run."""
    return f"```python signature\n{text}\n```"


def docstring(node: ast.Module | ast.ClassDef | Function) -> str:
    """Give a docstring as Markdown: sections as bold words, their entries as lists."""
    lines: list[str] = []
    section = ""
    for line in inspect.cleandoc(ast.get_docstring(node) or "").splitlines():
        found = SECTION.match(line)
        if found:
            section = found[1]
            lines += [f"**{section}**", ""]
        elif section in {"Args", "Attributes", "Raises"} and line.startswith("    "):
            lines.append(entry(line[4:]))
        elif section and line.startswith("    "):
            lines.append(line[4:])
        else:
            lines.append(line)
    return plain("\n".join(lines))


def entry(line: str) -> str:
    """Give a line of a list of arguments: ``name: text`` begins an item, the rest goes on."""
    name, colon, text = line.partition(": ")
    if line.startswith(" ") or not colon:
        return f"  {line.strip()}"
    return f"- `{name}`: {text}"


def plain(text: str) -> str:
    """Turn what reStructuredText marks in our docstrings into Markdown."""
    text = re.sub(r"^(.*)::$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"^:$", "", text, flags=re.MULTILINE)
    return ROLE.sub(r"`\1`", text).replace("``", "`").strip()


if __name__ == "__main__":
    sys.exit(main())
