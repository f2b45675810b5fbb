"""A model's name leads to a folder: here, in the cache, or on the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nearfield.errors import ModelLoadError, UnknownModelError
from nearfield.runtime.hub import find_model

BERT = Path(__file__).parents[2] / "data" / "models" / "bert"

FIND = """
import json, socket, sys
from nearfield.runtime.hub import find_model

def closed(*args):
    raise AssertionError("a socket was opened")

if {no_sockets}:
    socket.socket.connect = closed
found, error = None, None
try:
    found = find_model({arguments})
except Exception as raised:
    error = [type(raised).__name__, str(raised)]
print(json.dumps({{
    "path": str(found and found.path),
    "name": found and found.name,
    "revision": found and found.revision,
    "error": error,
    "files": [p.relative_to(found.path).as_posix() for p in found.path.rglob("*")] if found else [],
}}))
"""


@pytest.fixture
def find(run_python):
    def find(arguments, *, no_sockets=False, **variables):
        return run_python(FIND.format(arguments=arguments, no_sockets=no_sockets), **variables)

    return find


def cached(cache, name="sentence-transformers/tiny", commit="c" * 40, source=BERT):
    """Put a model where huggingface_hub would."""
    home = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    return home / "snapshots" / commit


def test_a_local_folder_is_used_as_it_is(tmp_path):
    found = find_model(str(BERT))

    assert (found.path, found.name, found.revision) == (BERT, str(BERT), None)


def test_a_name_without_owner_is_sentence_transformers_own(tmp_path):
    snapshot = cached(tmp_path)

    found = find_model("tiny", cache_folder=tmp_path)

    assert found.path == snapshot
    assert found.name == "sentence-transformers/tiny"
    assert found.revision == "c" * 40


def test_the_first_encoders_have_no_owner(tmp_path):
    snapshot = cached(tmp_path, "bert-base-uncased")

    assert find_model("bert-base-uncased", cache_folder=tmp_path).path == snapshot


NO_NAMES = ["/no/such/folder", "a/b/c", "../up", "C:\\models", "", "a b"]
NO_NAMES += ["./models", ".hidden/model", "models/", "-a/b", "a/b-", "a--b", "a" * 97]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_neither_folder_nor_name_is_refused(name, tmp_path):
    with pytest.raises(UnknownModelError, match="There is no folder"):
        find_model(name, cache_folder=tmp_path)


def test_a_file_is_refused(tmp_path):
    with pytest.raises(UnknownModelError, match="is a file"):
        find_model(str(BERT / "config.json"))


@pytest.mark.parametrize("revision", ["../../etc", "a b", "/main"])
def test_a_revision_that_is_none_is_refused(revision, tmp_path):
    with pytest.raises(UnknownModelError, match="revision"):
        find_model("tiny", revision=revision, cache_folder=tmp_path)


def test_a_cached_model_opens_no_socket(find, tmp_path):
    cached(tmp_path / "hf" / "hub")

    result = find("'tiny'", no_sockets=True)

    assert result["error"] is None
    assert result["revision"] == "c" * 40


def test_the_cache_is_where_its_variables_say(find, tmp_path):
    cached(tmp_path / "elsewhere")

    result = find("'tiny'", no_sockets=True, HF_HUB_CACHE=str(tmp_path / "elsewhere"))

    assert result["error"] is None


def test_offline_and_absent_names_model_place_and_command(find, tmp_path):
    result = find("'BAAI/bge-small-en-v1.5'", no_sockets=True, HF_HUB_OFFLINE="1")

    kind, message = result["error"]
    assert kind == "ModelLoadError"
    assert "'BAAI/bge-small-en-v1.5'" in message
    assert str(tmp_path / "hf" / "hub") in message
    assert "hf download BAAI/bge-small-en-v1.5" in message


def test_local_files_only_forbids_asking(tmp_path):
    with pytest.raises(ModelLoadError, match="local_files_only"):
        find_model("tiny", cache_folder=tmp_path, local_files_only=True)


def test_a_half_cached_model_is_not_taken_for_a_whole_one(tmp_path):
    snapshot = cached(tmp_path)
    (snapshot / "model.safetensors").unlink()

    with pytest.raises(ModelLoadError, match=r"not \(wholly\) in"):
        find_model("tiny", cache_folder=tmp_path, local_files_only=True)


def test_only_what_is_needed_is_fetched(find, hub, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(BERT, source)
    for extra in ("pytorch_model.bin", "onnx/model_O3.onnx", "openvino/openvino_model.bin"):
        (source / extra).parent.mkdir(exist_ok=True)
        (source / extra).write_bytes(b"large")
    hub.models["sentence-transformers/tiny"] = source

    result = find("'tiny'", HF_ENDPOINT=hub.url)

    assert result["error"] is None
    assert "model.safetensors" in result["files"]
    assert "1_Pooling/config.json" in result["files"]
    unwanted = [name for name in result["files"] if name.endswith((".bin", ".onnx", ".md"))]
    assert unwanted == []


def test_a_fetched_model_is_not_fetched_again(find, hub):
    hub.models["a/b"] = BERT
    first = find("'a/b'", HF_ENDPOINT=hub.url)
    hub.asked.clear()

    second = find("'a/b'", HF_ENDPOINT=hub.url, no_sockets=True)

    assert second["path"] == first["path"]
    assert hub.asked == []


def test_a_graph_is_fetched_without_the_weights(find, hub):
    hub.models["a/b"] = BERT

    result = find("'a/b', files=('onnx/model.onnx*', 'model.onnx*')", HF_ENDPOINT=hub.url)

    assert "onnx/model.onnx" in result["files"]
    assert "model.safetensors" not in result["files"]


def test_without_the_graph_the_weights_are_fetched_to_make_one(find, hub):
    hub.models["a/b"] = BERT

    result = find("'a/b', files=('openvino/openvino_model.*',)", HF_ENDPOINT=hub.url)

    assert "model.safetensors" in result["files"]


def test_a_revision_of_a_pull_request_is_fetched(find, hub):
    hub.models["a/b"] = BERT

    result = find("'a/b', revision='refs/pr/7'", HF_ENDPOINT=hub.url)

    assert result["revision"] == "89abcdef0123456789abcdef0123456789abcdef"
    again = find("'a/b', revision='refs/pr/7'", HF_ENDPOINT=hub.url, no_sockets=True)
    assert again["path"] == result["path"]


def test_a_model_nobody_has_is_unknown(find, hub):
    kind, message = find("'a/misspelt'", HF_ENDPOINT=hub.url)["error"]

    assert kind == "UnknownModelError"
    assert "'a/misspelt'" in message


def test_a_revision_nobody_has_is_unknown(find, hub):
    hub.models["a/b"] = BERT

    kind, message = find("'a/b', revision='v9'", HF_ENDPOINT=hub.url)["error"]

    assert kind == "UnknownModelError"
    assert "'v9'" in message


def test_a_model_with_pickles_only_says_so(find, hub, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(BERT, source)
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    hub.models["a/b"] = source

    kind, message = find("'a/b'", HF_ENDPOINT=hub.url)["error"]

    assert kind == "ModelLoadError"
    assert "safetensors" in message
    assert "pytorch_model.bin" not in hub.fetched()


def test_a_hub_out_of_reach_is_named(find):
    kind, message = find("'a/b'", HF_ENDPOINT="http://127.0.0.1:9")["error"]

    assert kind == "ModelLoadError"
    assert "did not answer (" in message
    assert "Connection refused)" in message
    assert "hf download a/b" in message


def test_a_transport_that_fails_on_the_way_is_named(monkeypatch, tmp_path):
    """Newer releases of the hub's library let their transport's own errors through."""

    class TransportError(Exception):
        pass

    def fail(*_args, **_more):
        raise TransportError("peer closed connection")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)

    with pytest.raises(ModelLoadError, match=r"the hub did not answer \(peer closed connection\)"):
        find_model("me/model", cache_folder=tmp_path)
    try:
        raise KeyError("what the caller is busy with")  # noqa: TRY301
    except KeyError:
        with pytest.raises(ModelLoadError, match=r"answer \(peer closed connection\)"):
            find_model("me/model", cache_folder=tmp_path)


def test_a_hub_that_fails_is_named(find, hub):
    hub.down = True

    kind, message = find("'a/b'", HF_ENDPOINT=hub.url)["error"]

    assert kind == "ModelLoadError"
    assert "did not answer" in message


def test_a_token_is_sent_but_never_shown(find, hub):
    kind, message = find("'a/private', token='hf_secret'", HF_ENDPOINT=hub.url)["error"]

    assert kind == "UnknownModelError"
    assert "hf_secret" not in message
