"""What a server is told to serve, from a file and from options."""

import dataclasses
import pickle

import pytest

from nearfield.errors import ConfigError
from nearfield.remote.secret import Secret
from nearfield.server.config import Limits, ServerConfig, is_local
from nearfield.server.config_file import read_config_file

pytestmark = pytest.mark.server

WHOLE = """
host = "127.0.0.1"
port = 9000
index = "notes.index"
default_model = "short"
token_arrays = "model"
allowed_hosts = ["nearfield.lan"]
api_key_file = "keys/key"

[models]
minilm = "bundled"
short = { spec = "local:some/model", dimensions = [64, 128] }

[rerankers]
cross = "local:cross-encoder/model"

[limits]
queue_requests = 10
body_timeout_s = 5
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "nearfield.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_says_all_there_is_to_say(written, tmp_path):
    found = read_config_file(written(WHOLE))

    assert found.pop("api_key_file") == tmp_path / "keys" / "key"
    config = ServerConfig(**found)
    assert config.models == {"minilm": "bundled", "short": "local:some/model"}
    assert config.dimensions == {"short": (64, 128)}
    assert config.rerankers == {"cross": "local:cross-encoder/model"}
    assert config.index == tmp_path / "notes.index"
    assert config.limits == Limits(queue_requests=10, body_timeout_s=5)
    assert config.hosts == {"nearfield.lan", "localhost", "127.0.0.1", "[::1]"}
    assert (config.port, config.default_model, config.token_arrays) == (9000, "short", "model")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "'prot'"),
        ("port = '9'", "port must be"),
        ("port = true", "port must be"),
        ("models = 3", "models must be"),
        ("[models]\na = 3", "models.a must be"),
        ("[models]\na = {dimensions = [3]}", "models.a.spec must be"),
        ("[models]\na = {spec = 'b', dimensions = ['c']}", "models.a takes"),
        ("[models]\na = {spec = 'b', trust = true}", "models.a takes"),
        ("[rerankers]\na = []", "rerankers.a must be"),
        ("[limits]\nqueue = 3", "unknown limit 'queue'"),
        ("[limits]\nqueue_requests = 0", "queue_requests must be"),
        ("port = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_by_name_and_line(written, text, named):
    path = written(text)
    with pytest.raises(ConfigError, match=named) as caught:
        read_config_file(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "given",
    [
        {"port": -1},
        {"port": 70_000},
        {"token_arrays": "other"},
        {"models": {"a": "bundled"}, "default_model": "b"},
        {"models": {"a": "bundled"}, "dimensions": {"b": (3,)}},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(given):
    with pytest.raises(ConfigError):
        ServerConfig(**given)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, "1", None, True, float("nan")])
def test_every_limit_is_a_number_that_leaves_something(name, value):
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: value})


def test_the_key_shows_in_no_repr_and_no_pickle():
    config = ServerConfig(api_key=Secret("a-key-that-is-secret"))

    assert "a-key" not in repr(config)
    assert b"a-key" not in pickle.dumps(config)


def test_any_host_is_answered_where_a_key_is_asked_for():
    assert ServerConfig(host="0.0.0.0", api_key=Secret("a-key-that-is-secret")).hosts is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_addresses_of_this_machine_alone(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "myhost", "localhost.example"])
def test_addresses_that_others_may_reach(host):
    assert not is_local(host)
