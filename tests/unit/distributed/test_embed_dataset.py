"""A corpus embedded by the workers of a Ray cluster into one Lance table."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from nearfield import VectorStoreIndex
from nearfield.cli.main import run
from nearfield.core.readers import PathReader
from nearfield.core.settings import Settings
from nearfield.distributed import embed_dataset, job
from nearfield.errors import ConfigError, ModelMismatchError, ReadError
from nearfield.stores.lance import LanceStore
from nearfield.testing.fake import FakeEmbedding

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def noting(log, *, dies_at=None):
    """Give what makes a model that notes every text it embeds, and may die at one, once."""
    log = str(log)

    def make():
        # Made on the worker, which does not have this module.
        import os
        import signal
        from pathlib import Path

        from nearfield.testing.fake import FakeEmbedding

        class Noting(FakeEmbedding):
            def _encode(self, texts, input_type):
                with Path(log).open("a") as file:
                    file.writelines(f"{text}\n" for text in texts)
                mark = Path(f"{log}.died")
                if dies_at and any(dies_at in text for text in texts) and not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return super()._encode(texts, input_type)

        return Noting(8)

    return make


def embedded(log):
    """Give how often each text was embedded; the one that measures the model aside."""
    return Counter(line for line in log.read_text().splitlines() if "Sentence" in line)


def contents(path):
    """Give all there is in an index, by id: nodes, vectors to the bit, hashes."""
    with closing(LanceStore(path, read_only=True)) as store:
        pairs = list(store.nodes())
        nodes = {node.id: (node, vector.tobytes()) for node, vector in pairs}
        assert len(nodes) == len(pairs) == store.count()
        facts = {name: fact for name, fact in store.header.facts.items() if name != "embed_model"}
        return nodes, store.content_hashes(), dict(store.documents()), facts


def one_process(corpus, path, model):
    """Index a corpus in this process."""
    with VectorStoreIndex(store=LanceStore(path), embed_model=model) as index:
        index.ingest(PathReader([corpus]).iter_data())


@pytest.fixture
def few_files_a_part(monkeypatch):
    monkeypatch.setattr(job, "PART_BYTES", 8 << 10)


def test_the_result_is_that_of_one_process(cluster, short_corpus, tmp_path, monkeypatch):
    """Ids, nodes, vectors bit for bit, hashes, facts; by the model of the package."""
    monkeypatch.setattr(job, "PART_BYTES", 1 << 10)
    with Settings.override(chunk_size=40, chunk_overlap=5):
        one_process(short_corpus, tmp_path / "one", "bundled")
        out = f"lance://{tmp_path}/many"
        report = embed_dataset([short_corpus], "bundled", out, address=cluster)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert (report.added, report.changed, report.unchanged) == (48, 0, 0)
    assert report.nodes == len(contents(tmp_path / "one")[0]) > 2 * 48
    with VectorStoreIndex.open(f"lance://{tmp_path}/many", read_only=True) as index:
        (best,) = index.as_retriever(1).retrieve("sentence 7 of text 31")
        assert best.node.document_id.endswith(".txt")


@pytest.mark.usefixtures("few_files_a_part")
def test_a_rerun_embeds_only_what_changed(cluster, corpus, tmp_path):
    """Known by id and content hash; a changed file replaces its document."""
    log, out = tmp_path / "log", f"lance://{tmp_path}/i"
    embed_dataset([corpus], noting(log), out, address=cluster, workers=1)
    log.unlink()
    (corpus / "t07.txt").write_text("Sentence new of text 7.")
    (corpus / "t99.txt").write_text("Sentence only of text 99.")
    report = embed_dataset([corpus], noting(log), out, address=cluster, workers=1)
    assert (report.added, report.changed, report.unchanged) == (1, 1, 47)
    assert embedded(log) == {"Sentence new of text 7.": 1, "Sentence only of text 99.": 1}
    one_process(corpus, tmp_path / "one", FakeEmbedding(8))
    assert contents(tmp_path / "i")[:3] == contents(tmp_path / "one")[:3]


@pytest.mark.usefixtures("few_files_a_part")
def test_a_killed_worker_changes_nothing_in_the_result(cluster, corpus, tmp_path):
    """Its part is done again by another: no duplicates, and no more than a window anew."""
    log, window = tmp_path / "log", 100
    model = noting(log, dies_at="Sentence 59 of text 20 ")
    report = embed_dataset(
        [corpus], model, f"lance://{tmp_path}/i", address=cluster, window_nodes=window
    )
    assert (tmp_path / "log.died").exists()
    one_process(corpus, tmp_path / "one", FakeEmbedding(8))
    assert contents(tmp_path / "i")[:3] == contents(tmp_path / "one")[:3]
    assert report.added == 48
    again = sum(times - 1 for times in embedded(log).values())
    assert 0 < again <= window


DRIVER = """
import os, signal, sys
from nearfield.distributed import embed_dataset, job
from nearfield.stores.lance import LanceStore
from tests_noting import noting

