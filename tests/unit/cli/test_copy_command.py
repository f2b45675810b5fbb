"""``nearfield copy``: an index in another place, answering as before."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from nearfield.cli.main import group
from nearfield.core.store import Header
from nearfield.stores.sqlite import SQLiteStore
from nearfield.testing.store_contract import make_entry


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "old.nearfield"
    with SQLiteStore(path) as store:
        store.initialize(Header("f", 4))
        store.add([make_entry(f"d{n}", np.full((3, 4), n + 1)) for n in range(4)])
    return path


def run(*arguments):
    return CliRunner().invoke(group, ["copy", *map(str, arguments)])


def test_an_index_is_copied_into_a_new_file(source, tmp_path):
    target = tmp_path / "new.nearfield"
    done = run(source, target)
    assert done.exit_code == 0, done.output
    assert "4 documents, 12 nodes (4 documents copied now)" in done.output
    with SQLiteStore(target, create=False) as store:
        assert store.count() == 12
        assert store.header == Header("f", 4)


def test_what_was_done_can_be_had_as_json(source, tmp_path):
    run(source, tmp_path / "new.nearfield")
    facts = json.loads(run(source, tmp_path / "new.nearfield", "--json").output)
    assert (facts["documents"], facts["nodes"], facts["copied"]) == (4, 12, 0)
    assert len(facts["checksum"]) == 32


def test_an_index_that_is_not_there_is_not_made(tmp_path):
    done = run(tmp_path / "absent", tmp_path / "new")
    assert done.exit_code == 1
    assert "There is no index" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["as it is", "through its folder", "by a link"])
def test_a_place_is_not_copied_onto_itself(source, tmp_path, way):
    """What somebody else wrote meanwhile would be taken out of the copy, which is the index."""
    target = source
    if way == "through its folder":
        target = f"{source.parent}/../{source.parent.name}/{source.name}"
    elif way == "by a link":
        target = tmp_path / "link"
        target.symlink_to(source)
    done = run(source, target)
    assert done.exit_code == 2
    assert "the same place" in done.output


@pytest.mark.pgvector
def test_an_index_goes_to_a_server_by_its_address(source, postgres):
    from nearfield.stores.pgvector import PGVectorStore

    address = f"{postgres.replace('postgres:@', 'postgres:hunter2@')}&index=by_command"
    done = run(source, address)
    assert done.exit_code == 0, done.output
    assert "hunter2" not in done.output
    with PGVectorStore(address) as store:
        assert store.count() == 12
        store.drop()
