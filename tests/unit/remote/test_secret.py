"""Keys that do not show."""

from __future__ import annotations

import copy
import pickle

import pytest

from nearfield.errors import ConfigError
from nearfield.remote.secret import Secret, SecretHeaders

KEY = "super-secret-value"


def test_a_key_comes_from_the_argument_first_then_from_the_environment(monkeypatch):
    monkeypatch.setenv("A_KEY", "from-environment")
    assert Secret(KEY, "A_KEY").reveal() == KEY
    assert Secret(None, "A_KEY").reveal() == "from-environment"
    assert Secret(lambda: "made", "A_KEY").reveal() == "made"
    monkeypatch.delenv("A_KEY")
    assert Secret("", "A_KEY").reveal() is None
    assert Secret().reveal() is None


def test_a_key_is_in_no_repr_and_no_pickle():
    secret = Secret(KEY)
    assert KEY not in repr(secret)
    assert KEY.encode() not in pickle.dumps(secret)


def test_an_unpickled_secret_reads_the_environment_it_wakes_up_in(monkeypatch):
    data = pickle.dumps(Secret(KEY, "A_KEY"))
    monkeypatch.setenv("A_KEY", "there")
    assert pickle.loads(data).reveal() == "there"


def test_copies_in_the_same_process_keep_the_key():
    assert copy.copy(Secret(KEY)).reveal() == KEY
    assert copy.deepcopy({"key": Secret(KEY)})["key"].reveal() == KEY


def test_the_key_and_what_looks_like_one_are_blotted_out():
    text = f"key {KEY} or sk-proj-abc123456"
    assert Secret(KEY).hide(text) == "key [key] or [key]"


@pytest.mark.parametrize("source", ["argument", "environment", "function"])
def test_the_line_end_of_a_keys_file_is_no_part_of_it(monkeypatch, source):
    monkeypatch.setenv("A_KEY", f" {KEY}\n")
    value = {"argument": f"{KEY}\r\n", "environment": None, "function": lambda: f"{KEY}\n"}[source]
    assert Secret(value, "A_KEY").reveal() == KEY


def test_the_key_blotted_out_is_the_one_used_last():
    keys = iter(["first-key", "second-key"])
    secret = Secret(lambda: next(keys))
    secret.reveal()
    assert secret.hide("first-key refused") == "[key] refused"


def test_a_key_that_is_no_text_is_told_by_its_kind():
    with pytest.raises(ConfigError, match=r"must be a text .*int"):
        Secret(12345).reveal()


@pytest.mark.parametrize("value", ["hush-hush\n", "hush-hush\u201c", 3])
def test_a_header_that_cannot_be_sent_is_told_by_its_name(value):
    with pytest.raises(ConfigError, match="'x-gateway-key' cannot be sent") as caught:
        SecretHeaders({"x-gateway-key": value})
    assert "hush" not in str(caught.value)
