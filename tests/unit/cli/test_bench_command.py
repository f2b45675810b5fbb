"""``nearfield bench``: equal texts for all, a process each, figures that mean what they say."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nearfield.cli.bench.candidates import candidates, installed, widen_bundled
from nearfield.cli.bench.measure import Measured, ModelResult, measure
from nearfield.cli.bench.plot import draw_png, draw_svg
from nearfield.cli.bench.table import lay_out
from nearfield.cli.bench.worker import load
from nearfield.cli.bench.workloads import PLANETS, QUESTION, Counts, make_workloads
from nearfield.core.vectors import similarity
from nearfield.embeddings.bundled import BundledEmbedding
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
from nearfield.runtime.native import engine_facts

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"
NEARFIELD = Path(sys.executable).with_name("nearfield")
FEW = Counts(page=3, short=4, passages=2, mixed=3, single=4, compared=2)
RESULTS = [
    ModelResult(
        "me/a<b",
        "torch",
        [
            Measured(
                "me/a<b",
                "native",
                texts_per_s=dict.fromkeys(("page", "short", "passages", "mixed"), 1234.0),
                tokens_per_s={"passages": 98765.0},
                cosine_mean=0.9999999,
                cosine_min=0.99999,
                similarity=dict.fromkeys(PLANETS, 0.5),
            ),
            Measured("me/a<b", "onnx", error="it is not there"),
        ],
    )
]


def bench(*words, cwd):
    """Run the command to its end."""
    return subprocess.run(
        [NEARFIELD, "bench", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_texts_are_the_same_on_every_run_and_differ_from_each_other():
    texts = make_workloads(Counts())

    assert texts == make_workloads(Counts())
    assert {kind: len(some) for kind, some in texts.items()} == {
        "page": 512,
        "short": 512,
        "passages": 256,
        "mixed": 256,
        "single": 200,
        "compared": 192,
    }
    assert set(texts["page"]) == {QUESTION}
    assert all(len(set(texts[kind])) == len(texts[kind]) for kind in ("short", "passages", "mixed"))
    assert all(5 <= len(text.split()) <= 16 for text in texts["short"])
    assert all(len(text.split()) == 96 for text in texts["passages"])
    lengths = [len(text.split()) for text in texts["mixed"]]
    assert min(lengths) < 30
    assert max(lengths) > 300


def test_the_bundled_model_in_float32_is_the_bundled_model(tmp_path):
    wide = HuggingFaceEmbedding(str(widen_bundled(tmp_path / "wide")), backend="native")

    want = BundledEmbedding().encode(list(PLANETS.values()))
    assert np.einsum("ij,ij->i", wide.encode(list(PLANETS.values())), want).min() > 0.99999


def test_names_stand_for_what_they_do_elsewhere(tmp_path):
    found = {
        name: [(one.provider, one.name) for one in candidates(name, ["native"], tmp_path)]
        for name in ("bundled", "local:a/b", "a/b", "static:a/b", str(BERT))
    }

    assert found == {
        "bundled": [("bundled", "bundled")],
        "local:a/b": [("local", "a/b")],
        "a/b": [("local", "a/b")],
        "static:a/b": [("static", "a/b")],
        str(BERT): [("local", str(BERT))],
    }


def test_a_backend_is_measured_in_a_process_of_its_own(tmp_path):
    texts = make_workloads(FEW)
    steps = []

    result = measure(
        candidates(str(BERT), ["native"], tmp_path),
        texts,
        tmp_path,
        rounds=2,
        advance=lambda: steps.append(1),
    )

    (one,) = result.backends
    model = HuggingFaceEmbedding(str(BERT), on_truncation="ignore")
    assert (one.backend, one.error, one.dim) == ("native", None, model.dim)
    assert one.engine == model._runner.engine.name
    assert len(steps) == 2
    assert result.reference is None  # nothing to compare with
    scores = similarity(
        model.encode([QUESTION], input_type="query"), model.encode(list(PLANETS.values()))
    )
    assert list(one.similarity.values()) == pytest.approx(scores[0].tolist())
    assert list(one.similarity) == list(PLANETS)
    assert 0 < one.query_p50_ms <= one.query_p99_ms
    # Tokens of 3 equal questions are counted 3 times: they were computed 3 times.
    tokens = model.encode_with_report([QUESTION], input_type="query")[1].tokens
    assert one.tokens_per_s["page"] / one.texts_per_s["page"] == pytest.approx(tokens)
    assert 10_000_000 < one.peak_rss_bytes < 2_000_000_000


def test_products_of_8_bits_have_a_row_where_the_processor_has_them(tmp_path):
    facts = engine_facts()
    differ = facts["instruction_set_int8"] != facts["instruction_set"]
    assert ("native-int8" in installed()) == differ
    text = "Which planet is known as the Red Planet?"
    rounded = load("local", "native-int8", str(BERT)).encode([text])
    exact = load("local", "native", str(BERT)).encode([text])
    assert (rounded != exact).any() == differ


@pytest.mark.onnx
def test_backends_are_compared_with_the_most_exact(tmp_path):
    result = measure(
        candidates(str(BERT), ["native", "onnx"], tmp_path),
        make_workloads(FEW),
        tmp_path,
        rounds=1,
        advance=lambda: None,
    )

    native, onnx = result.backends
    assert result.reference == "onnx"
    assert 0.9999 < native.cosine_min <= native.cosine_mean <= 1.000001
    assert onnx.cosine_min is None
    assert list(native.similarity.values()) == pytest.approx(
        list(onnx.similarity.values()), abs=1e-3
    )


def test_a_backend_that_cannot_run_a_model_says_so_in_its_row(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(BERT, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))

    done = bench(model, "--backend", "native", "--quick", "--rounds", 1, cwd=tmp_path)

    assert done.returncode == 1
    assert "native did not run: " in done.stdout
    assert "mamba" in done.stdout


def test_a_worker_ends_in_the_middle_of_a_step_once_nobody_can_hear_its_answer(tmp_path):
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps({"single": ["a question"] * 1_000_000}))  # minutes of work
    words = [sys.executable, "-m", "nearfield.cli.bench.worker", "local", "native", BERT, texts]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:
        try:
            assert "load_s" in json.loads(process.stdout.readline())
            process.stdin.write('{"do": "single", "workload": "single"}\n')
            process.stdin.close()  # as the system does when the other end is ended, by whatever

            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
        assert process.stdout.read() == ""


def test_a_run_told_to_end_leaves_nothing_in_the_folder_of_temporary_files(tmp_path):
    words = [NEARFIELD, "bench", BERT, "--backend", "native"]
    with subprocess.Popen(words, env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        while process.poll() is None and not list(tmp_path.glob("*/0/texts.json")):
            pass
        process.terminate()

        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_json_and_draws(tmp_path):
    words = ("--backend", "native", "--quick", "--rounds", 1, "--json", "--plot", "p.svg")
    done = bench("bundled", BERT, *words, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [model["model"] for model in told["models"]] == ["bundled", str(BERT)]
    assert told["rounds"] == 1
    assert told["texts"]["page"] == 64
    assert told["versions"]["nearfield"]
    bundled = told["models"][0]["backends"][0]
    planets = bundled["similarity"]
    assert max(planets, key=planets.get) == "Mars"
    assert min(planets, key=planets.get) == "Venus"
    assert bundled["load_s"] > 0
    labels = [text.text for text in ET.parse(tmp_path / "p.svg").iter() if text.text]
    assert "Not drawn, compared with nothing: bundled, native; bert, native" in labels


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("openai:text-embedding-3-small",), "does not"),
        (("--plot", "p.pdf"), ".svg and .png"),
        (("--rounds", "0"), "rounds"),
    ],
)
def test_what_cannot_be_measured_or_drawn_is_refused_at_once(tmp_path, words, says):
    done = bench(*words, cwd=tmp_path)

    assert done.returncode == 2
    assert says in done.stderr


def test_figures_outlive_a_picture_that_cannot_be_written(tmp_path):
    words = ("--backend", "native", "--quick", "--rounds", 1, "--json", "--plot", "missing/p.svg")
    done = bench("bundled", *words, cwd=tmp_path)

    assert done.returncode == 1
    assert "missing/p.svg" in done.stderr
    assert json.loads(done.stdout)["models"]


def test_the_table_names_the_reference_and_who_did_not_run():
    lines = lay_out(RESULTS[0]).splitlines()

    assert lines[0] == "me/a<b"
    assert "98,765" in lines[3]
    assert "0.9999900" in lines[6]
    assert lines[-1] == "onnx did not run: it is not there"


def test_a_drawing_is_well_formed_whatever_the_names(tmp_path):
    draw_svg(RESULTS, tmp_path / "p.svg")

    texts = [one.text for one in ET.parse(tmp_path / "p.svg").iter() if one.text]
    assert "a<b, native" in texts
    assert "1e-5" in texts
    assert not any("onnx" in text for text in texts)


def ran(model, backend, *, passages=100.0, cosine=None):
    """Give a backend that was measured, as far as the picture asks."""
    speeds = {"texts_per_s": {"passages": passages}}
    return Measured(model, backend, **speeds, cosine_mean=cosine, cosine_min=cosine)


def test_names_of_points_at_one_place_stand_below_each_other(tmp_path):
    same = [ran("mpnet", backend, cosine=1.0) for backend in ("native", "onnx", "openvino")]

    draw_svg([ModelResult("mpnet", "torch", [ran("mpnet", "torch"), *same])], tmp_path / "p.svg")

    texts = [one for one in ET.parse(tmp_path / "p.svg").iter() if one.text]
    lines = sorted(float(one.get("y")) for one in texts if one.text.startswith("mpnet, "))
    assert len(lines) == 4
    assert all(below - above >= 11.9 for above, below in pairwise(lines))


def test_the_names_of_fast_backends_stand_inside_the_picture(tmp_path):
    model = "a-model-of-a-name-as-long-as-they-come-v2"
    fast, slow = ran(model, "native", passages=9900.0, cosine=0.9), ran(model, "torch")

    draw_svg([ModelResult(model, "torch", [fast, slow])], tmp_path / "p.svg")

    texts = {one.text: one for one in ET.parse(tmp_path / "p.svg").iter() if one.text}
    assert texts[f"{model}, native"].get("text-anchor") == "end"
    assert texts[f"{model}, torch"].get("text-anchor") == "start"


def test_what_was_compared_with_nothing_has_no_place_in_the_picture(tmp_path):
    """Drawn as if its cosine were 1, a word table would look exact."""
    table = ModelResult("static:table", None, [ran("static:table", "static", passages=9000.0)])

    draw_svg([*RESULTS, table], tmp_path / "p.svg")

    dots = [one for one in ET.parse(tmp_path / "p.svg").iter() if one.tag.endswith("circle")]
    texts = [one.text for one in ET.parse(tmp_path / "p.svg").iter() if one.text]
    assert len(dots) == 1
    assert "Not drawn, compared with nothing: static:table, static" in texts


@pytest.mark.plot
def test_a_png_is_drawn(tmp_path):
    draw_png(RESULTS, tmp_path / "p.png")

    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
