"""An index moved to another model: killed, failing, written and read meanwhile, and moved back."""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nearfield.core import Document, VectorStoreIndex
from nearfield.core.migration import migrate, roll_back
from nearfield.errors import (
    EmbeddingError,
    ModelMismatchError,
    StoreError,
    StoreLockedError,
)
from nearfield.stores.sqlite import Migration, SQLiteStore, fail_points
from nearfield.testing.fake import FakeEmbedding

OLD = {"dim": 16, "model_name": "old"}
NEW = {"dim": 24, "model_name": "new"}
ALIKE = {"dim": 16, "model_name": "alike"}
"""Another model whose vectors are as long as the old one's."""
MANY = 1300


class Other(FakeEmbedding):
    """Gives other vectors than a fake of another name."""

    def _encode(self, texts, input_type):
        return super()._encode([f"{self.model_name} {text}" for text in texts], input_type)


def documents(first=0, last=MANY):
    return [Document(f"Text number {n} of plenty.", id=f"d{n}") for n in range(first, last)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An index of more nodes than a block holds, some of them deleted; to be copied."""
    place = tmp_path_factory.mktemp("original") / "my.index"
    with VectorStoreIndex.from_documents(documents(), path=place, embed_model=Other(**OLD)) as made:
        made.delete([f"d{n}" for n in range(5, 40)])
    return place


@pytest.fixture
def path(original, tmp_path):
    """An index that is this test's own."""
    return shutil.copytree(original.parent, tmp_path, dirs_exist_ok=True) / original.name


def content(path):
    """Give what an index holds: its model, and each node's text and vector."""
    with closing(SQLiteStore(path)) as store:
        assert store.verify() == []
        return store.header, {node.text: vector for node, vector in store.nodes()}


def check_made_by(path, facts, count=MANY - 35):
    header, vectors = content(path)
    model = Other(**facts)
    assert (header.fingerprint, header.dim) == (model.fingerprint, facts["dim"])
    assert len(vectors) == count
    expected = model.encode(list(vectors))
    np.testing.assert_array_equal(np.stack(list(vectors.values())), expected)


def beside(path):
    return sorted(file.name for file in path.parent.iterdir() if file.name != path.name)


@pytest.mark.parametrize("target", [NEW, ALIKE])
def test_a_migrated_index_is_as_one_made_by_the_new_model(path, tmp_path, target):
    with Migration(path) as index:
        report = migrate(index, Other(**target))
    assert (report.nodes, report.embedded, report.rounds) == (MANY - 35, MANY - 35, 1)
    check_made_by(path, target)
    assert beside(path) == []

    fresh = tmp_path / "fresh.index"
    texts = [d for d in documents() if not 5 <= int(d.id[1:]) < 40]
    made = VectorStoreIndex.from_documents(texts, path=fresh, embed_model=Other(**target))
    with made, VectorStoreIndex.open(path, Other(**target)) as moved:
        for mode in ("vector", "text", "hybrid"):
            wanted = made.as_retriever(9, mode=mode).retrieve("Text number 77")
            got = moved.as_retriever(9, mode=mode).retrieve("Text number 77")
            assert [(n.text, n.score) for n in got] == [(n.text, n.score) for n in wanted]
        moved.insert(Document("One more text.", id="more"))
        assert moved.count == MANY - 34


def test_facts_of_the_old_model_do_not_outlive_it(path):
    with closing(SQLiteStore(path)) as store:
        store.update_facts({"truncated_texts": 3, "truncated_tokens": 9, "mine": 1})
    with Migration(path) as index:
        migrate(index, Other(**NEW))
        facts = index.header.facts
    assert facts["mine"] == 1
    assert not {"truncated_texts", "truncated_tokens"} & facts.keys()


def test_a_migration_to_its_own_model_does_nothing(path):
    model = Other(**OLD)
    with Migration(path) as index:
        report = migrate(index, model)
    assert (report.nodes, model.computed) == (0, [])
    assert beside(path) == []


def test_going_back_restores_the_vectors_bit_for_bit_and_pays_nothing(path):
    before = content(path)
    with Migration(path) as index:
        migrate(index, Other(**NEW))
        report = roll_back(index)
    after = content(path)
    assert report.embedded == 0
    assert after[0] == before[0]
    assert list(after[1]) == list(before[1])
    np.testing.assert_array_equal(list(after[1].values()), list(before[1].values()))
    assert beside(path) == []
    with Migration(path) as index, pytest.raises(StoreError, match="no migration to roll back"):
        roll_back(index)


def test_going_back_embeds_what_was_written_since(path):
    with Migration(path) as index:
        migrate(index, Other(**NEW))
    with VectorStoreIndex.open(path, Other(**NEW)) as moved:
        moved.ingest(documents(MANY, MANY + 900))
        moved.delete([f"d{n}" for n in range(50, 60)])
    old = Other(**OLD)
    with Migration(path) as index:
        with pytest.raises(StoreError, match="--model"):
            roll_back(index)
        with pytest.raises(ModelMismatchError):
            roll_back(index, Other(**ALIKE))
        roll_back(index, old)
    assert len(old.computed) == 900
    check_made_by(path, OLD, MANY - 35 + 900 - 10)


def test_a_second_migration_waits_until_the_first_is_forgotten(path):
    with Migration(path) as index:
        migrate(index, Other(**NEW))
        model = Other(**ALIKE)
        with pytest.raises(StoreError, match="--forget"):
            migrate(index, model)
        assert model.computed == []
        assert index.forget()
        assert not index.forget()
        migrate(index, model)
    check_made_by(path, ALIKE)


class FailsAfter(Other):
    """Fails once it has computed so many texts."""

    def __init__(self, most, **facts):
        super().__init__(**facts)
        self.most = most

    def _encode(self, texts, input_type):
        if len(self.computed) + len(texts) > self.most:
            message = "The model is gone."
            raise EmbeddingError(message)
        return super()._encode(texts, input_type)


def test_a_failure_of_the_model_leaves_the_index_serving_and_is_not_paid_for_again(path):
    failing = FailsAfter(700, **NEW)
    with Migration(path) as index, pytest.raises(EmbeddingError):
        migrate(index, failing)
    check_made_by(path, OLD)
    model = Other(**NEW)
    with Migration(path) as index:
        report = migrate(index, model)
    assert report.kept == len(failing.computed)
    paid = failing.computed + model.computed
    assert sorted(paid) == sorted(f"new {text}" for text in content(path)[1])
    check_made_by(path, NEW)


class FillsTheDisk(Other):
    """Leaves no room for the vectors it computes where they are kept."""

    def _encode(self, texts, input_type):
        self.cache._connect().execute("PRAGMA max_page_count = 1")  # no more than there are
        return super()._encode(texts, input_type)


def test_a_migration_whose_vectors_cannot_be_kept_stops_at_the_first_of_them(path):
    """It would pay for them again; a model's usual cache only warns."""
    model = FillsTheDisk(**NEW, embed_batch_size=500)
    with Migration(path) as index, pytest.raises(StoreError, match="Free some space"):
        migrate(index, model)
    assert len(model.computed) <= 500
    check_made_by(path, OLD)


def test_what_the_cache_of_the_model_has_is_not_computed(path, tmp_path):
    from nearfield.core.cache import EmbeddingCache

    cache = EmbeddingCache(tmp_path / "vectors")
    Other(**NEW, cache=cache).encode([d.text for d in documents(100, 300)])
    model = Other(**NEW, cache=cache)
    with Migration(path) as index:
        migrate(index, model)
    assert len(model.computed) == MANY - 35 - 200
    assert model.cache is cache
    assert cache.info().vectors == MANY - 35
    check_made_by(path, NEW)


class WritesMeanwhile(Other):
    """Lets somebody else write to the index while it computes."""

    def __init__(self, write, **facts):
        super().__init__(**facts)
        self.write = write

    def _encode(self, texts, input_type):
        self.write()
        return super()._encode(texts, input_type)


def locked_out():
    """Pass over a write that would have to wait for this very thread."""
    return contextlib.suppress(StoreLockedError)


def writer(path, times):
    """Give a function that adds, changes and deletes documents the first times it is called."""
    left = iter(range(times))

    def write():
        turn = next(left, None)
        if turn is None:
            return
        store = SQLiteStore(path, timeout_s=0.01)
        with VectorStoreIndex(store=store, embed_model=Other(**OLD)) as index, locked_out():
            index.insert(Document(f"Written meanwhile, {turn}.", id=f"new{turn}"))
            index.refresh([Document(f"Changed meanwhile, {turn}.", id=f"d{100 + turn}")])
            index.delete([f"d{200 + turn}"])

    return write


@pytest.mark.parametrize("times", [1, 3, 40])
def test_what_is_written_meanwhile_is_migrated_too(path, times):
    """Also when it never ends: at last writers wait."""
    model = WritesMeanwhile(writer(path, times), **NEW)
    with Migration(path) as index:
        report = migrate(index, model)
    assert 2 <= report.rounds <= 8
    header, vectors = content(path)
    assert header.model_name == "new"
    written = sum(text.startswith("Written meanwhile") for text in vectors)
    assert written == sum(text.startswith("Changed meanwhile") for text in vectors)
    assert written >= min(times, 8)
    check_made_by(path, NEW, MANY - 35)


@pytest.mark.parametrize("target", [NEW, ALIKE])
def test_a_store_opened_before_refuses_vectors_of_the_old_model(path, target):
    """An answer from two models' vectors would look fine and be wrong."""
    with VectorStoreIndex.open(path, Other(**OLD)) as index:
        assert index.as_retriever(3).retrieve("Text number 3")
        with Migration(path) as moving:
            migrate(moving, Other(**target))
        with pytest.raises(ModelMismatchError, match="Open it again"):
            index.as_retriever(3).retrieve("Text number 3")
        with pytest.raises(ModelMismatchError, match="Open it again"):
            index.insert(Document("Of the old model.", id="late"))
        assert index.as_retriever(3, mode="text").retrieve("Text number 300")
    check_made_by(path, target)


MIGRATOR = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_migration import NEW, Other
from nearfield.core.migration import migrate
from nearfield.stores.sqlite import Migration, fail_points

path, place, times = sys.argv[2], sys.argv[3], int(sys.argv[4])
reached = 0

def die(name):
    global reached
    reached += name == place
    if place and reached == times:
        os.kill(os.getpid(), signal.SIGKILL)

class Told(Other):
    def _encode(self, texts, input_type):
        die("embedding")
        vectors = super()._encode(texts, input_type)
        print(*texts, sep="\\n", flush=True)
        return vectors

fail_points.hook = die if place else None
with Migration(path) as index:
    migrate(index, Told(**NEW))
"""


def run_migrator(path, place="", times=0):
    """Migrate in a process of its own; give its exit code and the texts that it computed."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", MIGRATOR, here, str(path), place, str(times)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("place", "times", "switched"),
    [
        ("embedding", 1, False),
        ("embedding", 9, False),
        ("begun", 1, False),
        ("filled", 1, False),
        ("filled", 2, False),
        ("exchanged", 1, False),
        ("committing", 4, False),
        ("committed", 4, True),
    ],
)
def test_a_kill_leaves_one_model_or_the_other_and_nothing_is_paid_twice(
    path, place, times, switched
):
    code, computed = run_migrator(path, place, times)
    assert code == -signal.SIGKILL
    check_made_by(path, NEW if switched else OLD)
    code, more = run_migrator(path)
    assert code == 0
    check_made_by(path, NEW)
    assert sorted(computed + more) == sorted(content(path)[1])
    with Migration(path) as index:
        roll_back(index)
    check_made_by(path, OLD)


