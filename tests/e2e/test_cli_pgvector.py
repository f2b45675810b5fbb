"""The commands on an index in PostgreSQL: the same as on a file."""

import json

import pytest
from click.testing import CliRunner

from nearfield.cli.main import group

pytestmark = pytest.mark.pgvector


@pytest.fixture
def address(postgres):
    from nearfield.stores.pgvector import PGVectorStore

    uri = f"{postgres.replace('postgres:@', 'postgres:hunter2@')}&index=commands"
    yield uri
    with PGVectorStore(uri) as store:
        store.drop()


def run(*words, fails=False):
    done = CliRunner().invoke(group, [str(word) for word in words])
    assert (done.exit_code != 0) is fails, done.output
    assert "hunter2" not in done.output
    return done.output


def test_index_search_info_and_verify_work_by_an_address(tmp_path, address):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "mars.txt").write_text("Mars is the Red Planet.")
    (folder / "dogs.txt").write_text("Dogs bark at night.")

    assert "There is no index" in run("search", "x", "--index", address, fails=True)
    run("index", folder, "--index", address)
    found = json.loads(run("search", "an animal", "--index", address, "--json"))
    assert "Dogs" in json.dumps(found)
    assert json.loads(run("info", "--index", address, "--json"))["nodes"] == 2
    assert "is sound" in run("verify", "--index", address)

    (folder / "dogs.txt").unlink()
    (folder / "mars.txt").write_text("Mars has two moons.")
    run("index", folder, "--index", address, "--prune")
    assert json.loads(run("info", "--index", address, "--json"))["nodes"] == 1
