"""An address may hold a password, which is shown to nobody."""

from __future__ import annotations

import pytest

from nearfield.errors import ConfigError
from nearfield.remote.connection import AzureConnection, Connection
from nearfield.remote.secret import Secret


@pytest.mark.parametrize("kind", [Connection, AzureConnection])
def test_a_password_in_the_address_is_not_shown(kind):
    made = kind("Some", "https://me:hunter2@host:8000/v1?key=hunter2", Secret("sk-hunter2"))

    assert made.where == "host:8000/v1"
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize("address", ["me:hunter2@host/v1", "ftp://me:hunter2@host", "https://"])
def test_what_is_no_address_is_refused_without_its_password(address):
    with pytest.raises(ConfigError, match="is no address") as caught:
        Connection("Some", address, Secret("k"))

    assert "hunter2" not in str(caught.value)
