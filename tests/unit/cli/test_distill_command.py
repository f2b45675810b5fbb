"""``nearfield distill`` makes a folder that StaticEmbedding loads, and says what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearfield.cli.main import run
from nearfield.embeddings.static import StaticEmbedding

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("mars is the red planet\n\nvenus is bright\ndogs bark at night\na\n", "utf-8")
    return path


def test_a_table_is_made_and_measured(tmp_path, texts, capsys):
    out = tmp_path / "table"
    words = ["distill", str(BERT), "--out", str(out), "--dim", "12", "--texts", str(texts)]

    assert run([*words, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["dim"] == StaticEmbedding(str(out)).dim == 12
    assert told["tokens"] > 100
    assert told["size_bytes"] == (out / "model.safetensors").stat().st_size
    assert told["texts_per_second"] > 0
    assert -1 <= told["spearman"] <= 1


def test_the_table_is_shown_with_the_line_that_uses_it(tmp_path, texts, capsys):
    out = tmp_path / "table"

    assert run(["distill", str(BERT), "--out", str(out), "--dim", "8", "--texts", str(texts)]) == 0

    shown = capsys.readouterr().out
    assert "Spearman" in shown
    assert f'StaticEmbedding("{out}")' in shown


def test_a_size_out_of_range_is_one_line(tmp_path, capsys):
    assert run(["distill", str(BERT), "--out", str(tmp_path / "table"), "--dim", "99"]) == 1
    assert "dim must be from 1 to 32" in capsys.readouterr().err


def test_too_few_texts_are_refused(tmp_path, capsys):
    path = tmp_path / "few.txt"
    path.write_text("one\n", "utf-8")
    out = str(tmp_path / "table")

    assert run(["distill", str(BERT), "--out", out, "--dim", "8", "--texts", str(path)]) == 1
    assert "at least 3 texts" in capsys.readouterr().err
