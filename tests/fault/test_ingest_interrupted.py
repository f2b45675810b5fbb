"""An indexing process that is killed, interrupted or joined by another loses nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys

import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.testing.fake import FakeEmbedding

WINDOW = 16

INDEXER = """
import json, sys
from pathlib import Path
from nearfield.core import Document, VectorStoreIndex
from nearfield.testing.fake import FakeEmbedding

class Telling(FakeEmbedding):
    told = 0

    def _encode(self, texts, input_type):
        if self.told == stop:
            sys.stdin.read()  # until the signal comes: no clock decides how far it got
        vectors = super()._encode(texts, input_type)
        print(json.dumps(texts), flush=True)
        self.told += 1
        return vectors

stop, folders, target = int(sys.argv[1]), sys.argv[2:-1], sys.argv[-1]
files = sorted(file for folder in folders for file in Path(folder).iterdir())
documents = (Document(file.read_text(), {"file": file.name}, id=file.name) for file in files)
VectorStoreIndex.from_documents(
    documents, path=target, embed_model=Telling(), insert_batch_size=int(WINDOW)
).close()
""".replace("WINDOW", str(WINDOW))


class Indexer:
    """The process that indexes, and the texts it says it embedded.

    With ``stop`` it waits, once it has embedded so many batches, for the signal that ends it.
    """

    def __init__(self, *arguments, stop=-1):
        command = [sys.executable, "-c", INDEXER, str(stop), *map(str, arguments)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, **pipes, text=True)
        self.embedded = []

    def read(self, batches):
        """Follow the process through some batches, or to its end."""
        for _, line in zip(range(batches), self.process.stdout, strict=False):
            self.embedded.extend(json.loads(line))

    def end(self):
        """Wait for the process, and give what it said on stderr."""
        for line in self.process.stdout:
            if line.endswith("\n"):  # a killed process may leave half a line
                self.embedded.extend(json.loads(line))
        errors = self.process.stderr.read()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        return errors


def write_folder(folder, count, seed=0):
    chance = random.Random(seed)
    words = ["iron", "ring", "moon", "cloud", "storm", "acid", "rock", "comet", "dust"]
    folder.mkdir()
    for number in range(count):
        lines = [" ".join(chance.choices(words, k=8)) for _ in range(chance.randint(1, 4))]
        (folder / f"f{seed}-{number:04}.txt").write_text(f"File {number}. " + ". ".join(lines))
    return folder


def contents(path):
    """Give all an index has, vectors bit for bit."""
    with VectorStoreIndex.open(path, FakeEmbedding(), read_only=True) as index:
        nodes = {
            node.id: (node.text, node.document_id, node.metadata, vector.tobytes())
            for node, vector in index.store.nodes()
        }
        return index.store.content_hashes(), dict(index.store.documents()), nodes


def indexed(path):
    """Give the ids of the documents an index holds; none when it was not even begun."""
    return contents(path)[0] if path.exists() else {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("corpus") / "files", 160)


@pytest.fixture(scope="module")
def uninterrupted(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "index"
    assert Indexer(folder, path).end() == ""
    return contents(path)


def stop_and_go_on(folder, path, batches, how):
    """Stop an indexer after some batches, then run one to the end; give what each embedded."""
    first = Indexer(folder, path, stop=batches)
    first.read(batches)
    first.process.send_signal(how)
    first.end()
    kept = indexed(path)
    second = Indexer(folder, path)
    assert second.end() == ""
    assert second.process.returncode == 0
    return first, kept, second


def check_nothing_lost(folder, path, batches, how, uninterrupted):
    first, kept, second = stop_and_go_on(folder, path, batches, how)

    assert contents(path) == uninterrupted
    beginnings = {file.name: file.read_text().partition(".")[0] + "." for file in folder.iterdir()}
    again = {text.partition(".")[0] + "." for text in second.embedded}
    assert again.isdisjoint(beginnings[name] for name in kept), "a kept file was embedded again"
    # What was embedded and lost is what was between the model and the disk: a window in the
    # model's hands, one waiting, one being written.
    lost = set(first.embedded) & set(second.embedded)
    assert len(lost) <= 3 * 2 * WINDOW
    assert first.process.returncode != 0


@pytest.mark.parametrize("batches", [0, 1, 3, 7])
def test_after_a_kill_the_next_run_ends_as_an_uninterrupted_one(
    folder, tmp_path, uninterrupted, batches
):
    check_nothing_lost(folder, tmp_path / "index", batches, signal.SIGKILL, uninterrupted)


def test_after_ctrl_c_the_next_run_ends_as_an_uninterrupted_one(folder, tmp_path, uninterrupted):
    check_nothing_lost(folder, tmp_path / "index", 4, signal.SIGINT, uninterrupted)


@pytest.mark.soak
@pytest.mark.parametrize("round_number", range(20))
def test_kills_at_random_moments_lose_nothing(tmp_path, round_number):
    chance = random.Random(round_number)
    folder = write_folder(tmp_path / "files", 3000, seed=round_number)
    assert Indexer(folder, tmp_path / "whole").end() == ""
    whole = contents(tmp_path / "whole")

    batches = chance.randint(0, 180)
    check_nothing_lost(folder, tmp_path / "index", batches, signal.SIGKILL, whole)


def test_a_run_killed_again_and_again_still_ends(folder, tmp_path, uninterrupted):
    path = tmp_path / "index"
    progress = []
    for _ in range(3):
        indexer = Indexer(folder, path, stop=4)
        indexer.read(4)
        indexer.process.kill()
        indexer.end()
        progress.append(len(indexed(path)))

    assert Indexer(folder, path).end() == ""
    assert progress == sorted(progress)
    assert contents(path) == uninterrupted


def test_a_killed_update_leaves_every_document_old_or_new(folder, tmp_path, uninterrupted):
    """No document is torn: all its nodes are of one version."""
    path = tmp_path / "index"
    Indexer(folder, path).end()
    changed = tmp_path / "files"
    changed.mkdir()
    for file in folder.iterdir():
        (changed / file.name).write_text("Anew. " + file.read_text())

    indexer = Indexer(changed, path, stop=3)
    indexer.read(3)
    indexer.process.kill()
    indexer.end()

    hashes, _, nodes = contents(path)
    old, new = {}, {}
    for versions, source in ((old, folder), (new, changed)):
        for file in source.iterdir():
            document = Document(file.read_text(), {"file": file.name}, id=file.name)
            versions[file.name] = document.hash
    assert set(hashes) == set(old)
    for name, content in hashes.items():
        assert content in (old[name], new[name])
        is_new = content == new[name]
        texts = [text for text, document_id, *_ in nodes.values() if document_id == name]
        assert texts
        assert any(text.startswith("Anew.") for text in texts) == is_new


def test_two_processes_may_index_overlapping_folders_while_a_third_asks(
    folder, tmp_path, uninterrupted
):
    other = write_folder(tmp_path / "other", 80, seed=1)
    path = tmp_path / "index"
    with VectorStoreIndex.from_documents([], path=path, embed_model=FakeEmbedding()) as index:
        index.insert(Document("a comet", {"file": "seed"}, id="seed"))
        retriever = index.as_retriever(similarity_top_k=3)
        both = [Indexer(folder, other, path), Indexer(other, folder, path)]
        while any(indexer.process.poll() is None for indexer in both):
            assert retriever.retrieve("a comet of iron")
            for indexer in both:
                indexer.read(1)
        assert [indexer.end() for indexer in both] == ["", ""]
        index.delete("seed")

    Indexer(other, tmp_path / "alone").end()
    expected = [
        ours | theirs
        for ours, theirs in zip(uninterrupted, contents(tmp_path / "alone"), strict=True)
    ]
    assert list(contents(path)) == expected
