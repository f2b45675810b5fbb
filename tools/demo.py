"""The main job, on real text that every machine has: index it, then ask two questions.

The texts are this project's own pages, the topics of Python's ``help()``, and
the docstrings of the standard library, which are read, not imported. Nothing is
downloaded; the model is the one in the package.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import time
import warnings
from pathlib import Path
from pydoc_data import topics
from typing import TYPE_CHECKING

from nearfield import Document, Settings, VectorStoreIndex
from nearfield.runtime.native import engine_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / ".demo" / "python.index"
SKIPPED = {"test", "tests", "site-packages", "idlelib", "lib2to3", "ensurepip", "turtledemo"}
SKIPPED |= {"pydoc_data", "encodings", "distutils", "lib-dynload", "__pycache__"}
QUESTIONS = (
    "How do I compress a file with gzip?",
    "What is the difference between a list and a tuple?",
)
SHOWN_SOURCES = 3


def main() -> int:
    """Index, then ask.

    Returns:
        The exit code.
    """
    INDEX.parent.mkdir(exist_ok=True)
    for old in INDEX.parent.glob(f"{INDEX.name}*"):
        old.unlink()
    engine = engine_facts()
    print(f"Model:  {Settings.embed_model!r}")
    print(f"Engine: {engine['instruction_set']} kernels, {engine['threads']} threads")
    print("Texts:  this project's pages, Python's help topics, the standard library's docstrings")
    began = time.perf_counter()
    with VectorStoreIndex.from_documents(documents(), path=INDEX, show_progress=True) as index:
        took = time.perf_counter() - began
        size = sum(one.stat().st_size for one in INDEX.parent.iterdir()) / 1e6
        print(
            f"Index:  {index.count:,} nodes in {took:.1f} s "
            f"({index.count / took:.0f} nodes/s), {size:.1f} MB in {shown(INDEX)}"
        )
        for question in QUESTIONS:
            ask(index, question)
    print(f"\nAsk it more:  {shown(nearfield())} ask 'your question' --index {shown(INDEX)}")
    return 0


def documents() -> Iterator[Document]:
    """Give the texts, one at a time."""
    for path in sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}):
        yield document(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    for topic, text in sorted(topics.topics.items()):
        yield document(f"help({topic!r})", text)
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library)
        if not SKIPPED.intersection(place.parts) and not place.parts[0].startswith("config-"):
            text = "\n\n".join(docstrings(path))
            if text:
                yield document(str(place), text)


def document(source: str, text: str) -> Document:
    """Give a text under the name of its source."""
    return Document(text, {"source": source}, id=source)


def docstrings(path: Path) -> Iterator[str]:
    """Give the docstrings of a source file, each under the name it belongs to."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # lib2to3 and its like keep files of Python 2
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            name = path.stem if isinstance(node, ast.Module) else node.name
            if not name.startswith("_"):
                yield f"{name}: {text}"


def ask(index: VectorStoreIndex, question: str) -> None:
    """Print the answer to a question, and where it comes from."""
    began = time.perf_counter()
    response = index.as_query_engine(similarity_top_k=SHOWN_SOURCES).query(question)
    took = (time.perf_counter() - began) * 1000
    print(f"\n{question}\n{'-' * len(question)}\n{response.response}\n")
    for number, found in enumerate(response.source_nodes, 1):
        node = found.node
        print(
            f"  [{number}] {found.score:.2f}  {node.metadata['source']} [{node.start}:{node.end}]"
        )
    print(f"  {response.metadata['mode']}, {took:.0f} ms")


def nearfield() -> Path:
    """Give the command that this environment installed."""
    return Path(sys.executable).with_name("nearfield")


def shown(path: Path) -> str:
    """Give a path as it is typed from the project's folder."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    sys.exit(main())
