"""``nearfield cache``: what it holds, and forgetting it only when that is meant."""

import io
import json

import numpy as np
import pytest

from nearfield.cli.main import run
from nearfield.core.settings import Settings
from nearfield.remote.default_cache import DefaultCache


@pytest.fixture(autouse=True)
def _two_vectors(tmp_path):
    Settings.cache_dir = tmp_path
    DefaultCache().put_many("model", "document", ["a", "b"], np.eye(2, dtype=np.float32))


def kept(capsys):
    capsys.readouterr()
    assert run(["cache", "info", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["vectors"]


def test_it_says_how_many_vectors_there_are(capsys):
    assert kept(capsys) == 2


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("\n", 2), ("y\n", 0)])
def test_it_forgets_them_only_after_a_yes(monkeypatch, capsys, answer, left):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    assert run(["cache", "clear"]) == 0

    told = capsys.readouterr().out
    assert ("Nothing was forgotten." in told) == bool(left)
    assert kept(capsys) == left


def test_it_does_not_ask_where_yes_was_said_before(capsys):
    assert run(["cache", "clear", "--yes"]) == 0
    assert "2 vectors forgotten." in capsys.readouterr().out
    assert kept(capsys) == 0