READER = """
import sys
sys.path.insert(0, sys.argv[1])
from test_migration import NEW, OLD, Other
from nearfield.core import VectorStoreIndex
from nearfield.errors import ModelMismatchError

models = {m.fingerprint: m for m in (Other(**OLD), Other(**NEW))}
seen, asked = [], 0
while len(seen) < 2:
    for model in models.values():
        try:
            with VectorStoreIndex.open(sys.argv[2], model, read_only=True) as index:
                retriever = index.as_retriever(3)
                for _ in range(30):
                    best = retriever.retrieve("Text number 1000 of plenty.")[0]
                    assert best.text == "Text number 1000 of plenty.", best
                    assert best.score > 0.9999, best
                    asked += 1
                    if model.model_name not in seen:
                        seen.append(model.model_name)
                        print(model.model_name, flush=True)
        except ModelMismatchError:
            pass
"""


def test_a_reader_sees_the_old_or_the_new_version_whole(path):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", READER, here, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "old\n"
        with Migration(path) as index:
            migrate(index, Other(**NEW))
        assert reader.stdout.readline() == "new\n"
        assert reader.wait(60) == 0


def test_two_migrations_at_once_do_not_pay_twice(path):
    model = Other(**NEW)
    refused = pytest.raises(StoreLockedError, match="another process")
    with Migration(path) as one, Migration(path) as other, one.working(), refused:
        migrate(other, model)
    assert model.computed == []


