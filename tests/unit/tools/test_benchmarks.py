"""The benchmarks run, and their numbers mean what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nearfield.embeddings.bundled import FOLDER

ROOT = Path(__file__).resolve().parents[3]


def run(module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.slow
def test_peers_are_timed_and_reported(tmp_path):
    out = tmp_path / "result.json"
    sizes = ("--rounds", 1, "--load", "W1:3,W2:4,W3:2,W4:2", "--single", 2, "--cold", 1)
    peers = ("--peers", "nearfield-bundled nearfield-nothing")
    run("benchmarks.peers.run", FOLDER, "--envs", tmp_path, "--out", out, *sizes, *peers)
    result = json.loads(out.read_text())
    measured = result["peers"]["nearfield-bundled"]
    assert result["workloads"]["W1"] == {**result["workloads"]["W1"], "texts": 3, "tokens": 33}
    assert result["roofline_gflops"][0] > 0
    assert measured["versions"]["nearfield"]
    assert measured["cosine"]["W2"]["min"] == pytest.approx(1)
    assert len(measured["batch"]["W4"]) == len(measured["cold_start_s"]) == 1
    table = run("benchmarks.peers.report", out)
    assert "| nearfield-bundled |" in table
    assert "x 1.00, x 1.00" in table
    assert "nearfield-nothing did not run" in table


def test_the_overhead_of_encode_is_told_by_workload(tmp_path):
    model = ROOT / "tests" / "data" / "models" / "bert"

    table = run("benchmarks.overhead", model, "--rounds", 1, "--out", tmp_path / "out.json")

    ratios = json.loads((tmp_path / "out.json").read_text())["ratios"]
    assert list(ratios) == ["short", "passages", "mixed"]
    assert all(len(ratios[name][clock]) == 1 for name in ratios for clock in ("wall", "cpu"))
    assert "| 512 short | " in table


@pytest.mark.parametrize("way", [(), ("--index",)])
def test_memory_is_noted_while_texts_stream(tmp_path, way):
    out = tmp_path / "out.json"

    run("benchmarks.streaming", "--texts", 300, "--every", 100, "--out", out, *way)

    runs = json.loads(out.read_text())["runs"]
    assert [name.partition(" ")[0] for name in runs] == ["StaticEmbedding", "HuggingFaceEmbedding"]
    for notes in runs.values():
        assert [note["texts"] for note in notes] == [100, 200, 300]
        assert all(10 < note["rss_mb"] < 2000 for note in notes)


def test_retrieval_is_scored_by_the_judgements(tmp_path):
    texts = {"mars": "Mars is the red planet.", "soup": "Boil lentils for soup."}
    entries = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (tmp_path / "docs.jsonl").write_text("\n".join(entries))
    (tmp_path / "queries.jsonl").write_text('{"id": "1", "text": "Which planet is red?"}\n')
    for relevant, score in (("mars", 1), ("soup", 0.5)):
        (tmp_path / "qrels.tsv").write_text(f"question\tdocument\tgain\n1\t{relevant}\t2\n")
        run("benchmarks.retrieval", tmp_path, "--json", tmp_path / "out.json")
        scores = json.loads((tmp_path / "out.json").read_text())[0]
        assert scores["mrr_at_10"] == score
        assert scores["questions"] == 1


def test_the_store_is_measured_at_any_size(tmp_path):
    table = run(
        "benchmarks.store", "--nodes", 40_000, "--text-nodes", 500, "--dim", 256,
        "--folder", tmp_path,
    )  # fmt: skip

    figures = json.loads(table.splitlines()[-1])["figures"]
    assert figures["10,000 nodes in nearfield: share of the 10 best found"] == 1
    assert 1 <= figures["record / raw vectors"] <= 1.2
    assert all(value > 0 for value in figures.values())
    assert list(tmp_path.iterdir()) == []


def test_the_share_of_indexing_that_is_the_models_is_told(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"Text number {number} is of its own.")

    table = run("benchmarks.ingest", tmp_path, "--files", 2)

    figures = json.loads(table.splitlines()[-1])["figures"]
    assert (figures["documents"], figures["nodes"]) == (2, 2)
    assert 0 < figures["model at work, share of wall"] <= 1