corpus, path, log, address, commits = sys.argv[1:]
left = int(commits)

class Dying(LanceStore):
    def upsert(self, entries):
        global left
        super().upsert(entries)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

job.PART_BYTES = 8 << 10
embed_dataset([corpus], noting(log), Dying(path), address=address, window_nodes=60)
"""


def test_a_killed_driver_loses_only_what_was_not_committed(cluster, corpus, tmp_path):
    """What it committed is there, whole, and is not embedded again."""
    path, log = tmp_path / "i", tmp_path / "log"
    source = __import__("inspect").getsource(noting)
    (tmp_path / "tests_noting.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = [sys.executable, "-c", DRIVER, corpus, path, log, cluster, 2]
    killed = subprocess.run([*map(str, arguments)], cwd=os.curdir, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    committed = contents(path)[0]
    assert committed
    log.unlink()
    reader = PathReader([corpus])
    report = embed_dataset(reader, noting(log), f"lance://{path}", address=cluster)
    kept = {node.document_id for node, _ in committed.values()}
    assert (report.unchanged, report.added) == (len(kept), 48 - len(kept))
    assert not set(embedded(log)) & {node.text for node, _ in committed.values()}
    one_process(corpus, tmp_path / "one", FakeEmbedding(8))
    assert contents(path)[:3] == contents(tmp_path / "one")[:3]


def test_a_dataset_of_ray_is_a_corpus_too(cluster, tmp_path):
    """A document a row; the columns beside text and id are its metadata."""
    import ray

    ray.init(address=cluster, log_to_driver=False, logging_level="ERROR")
    try:
        rows = [{"id": f"r{n}", "text": f"Sentence of row {n}.", "n": n} for n in range(40)]
        data = ray.data.from_items(rows)
        report = embed_dataset(data, "bundled", f"lance://{tmp_path}/i")
        assert report.added == 40
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    nodes, _, facts, _ = contents(tmp_path / "i")
    assert {node.text for node, _ in nodes.values()} == {row["text"] for row in rows}
    assert facts == {f"r{n}": {"n": n} for n in range(40)}


def test_the_command_does_the_same(cluster, short_corpus, tmp_path, capsys, monkeypatch):
    """``nearfield index PATH --ray ADDRESS --store lance://...``, then ask as ever."""
    monkeypatch.chdir(tmp_path)
    (short_corpus / "bad.bin").write_bytes(b"\x00\x01\x02" * 99)
    index = ["index", "corpus", "--chunk-size", "40", "--chunk-overlap", "5", "--json"]
    assert run([*index, "--store", "lance://i", "--ray", cluster]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], told["nodes"]) == (48, told["nodes_written"])
    assert [left["file"].endswith("bad.bin") for left in told["skipped"]] == [True]
    assert run([*index, "--store", "lance://j"]) == 0
    here = json.loads(capsys.readouterr().out)
    assert contents(tmp_path / "i") == contents(tmp_path / "j")
    assert {name: told[name] for name in ("nodes", "model")} == {
        name: here[name] for name in ("nodes", "model")
    }
    assert run(["search", "item 31", "--store", "lance://i", "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "exact"


def test_what_fails_is_told_as_in_one_process(cluster, corpus, tmp_path):
    """Another model's index, a file that cannot be read, sizes that make no sense."""
    out = f"lance://{tmp_path}/i"
    embed_dataset([corpus / "t00.txt"], "bundled", out, address=cluster)
    with pytest.raises(ModelMismatchError):
        embed_dataset([corpus], noting(tmp_path / "log"), out, address=cluster)
    (corpus / "bad.txt").write_bytes(b"\x00\x01\x02" * 99)
    strict = PathReader([corpus / "bad.txt", corpus / "t01.txt"], raise_on_error=True)
    with pytest.raises(ReadError, match=r"bad\.txt"):
        embed_dataset(strict, "bundled", out, address=cluster)
    for wrong in ({"workers": 0}, {"window_nodes": 0}, {"cpus_per_worker": 0}):
        with pytest.raises(ConfigError):
            embed_dataset([corpus], "bundled", out, address=cluster, **wrong)
    with Settings.override(embed_model=FakeEmbedding(8)), pytest.raises(ConfigError, match="Name"):
        embed_dataset([corpus], None, out, address=cluster)


@pytest.mark.soak
def test_twenty_thousand_nodes_are_those_of_one_process(cluster, tmp_path):
    """The standard library's own files, by the native engine; vectors bit for bit."""
    import sysconfig
    from pathlib import Path

    standard = Path(sysconfig.get_paths()["stdlib"])
    with Settings.override(chunk_size=64, chunk_overlap=0):
        reader = PathReader(sorted(path for path in standard.glob("*.py")), relative_to=standard)
        with VectorStoreIndex(store=LanceStore(tmp_path / "one"), embed_model="bundled") as index:
            index.ingest(reader.iter_data())
        report = embed_dataset(reader, "bundled", f"lance://{tmp_path}/many", address=cluster)
    assert report.nodes >= 20_000
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