def check_nothing_else_may_begin(index):
    """See that nothing that changes the vectors of an index is begun."""
    for change in (lambda: migrate(index, Other(**ALIKE)), index.forget, lambda: roll_back(index)):
        with pytest.raises(StoreLockedError, match="is being migrated by another process"):
            change()


@pytest.mark.parametrize(
    ("operation", "place", "result"),
    [
        (lambda index: migrate(index, Other(**ALIKE)), "filled", ALIKE),
        (Migration.forget, "cleared", NEW),
        (roll_back, "exchanged", OLD),
        (roll_back, "cleared", OLD),
    ],
)
def test_while_one_changes_an_index_no_other_migrates_forgets_or_rolls_back(
    path, monkeypatch, operation, place, result
):
    with Migration(path) as index:
        if result is not ALIKE:
            migrate(index, Other(**NEW))
    places = []

    def meanwhile(name):
        if name == place:
            check_nothing_else_may_begin(other)
        places.append(name)

    with Migration(path) as index, Migration(path) as other:
        monkeypatch.setattr(fail_points, "hook", meanwhile)
        operation(index)
        monkeypatch.setattr(fail_points, "hook", None)
    assert place in places
    check_made_by(path, result)
    assert beside(path) == []


@pytest.mark.parametrize("filled", [1, 2])
def test_vectors_of_which_some_were_removed_never_serve(path, monkeypatch, filled):
    """By a process that looked at no lock: each transaction looks at what waits."""
    from nearfield.stores.sqlite import standby

    with SQLiteStore(path) as store:
        connections = store._connections

        def look(name):
            if name == "cleared":
                raise Stopped
            reached.append(name)
            if name == "filled" and reached.count("filled") == filled:
                with contextlib.suppress(Stopped):
                    standby.clear(connections)

        reached = []
        monkeypatch.setattr(fail_points, "hook", look)
        with Migration(path) as index, pytest.raises(StoreError, match="Run the same again"):
            migrate(index, Other(**NEW))
        monkeypatch.setattr(fail_points, "hook", None)
    check_made_by(path, OLD)
    model = Other(**NEW)
    with Migration(path) as index:
        migrate(index, model)
    assert model.computed == []
    check_made_by(path, NEW)


