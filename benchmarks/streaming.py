"""Does memory stay flat? A million short texts, streamed through a model, or into an index.

    python -m benchmarks.streaming                        # a word table, then a tiny BERT
    python -m benchmarks.streaming --model FOLDER         # a model of yours, or static:FOLDER
    python -m benchmarks.streaming --index                # read, embedded and kept in an index file

Texts are made while they are read, all different. The process's memory is noted at every
100,000 of them, and told beside its growth since the first note: what came before is warm-up.
The models made here have random numbers, which weigh as much as any.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import ROOT, describe_machine, source_revision
from nearfield import Document, VectorStoreIndex
from nearfield.cli.sample_texts import help_topics, sentences
from nearfield.core.embeddings import resolve_embed_model
from nearfield.embeddings.bundled import FOLDER as BUNDLED
from nearfield.runtime.safetensors import write_safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY_BERT = ROOT / "tests" / "data" / "models" / "bert"
WORDS, DIM = 30_522, 256  # of the bundled tokenizer; of a usual table
TEXTS_AT_ONCE = 4096


class Meter:
    """Counts texts as they pass, and notes the process's memory now and then."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.notes: list[dict[str, float]] = []
        self._began = time.perf_counter()

    def watch(self, texts: Iterator[str]) -> Iterator[str]:
        """Give the texts on."""
        for number, text in enumerate(texts):
            if number and number % self.every == 0:
                self.note(number)
            yield text

    def note(self, number: int) -> None:
        """Note where it stands, and print it."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        rss = pages * resource.getpagesize()
        took = time.perf_counter() - self._began
        self.notes.append({"texts": number, "rss_mb": rss / 1e6, "seconds": took})
        grown = self.notes[-1]["rss_mb"] - self.notes[0]["rss_mb"]
        print(f"| {number:,} | {rss / 1e6:.1f} | {grown:+.1f} | {number / took:,.0f} |", flush=True)


def short_texts(count: int) -> Iterator[str]:
    """Make different short texts: sentences of Python's help, each time with another number."""
    known = sentences(help_topics())
    for number in range(count):
        yield f"{known[number % len(known)][:80]} {number}"


def main() -> None:
    """Stream and print; write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="as for nearfield --model; or a folder")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=100_000)
    parser.add_argument("--index", action="store_true", help="into an index file")
    parser.add_argument("--out", type=Path, help="the result, JSON")
    arguments = parser.parse_args()
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.model or [f"static:{word_table(Path(scratch, 'table'))}", TINY_BERT]:
            written = str(name) if ":" in str(name) else f"local:{name}"
            model = resolve_embed_model(written)
            model.on_truncation = "ignore"
            label = f"{type(model).__name__} {Path(name).name}, {model.dim} numbers a vector"
            print(f"\n{label}\n")
            print("| texts | memory, MB | grown, MB | texts/s |\n| ---: | ---: | ---: | ---: |")
            meter = Meter(arguments.every)
            texts = meter.watch(short_texts(arguments.texts))
            if arguments.index:
                fill(Path(scratch, f"{len(runs)}.index"), model, texts)
            else:
                for some in batches(texts, TEXTS_AT_ONCE):
                    model.encode(some)
            meter.note(arguments.texts)
            runs[label] = meter.notes
    if arguments.out:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "nearfield": source_revision(),
            "machine": describe_machine(),
            "runs": runs,
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def batches(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    """Cut a stream into lists."""
    while some := list(islice(texts, size)):
        yield some


def fill(path: Path, model: Any, texts: Iterator[str]) -> None:
    """Make an index of texts, each a document."""
    documents = (Document(text, id=str(number)) for number, text in enumerate(texts))
    VectorStoreIndex.from_documents(documents, path=path, embed_model=model).close()


def word_table(folder: Path) -> Path:
    """Write a word-table model of random numbers, over the bundled model's tokenizer."""
    folder.mkdir()
    shutil.copy(BUNDLED / "tokenizer.json", folder)
    (folder / "config.json").write_text('{"normalize": true}', encoding="utf-8")
    numbers = np.random.default_rng(8086).normal(size=(WORDS, DIM)).astype(np.float32)
    write_safetensors(folder / "model.safetensors", {"embeddings": numbers})
    return folder


if __name__ == "__main__":
    main()