UNPRIVILEGED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_migration import NEW, Other
from nearfield.core.migration import migrate
from nearfield.errors import StoreError
from nearfield.stores.sqlite import Migration

model = Other(**NEW)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)  # root may write anywhere
with Migration(sys.argv[2]) as index:
    for change in (lambda: migrate(index, model), index.forget):
        try:
            change()
        except StoreError as error:
            print(error)
print(len(model.computed))
"""


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_read_only_index_is_refused_before_anything_is_embedded(path, folder_mode):
    here = str(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        place = Path(name)
        copy = place / "my.index"
        shutil.copy(path, copy)
        copy.chmod(0o444)
        place.chmod(folder_mode)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, here, str(copy)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        place.chmod(0o777)
        left = [file.name for file in place.iterdir() if "migration" in file.name]
    assert done.stderr == ""
    told = f"{copy} is read-only: it can be searched, not written."
    *errors, computed = done.stdout.splitlines()
    assert [error[: len(told)] for error in errors] == [told, told], errors
    assert (computed, left) == ("0", [])


def test_a_full_disk_while_switching_leaves_the_index_as_it_was(path, monkeypatch):
    def full(name):
        if name == "exchanged":
            message = "No space left."
            raise OSError(28, message)

    monkeypatch.setattr(fail_points, "hook", full)
    with Migration(path) as index, pytest.raises(OSError, match="No space"):
        migrate(index, Other(**NEW))
    monkeypatch.setattr(fail_points, "hook", None)
    check_made_by(path, OLD)
    model = Other(**NEW)
    with Migration(path) as index:
        migrate(index, model)
    assert model.computed == []
    check_made_by(path, NEW)


def test_others_write_between_the_steps_and_the_last_one_writes_no_vector(path, monkeypatch):
    from nearfield.stores.sqlite import standby

    events = []

    def look(name):
        events.append(name)
        if name == "filled":
            with closing(SQLiteStore(path, timeout_s=0)) as store:
                store.update_facts({"written": len(events)})

    def replace_vectors(*arguments, **options):
        events.append("vectors")
        return written(*arguments, **options)

    written = standby.replace_vectors
    monkeypatch.setattr(standby, "replace_vectors", replace_vectors)
    monkeypatch.setattr(fail_points, "hook", look)
    with Migration(path) as index:
        migrate(index, Other(**NEW))
        assert index.header.facts["written"]
    begun = len(events) - events[::-1].index("begun")
    assert events[begun:] == ["exchanged", "committing", "committed"]
    assert events.count("vectors") == events.count("filled") == 2


class Stopped(Exception):  # noqa: N818 - not an error
    """Stands for a process that ends here."""


@pytest.mark.parametrize(
    ("place", "times", "back"),
    [("filled", 1, False), ("exchanged", 1, False), ("committed", 2, True), ("cleared", 1, True)],
)
def test_a_way_back_that_was_stopped_leaves_one_model_or_the_other(
    path, monkeypatch, place, times, back
):
    with Migration(path) as index:
        migrate(index, Other(**NEW))
    with VectorStoreIndex.open(path, Other(**NEW)) as moved:
        moved.insert(Document("Written since.", id="since"))
    reached = []

    def stop(name):
        reached.append(name)
        if reached.count(place) == times and name == place:
            raise Stopped

    old = Other(**OLD)
    with Migration(path) as index:
        monkeypatch.setattr(fail_points, "hook", stop)
        with pytest.raises(Stopped):
            roll_back(index, old)
        monkeypatch.setattr(fail_points, "hook", None)
    check_made_by(path, OLD if back else NEW, MANY - 35 + 1)
    with Migration(path) as index:
        if back:
            with pytest.raises(StoreError, match="no migration"):
                roll_back(index, old)
        else:
            roll_back(index, old)
        check_made_by(path, OLD, MANY - 35 + 1)
        assert len(old.computed) == 1
        migrate(index, Other(**ALIKE))
    check_made_by(path, ALIKE, MANY - 35 + 1)


SPOILING = [
    "UPDATE standby_vectors SET data = zeroblob(length(data)) WHERE block = 0",
    "DELETE FROM standby_vectors WHERE block = 0",
    "DELETE FROM standby_blocks WHERE number = 0",
    "UPDATE standby_blocks SET alive = alive - 1",
    "UPDATE standby_blocks SET live = zeroblob(length(live)), stored = live",
    "UPDATE standby_loose SET data = zeroblob(length(data)) WHERE row = 1100",
    "DELETE FROM standby_loose WHERE row = 1100",
    "UPDATE standby_header SET dim = dim + 1",
    "DELETE FROM standby_header",
    "UPDATE standby SET filled = filled + 1",
    "UPDATE standby SET role = 'coning'",
    "DELETE FROM standby",
]


@pytest.mark.parametrize("role", ["coming", "former"])
def test_damage_among_the_vectors_that_wait_is_found_and_thrown_away(path, monkeypatch, role):
    def stop(name):
        if name == "exchanged":
            raise Stopped

    monkeypatch.setattr(fail_points, "hook", stop if role == "coming" else None)
    with contextlib.suppress(Stopped), Migration(path) as index:
        migrate(index, Other(**NEW))
    monkeypatch.setattr(fail_points, "hook", None)
    served = OLD if role == "coming" else NEW
    check_made_by(path, served)

    found = {}
    for number, statement in enumerate(SPOILING):
        spoilt = path.with_name(f"{number}.index")
        shutil.copy(path, spoilt)
        with closing(sqlite3.connect(spoilt, isolation_level=None)) as connection:
            assert connection.execute("SELECT role FROM standby").fetchone() == (role,)
            connection.execute(statement)
        with closing(SQLiteStore(spoilt)) as store:
            found[statement] = {problem.part for problem in store.verify()}
            store.repair(None)
            assert store.verify() == []

    assert found == {statement: {"standby"} for statement in SPOILING}
    check_made_by(spoilt, served)
    with Migration(spoilt) as index:
        assert index.before is None
        migrate(index, Other(**ALIKE))
    check_made_by(spoilt, ALIKE)


def test_vectors_left_over_to_be_removed_are_no_damage(path, monkeypatch):
    def stop(name):
        if name == "cleared":
            raise Stopped

    with Migration(path) as index:
        migrate(index, Other(**NEW))
        monkeypatch.setattr(fail_points, "hook", stop)
        with pytest.raises(Stopped):
            index.forget()
    monkeypatch.setattr(fail_points, "hook", None)
    check_made_by(path, NEW)


def test_what_is_deleted_while_the_old_vectors_wait_does_not_come_back_with_them(path):
    """Whole blocks, parts of them, and of the rows that fill no block."""
    with Migration(path) as index:
        migrate(index, Other(**NEW))
        with VectorStoreIndex.open(path, Other(**NEW)) as moved:
            moved.delete([f"d{n}" for n in range(1024)] + ["d1100", "d1299"])
        roll_back(index)
    check_made_by(path, OLD, MANY - 1024 - 2)
    with VectorStoreIndex.open(path, Other(**OLD)) as moved:
        moved.ingest(documents(MANY, MANY + 1500))
    check_made_by(path, OLD, MANY - 1024 - 2 + 1500)


def test_the_room_of_what_is_forgotten_is_used_again(path):
    sizes = []
    for target in (NEW, ALIKE, NEW, ALIKE):
        with Migration(path) as index:
            migrate(index, Other(**target))
            assert index.forget()
        check_made_by(path, target)
        sizes.append(path.stat().st_size)
    assert max(sizes) <= 1.1 * sizes[0]

    with Migration(path) as index:
        index.shrink()
    check_made_by(path, ALIKE)
    assert path.stat().st_size < 0.9 * sizes[0]


def test_a_migration_begun_to_one_model_may_be_taken_up_to_another(path, monkeypatch):
    def stop(name):
        if name == "filled":
            raise Stopped

    monkeypatch.setattr(fail_points, "hook", stop)
    with Migration(path) as index, pytest.raises(Stopped):
        migrate(index, Other(**NEW))
    monkeypatch.setattr(fail_points, "hook", None)
    check_made_by(path, OLD)
    with Migration(path) as index:
        migrate(index, Other(**ALIKE))
    check_made_by(path, ALIKE)


def test_an_index_without_documents_has_nothing_to_move(tmp_path):
    SQLiteStore(tmp_path / "empty.index").close()
    with Migration(tmp_path / "empty.index") as index, pytest.raises(StoreError, match="new"):
        migrate(index, Other(**NEW))


class Short(Other):
    """Reads few tokens: its measure is a token a word."""

    max_tokens = 6

    class measure:  # noqa: N801 - stands for the property
        special_tokens = 2
        exact = True

        @staticmethod
        def offsets(texts):
            return [np.zeros((len(text.split()), 2), np.int32) for text in texts]


def test_nodes_longer_than_the_new_model_reads_are_counted(path):
    with VectorStoreIndex.open(path, Other(**OLD)) as index:
        index.insert(Document("Just four more words.", id="short"))
    with Migration(path) as moving:
        report = migrate(moving, Short(**NEW))
        facts = moving.header.facts
    assert (report.long_nodes, report.left_out_tokens) == (MANY - 35, MANY - 35)
    assert (facts["truncated_texts"], facts["truncated_tokens"]) == (MANY - 35, MANY - 35)
